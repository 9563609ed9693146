from __future__ import annotations

import pytest

from pulumi_iofog.text import LONGEST_LINE, duration, listing, size, visible


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (999.4, "999 B"),
        (999.6, "1.00 kB"),
        (1500, "1.50 kB"),
        (14_240_000, "14.2 MB"),
        (99_960_000, "100 MB"),
        (238_000_000, "238 MB"),
        (999_600_000, "1.00 GB"),
        (1_240_000_000_000, "1240 GB"),
    ],
)
def test_size(count: float, text: str) -> None:
    assert size(count) == text


def test_listing_of_many_names_is_cut() -> None:
    assert listing(["a", "b"]) == "a, b"
    assert listing([f"e{n}" for n in range(300)], most=3) == "e0, e1, … and 298 more"


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("100 %\rall is well", r"100 %\x0dall is well"),
        ("\x9b2J", r"\x9b2J"),
        ("<{%fg 1%}>red<{%reset%}>", r"<{\%fg 1%}>red<{\%reset%}>"),
        ("<{<{%%", r"<{<{\%%"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("half \ud800", r"half \ud800"),
        ("Grüße\tan 東京 ✓\nnext", "Grüße\tan 東京 ✓\nnext"),
    ],
)
def test_what_others_say_is_shown_and_not_obeyed(said: str, shown: str) -> None:
    assert visible(said) == shown
    shown.encode()


def test_a_line_of_absurd_length_is_cut() -> None:
    assert visible("a" * 10**6 + "\nb") == "a" * LONGEST_LINE + "…\nb"
