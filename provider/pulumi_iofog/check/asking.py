"""The Controller, asked until it fails once: that is one failure, and not one for each question. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pulumi_iofog.check.lookups import Controller
from pulumi_iofog.errors import Failures

T = TypeVar("T")


class Asking:
    """Puts a check's questions to the Controller.

    Args:
        connect: connects when first called; None while the Controller is not known yet.
        failures: where it is noted that the Controller cannot be asked, or refuses what is wanted.
    """

    def __init__(self, connect: Callable[[], Controller] | None, failures: Failures) -> None:
        self._connect, self._failures = connect, failures

    def ask(self, question: Callable[[Controller], T]) -> T | None:
        """The answer; None where there is none, now or since an earlier question."""
        connect = self._connect
        if connect is None:
            return None
        answer = self._failures.attempt("controller", lambda: question(connect()))
        if answer is None:
            self._connect = None
        return answer
