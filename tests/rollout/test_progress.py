"""The line that a rollout shows while it runs."""

from __future__ import annotations

import pytest

from pulumi_iofog.rollout import progress
from pulumi_iofog.rollout.progress import Progress


def test_the_line_says_who_is_doing_what_how_fast_and_how_long_still(monkeypatch: pytest.MonkeyPatch) -> None:
    now, lines = [100.0], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = Progress(lines.append, 5)

    def at(seconds: float) -> None:
        now[0] = 100.0 + seconds

    at(1)
    shown.begin("edge-1", "connecting")
    assert lines == ["0 of 5 agents done; edge-1 connecting"]
    at(1.1)
    shown.begin("edge-1", "sending", 40_000_000)
    assert len(lines) == 1, "not more often than people can read"
    at(2)
    shown.moved("edge-1", 10_000_000)
    assert lines[-1] == "0 of 5 agents done; edge-1 sending 25 % of 40.0 MB; 5.00 MB/s, 6 s left"
    at(3)
    for name in ("edge-2", "edge-3", "edge-4"):
        shown.begin(name, "loading")
    shown.end("edge-1")
    at(4)
    shown.begin("edge-5", "loading")
    assert lines[-1] == "1 of 5 agents done; edge-2 loading; edge-3 loading; edge-4 loading; 1 more; 2.50 MB/s"


def test_the_rate_is_that_of_the_last_seconds_not_of_the_whole_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, lines = [0.0], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = Progress(lines.append, 1)
    shown.begin("edge-1", "sending", 10**9)
    for second in range(1, 200):
        now[0] = float(second)
        shown.moved("edge-1", 1_000_000 if second < 100 else 4_000_000)
    assert "4.00 MB/s" in lines[-1]
