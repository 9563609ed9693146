"""Bad input that is found while the program runs: a message to whoever runs it, and no traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pulumi

from pulumi_iofog.errors import InputError

T = TypeVar("T")


class Refused(InputError, pulumi.RunError):
    """An InputError of which Pulumi shows the message alone."""

    @classmethod
    def instead(cls, act: Callable[[], T]) -> T:
        """What ``act`` returns. An InputError that it raises becomes one of these."""
        try:
            return act()
        except InputError as problem:
            raise cls(problem.failures) from None
