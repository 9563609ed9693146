"""JSON that comes from outside, parsed within bounds: whoever wrote it, the result is a value or a ValueError. Pure."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 64
"""Levels of nesting; an image's manifest has 4, a Controller's answer about 6."""
MOST_VALUES = 1_000_000
"""Values in one text, as far as its commas and brackets tell. Small ones need 70 bytes of memory each, where their text
needs 3."""
LONGEST_NUMBER = 20
"""Characters: 2**64 has 20 digits. Larger ones make an OverflowError of any later arithmetic."""


def json_of(raw: bytes | str) -> Any:
    """A JSON text's value. ValueError, in words for people, if it is none or is out of bounds: also where it has lone
    surrogates, NaN or numbers beyond 64 bits, which Python alone would take and trip over later."""
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8-sig")
        if sum(map(text.count, ",[{")) > MOST_VALUES:
            raise ValueError(f"it has more than {MOST_VALUES} values")
        value = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_refuse)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        raise ValueError("it is not UTF-8") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except json.JSONDecodeError as problem:
        raise ValueError(f"it is not JSON: {problem}") from None
    _check_depth(value)
    return value


def object_of(raw: bytes | str) -> dict[str, Any]:
    """A JSON object's fields. ValueError as ``json_of``, or if it is something else."""
    value = json_of(raw)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


_TOO_DEEP = f"it is nested more than {DEEPEST} deep"


def _check_depth(value: Any) -> None:
    """Level by level, as whatever calls itself may be led too deep."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _whole(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"it has a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("it has a number that is too large")
    return number


def _refuse(constant: str) -> None:
    raise ValueError(f"it has {constant}, which is not JSON")
