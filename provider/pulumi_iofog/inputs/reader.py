"""Reads typed values out of an object of inputs, and notes every failure with its path. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pulumi_iofog.errors import Failures

T = TypeVar("T")


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
"""Stands in inputs for a value that is known only once another resource has been made."""


class Fields:
    """Takes typed values out of one object of the inputs, noting failures and unknowns by path.

    Args:
        path: of the object; empty for the top.
        value: the object.
        failures: where failures are gathered, of this object and those inside it.
        unknown: where the paths of values that are not known yet are gathered.
        strict: False for what another version of this package may have written: no failure is noted, and what cannot be
            read is as if it were absent.
    """

    def __init__(
        self, path: str, value: Mapping[str, Any], failures: Failures, unknown: set[str], *, strict: bool = True
    ) -> None:
        self.path, self.value, self.failures, self.unknown, self.strict = path, value, failures, unknown, strict
        self.asked: set[str] = set()

    def fail(self, key: str, reason: str) -> None:
        self._fail(self._at(key), reason)

    def _fail(self, path: str, reason: str) -> None:
        if self.strict:
            self.failures.add(path, reason)

    def take(self, key: str) -> Any:
        """The raw value; None where it is absent or not known yet."""
        self.asked.add(key)
        value = self.value.get(key)
        if value is UNKNOWN:
            self.unknown.add(self._at(key))
            return None
        return value

    def inside(self, path: str, value: Any) -> Fields | None:
        """A reader of an object one level down."""
        if value is None:
            return None
        if value is UNKNOWN:
            self.unknown.add(path)
            return None
        if not isinstance(value, Mapping):
            self._fail(path, f"must be an object, not {_kind(value)}")
            return None
        return Fields(path, value, self.failures, self.unknown, strict=self.strict)

    def items(self, key: str) -> Sequence[Any] | None:
        value = self.take(key)
        if value is None:
            return None if self._at(key) in self.unknown else ()
        if isinstance(value, str) or not isinstance(value, Sequence):
            self.fail(key, f"must be a list, not {_kind(value)}")
            return None
        return value

    def text(self, key: str, *, required: bool = False) -> str | None:
        value = self.take(key)
        if value is None or value == "":
            if required and self._at(key) not in self.unknown:
                self.fail(key, "is required")
            return None
        return self._typed(key, value, str, "text")

    def choice(self, key: str, allowed: Sequence[str]) -> str | None:
        value = self.text(key)
        if value is not None and value not in allowed:
            self.fail(key, f"must be one of {', '.join(allowed)}, not {value!r}")
            return None
        return value

    def number(self, key: str, *, low: int, high: int) -> int | None:
        value = self.take(key)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(key, f"must be a whole number, not {_kind(value)}")
            return None
        if not low <= value <= high:
            self.fail(key, f"must be between {low} and {high}, not {value}")
            return None
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.optional_flag(key)
        return default if value is None else value

    def optional_flag(self, key: str) -> bool | None:
        value = self.take(key)
        return None if value is None else self._typed(key, value, bool, "true or false")

    def refuse_others(self) -> None:
        """Fail every field that nobody has read, and suggest the nearest one that exists."""
        for key in self.value:
            if self.strict and key not in self.asked and not key.startswith("__"):
                near = difflib.get_close_matches(key, sorted(self.asked), n=1)
                self.fail(key, "there is no such field" + (f"; did you mean {near[0]}?" if near else ""))

    def _typed(self, key: str, value: Any, wanted: type[T], words: str) -> T | None:
        if isinstance(value, wanted):
            return value
        self.fail(key, f"must be {words}, not {_kind(value)}")
        return None

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def _kind(value: Any) -> str:
    """A value's type in words; never the value, which may be a secret."""
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else type(value).__name__)
