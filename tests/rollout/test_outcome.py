"""What is said of all agents together."""

from __future__ import annotations

import pytest

from pulumi_iofog.errors import RolloutFailed
from pulumi_iofog.rollout.outcome import Outcome, brought, missed, pending, report


def failed(name: str) -> Outcome:
    return Outcome(name, error=f"{name}: connecting: refused")


def test_failures_are_one_error_with_a_line_each() -> None:
    outcomes = [Outcome("a", updated=True), failed("b"), failed("c")]
    with pytest.raises(RolloutFailed) as caught:
        pending(outcomes, max_unavailable=1)
    assert str(caught.value).splitlines() == [
        "2 of 3 agents failed (max_unavailable is 1); the other one will be skipped by the next pulumi up,"
        " as it holds the image",
        "  b: connecting: refused",
        "  c: connecting: refused",
    ]
    with pytest.raises(RolloutFailed, match=r"; the other 2 will be skipped by the next pulumi up, as they hold the"):
        pending([*outcomes, Outcome("d")], max_unavailable=1)
    assert pending(outcomes, max_unavailable=2) == ["b", "c"]


@pytest.mark.parametrize(
    ("outcomes", "line"),
    [
        (
            [Outcome(f"e{n}", updated=True, sent=13_733_333, total=79_333_333) for n in range(3)] + [Outcome("e4")],
            "3 agents updated, 1 already had it; 41.2 MB sent instead of 238 MB",
        ),
        ([Outcome("e1", updated=True, sent=10, total=10)], "1 agent updated; 10 B sent"),
        ([Outcome("e1"), Outcome("e2")], "2 agents already had it"),
        (
            [Outcome("e1", updated=True, sent=5, total=10), failed("e2")],
            "1 agent updated, 1 agent pending: e2; 5 B sent instead of 10 B",
        ),
    ],
)
def test_report(outcomes: list[Outcome], line: str) -> None:
    assert report(outcomes) == line


def test_who_of_some_agents_holds_the_image() -> None:
    outcomes = [Outcome("a", updated=True), Outcome("b", error="refused"), Outcome("c")]
    assert [brought(outcomes, agents) for agents in (["a", "b"], ["c"], ["b"], [])] == [True, True, False, False]
    assert missed(outcomes, ["a", "b", "d"]) == ["b"]
