"""The benchmark's maths and words; what it measures is measured by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import cases, report, results
from bench.measure import (
    Findings,
    Measure,
    Result,
    Target,
    figure,
    megabytes,
    percent,
    quickest,
    ratio,
    sending,
    times,
)

OURS = Measure("pulumi-iofog", 8.0, 80_000_000)
FLOOR = Measure("link alone", 6.4, 72_800_000)
HOLDS, MISSES = times("seconds ÷ link", 8.0, 6.4, 1.25), times("seconds ÷ link", 8.0, 6.4, 1.2)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0521, "0.052"), (1.234, "1.23"), (79.44, "79.4"), (238.4, "238"), (3.0, "3"), (float("inf"), "∞")],
)
def test_figures_are_short_and_have_no_exponent(value: float, text: str) -> None:
    assert figure(value) == text


def test_nothing_to_divide_by_is_infinite() -> None:
    assert ratio(1, 0) == float("inf")
    assert not times("", 1, 0, 2).holds


@pytest.mark.parametrize(
    ("target", "holds", "got", "wanted"),
    [
        (HOLDS, True, "1.25 ×", "≤ 1.25 ×"),
        (MISSES, False, "1.25 ×", "≤ 1.2 ×"),
        (times("", 3, 4, 0.8, at_least=True), False, "0.75 ×", "≥ 0.8 ×"),
        (percent("", 14_500, 48_800_000, 0.5), True, "0.030 %", "≤ 0.5 %"),
        (megabytes("", 149_900_000, 150), True, "150 MB", "≤ 150 MB"),
        (Target("", 2, 1, ""), False, "2", "≤ 1"),
    ],
)
def test_a_target_holds_up_to_its_limit(target: Target, holds: bool, got: str, wanted: str) -> None:
    assert (target.holds, target.got, target.wanted) == (holds, got, wanted)


def test_sending_leaves_out_signing_in_and_loading() -> None:
    samples = [
        (0.0, 0),
        (1.0, 5_000),
        (2.0, 20_000),
        (3.0, 500_000),
        (4.0, 980_000),
        (5.0, 1_000_000),
        (9.0, 1_000_000),
    ]
    assert sending(samples, 1_000_000) == 2.0
    assert sending(samples[:2], 1_000_000) == 0.0


def test_the_quickest_is_by_time_and_not_by_bytes() -> None:
    assert quickest([OURS, FLOOR, Measure("slow", 9.0, 1)]) is FLOOR


def test_a_case_holds_when_all_its_targets_do() -> None:
    assert Result("a", "", Findings([OURS], [HOLDS])).holds
    assert not Result("a", "", Findings([OURS], [HOLDS, MISSES])).holds
    assert not Result("a", "", error="no link").holds


def test_bytes_are_reported_for_each_host() -> None:
    found = Findings([OURS, FLOOR, Measure("uncounted", 1.0)], [MISSES], ["a note"], hosts=4)
    first, second, third, target, note = report.lines(Result("a", "", found))
    assert first.split() == ["8", "s", "20", "MB", "1", "pulumi-iofog"]
    assert second.split()[:5] == ["6.40", "s", "18.2", "MB", "0.80"]
    assert third.split()[:4] == ["1", "s", "–", "MB"]
    assert target == "  misses seconds ÷ link: 1.25 ×, wanted ≤ 1.2 ×"
    assert note == "  (a note)"


def test_the_document_shows_what_failed_beside_what_did_not() -> None:
    way = Measure("docker save | ssh docker load", 26.0, 222_000_000)
    results = [
        Result("first", "the first", Findings([OURS, way], [HOLDS, MISSES])),
        Result("drops", "a bad link", error="edge-1: |\nno answer"),
    ]
    text = report.document(results, {"kernel": "6.1"}, "2026-11-25", 90)
    assert "1 of 2 targets hold; 1 failed: drops." in text
    assert "| `first` the first | seconds ÷ link | 1.25 × | ≤ 1.25 × | holds |" in text
    assert "|  | seconds ÷ link | 1.25 × | ≤ 1.2 × | misses |" in text
    assert "| `drops` a bad link | edge-1: \\| no answer | – | – | failed |" in text
    assert "|  | docker save \\| ssh docker load | 26 | 222 | 3.25 |" in text
    assert "| kernel | 6.1 |" in text


def test_cases_are_chosen_by_name_and_main_is_some_of_them() -> None:
    assert cases.chosen([]) == list(cases.CASES)
    assert [case.name for case in cases.chosen(["v3", "main"])] == ["v3", *cases.MAIN]
    assert len({case.name for case in cases.CASES}) == len(cases.CASES)
    with pytest.raises(KeyError):
        cases.chosen(["first-1000"])


def test_the_picture_has_every_case_in_words() -> None:
    shown = results.groups((Path(results.__file__).parent / "RESULTS.md").read_text())
    assert {group.title for group in shown} <= {case.title for case in cases.CASES}
    assert {group.bars[0].way for group in shown} == {"pulumi-iofog"}
    assert shown[0].bars[2].way == "docker save | zstd -3 | ssh docker load"
    assert all(bar.seconds for group in shown for bar in group.bars)
