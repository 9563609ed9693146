"""What is done behind the sender's back: in order, no further than the first error, and waited for or not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from pulumi_iofog.errors import CorruptLayer, Unreachable
from pulumi_iofog.rollout.worker import Worker, after


def fail(problem: Exception) -> Callable[[], None]:
    def act() -> None:
        raise problem

    return act


CORRUPT = CorruptLayer("edge", "proving", "another sha256")


def test_things_are_done_one_after_the_other() -> None:
    done: list[int] = []
    with Worker() as behind:
        for number in range(5):
            behind.do(lambda number=number: done.append(number))  # type: ignore[misc]
        behind.finish()
    assert done == [0, 1, 2, 3, 4]


def test_after_an_error_nothing_more_is_done_and_it_is_raised() -> None:
    done: list[str] = []
    with Worker() as behind:
        behind.do(fail(CORRUPT))
        with suppress(CorruptLayer):  # already here, where it was quick
            behind.do(lambda: done.append("more"))
        with pytest.raises(CorruptLayer):
            behind.finish()
    assert done == []


def test_one_lane_waits_for_what_another_does_and_fails_with_it() -> None:
    gate, done = threading.Event(), []  # type: ignore[var-annotated]
    with Worker() as one, Worker() as other:
        first = one.do(lambda: (gate.wait(5), done.append("first"))[1])
        other.do(after(first, lambda: done.append("second")))
        gate.set()
        other.finish()
    assert done == ["first", "second"]
    with Worker() as one, Worker() as other:
        other.do(after(one.do(fail(CORRUPT)), lambda: done.append("never")))
        with pytest.raises(CorruptLayer):
            other.finish()
    assert "never" not in done


@pytest.mark.parametrize(("problem", "waits"), [(CORRUPT, True), (Unreachable("edge", "sending", "lost"), False)])
def test_whoever_tries_again_finds_the_host_at_rest_but_a_lost_link_is_not_waited_for(
    problem: Exception, waits: bool
) -> None:
    begun, gate, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        gate.wait(5)
        done.set()

    def fails() -> None:
        with Worker() as behind:
            behind.do(work)
            assert begun.wait(5)
            timer.start()
            raise problem

    timer = threading.Timer(0.2, gate.set)
    with pytest.raises(type(problem)):
        fails()
    assert done.is_set() == waits
    timer.join()
    assert done.wait(5)
