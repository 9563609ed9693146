"""The line that a rollout shows while it runs."""

from __future__ import annotations

import pytest

from pulumi_iofog.rollout import progress
from pulumi_iofog.rollout.progress import Progress


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    return clock


def test_the_line_says_how_far_who_is_doing_what_how_fast_and_how_long_still(now: list[float]) -> None:
    lines = list[str]()
    shown = Progress(lines.append, 5)
    now[0] = 1
    shown.begin("edge-1", "connecting")
    assert lines == ["0%: edge-1 connecting; 0 of 5 agents done"]
    now[0] = 1.1
    shown.begin("edge-1", "sending", 40_000_000)
    assert len(lines) == 1, "not more often than people can read"
    now[0] = 2
    shown.moved("edge-1", 10_000_000)
    assert lines[-1] == "5% 10.0 of 40.0 MB: edge-1 25%; 0 of 5 agents done; 5.00 MB/s, 6 s left"
    now[0] = 3
    for name in ("edge-2", "edge-3", "edge-4"):
        shown.begin(name, "loading")
    shown.end("edge-1")
    now[0] = 4
    shown.begin("edge-5", "loading")
    assert lines[-1] == "20%: edge-2 loading, edge-3 loading, edge-4 loading, 1 more; 1 of 5 agents done; 2.50 MB/s"


def test_what_matters_comes_first(now: list[float]) -> None:
    """A terminal of 80 columns has 2 for it, one of 120 has 42 (tests/e2e/test_terminal.py)."""
    lines = list[str]()
    shown = Progress(lines.append, 2)
    shown.begin("edge-1", "sending", 40_000_000)
    shown.begin("edge-2", "loading")
    now[0] = 2
    shown.moved("edge-1", 30_000_000)
    assert lines[-1][:2] == "37"
    assert lines[-1][:42] == "37% 30.0 of 40.0 MB: edge-1 75%, edge-2 lo"


def test_an_agent_goes_on_from_where_it_was_when_something_else_begins(now: list[float]) -> None:
    lines = list[str]()
    shown = Progress(lines.append, 1)
    shown.begin("edge-1", "sending", 100)
    shown.moved("edge-1", 80)
    for second, doing in enumerate(("loading", "sending", "waiting for the link"), start=1):
        now[0] = second
        shown.begin("edge-1", doing, 100 if doing == "sending" else 0)
    assert [line.partition("%")[0] for line in lines] == ["80", "80", "80"]


def test_an_agent_that_failed_is_not_done_and_is_named(now: list[float]) -> None:
    lines = list[str]()
    shown = Progress(lines.append, 6)
    for number in range(1, 6):
        shown.end(f"edge-{number}", failed=number > 1)
    now[0] = 1
    shown.begin("edge-6", "connecting")
    assert lines[-1] == ("83%: edge-6 connecting; 1 of 6 agents done, 4 failed (edge-2, edge-3, edge-4, 1 more)")


def test_the_rate_is_that_of_the_last_seconds_not_of_the_whole_time(now: list[float]) -> None:
    lines = list[str]()
    shown = Progress(lines.append, 1)
    shown.begin("edge-1", "sending", 10**9)
    for second in range(1, 200):
        now[0] = float(second)
        shown.moved("edge-1", 1_000_000 if second < 100 else 4_000_000)
    assert "4.00 MB/s" in lines[-1]


def test_what_is_waited_for_comes_first_and_at_once(now: list[float]) -> None:
    lines = list[str]()
    shown = Progress(lines.append, 2)
    now[0] = 1
    shown.begin("edge-1", "loading")
    shown.waits("edge-1", "")
    assert lines == ["0%: edge-1 loading; 0 of 2 agents done"]
    shown.waits("edge-1", "dockerd on edge-1 has not answered for 30 s")
    assert lines[-1] == "dockerd on edge-1 has not answered for 30 s; 0%: edge-1 loading; 0 of 2 agents done"
    shown.waits("edge-1", "dockerd on edge-1 has not answered for 30 s")
    assert len(lines) == 2, "the same only once"
    shown.waits("edge-1", "")
    assert lines[-1] == "0%: edge-1 loading; 0 of 2 agents done"
    shown.waits("edge-2", "waiting for another pulumi")
    now[0] = 2
    shown.end("edge-2", failed=True)
    assert lines[-1] == "50%: edge-1 loading; 0 of 2 agents done, 1 failed (edge-2)"
