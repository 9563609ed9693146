"""What is wrong with inputs is gathered, and told all at once."""

from __future__ import annotations

import pickle

import pytest

from pulumi_iofog.errors import ControllerError, Failure, Failures, InputError


def _raise(problem: Exception) -> None:
    raise problem


def test_every_failure_is_told_at_once_with_its_path() -> None:
    failures = Failures()
    failures.add("x86", "is required")
    assert failures.attempt("controller", lambda: "answer") == "answer"
    assert failures.attempt("controller", lambda: _raise(ControllerError("c", "asking", "refused"))) is None
    with pytest.raises(InputError) as caught:
        failures.raise_if_any()
    assert caught.value.failures == tuple(failures)
    assert str(caught.value) == "x86: is required; c: asking: refused"
    assert pickle.loads(pickle.dumps(caught.value)).failures == caught.value.failures  # noqa: S301


def test_failures_of_an_attempt_keep_their_own_paths() -> None:
    inner, failures = [Failure("agents[0].host", "a"), Failure("agents[1].host", "b")], Failures()
    assert failures.attempt("agents", lambda: _raise(InputError(inner))) is None
    assert list(failures) == inner


def test_the_same_failure_is_told_once() -> None:
    failures = Failures()
    for _ in range(2):
        failures.attempt("controller", lambda: _raise(ControllerError("c", "asking", "refused")))
    assert [failure.path for failure in failures] == [""]


def test_what_is_no_error_of_ours_is_a_bug_and_goes_on() -> None:
    with pytest.raises(ZeroDivisionError):
        Failures().attempt("x86", lambda: 1 / 0)


@pytest.mark.parametrize(
    ("why", "hint", "said"),
    [
        ("refused.", "", "e: asking: refused"),
        ("refused", "Try again", "e: asking: refused. Try again"),
        ("is it running?", "Start it", "e: asking: is it running? Start it"),
    ],
)
def test_a_hint_follows_as_a_sentence_of_its_own(why: str, hint: str, said: str) -> None:
    assert str(ControllerError("e", "asking", why, hint)) == said


def test_nothing_wrong_is_nothing_raised() -> None:
    Failures().raise_if_any()
