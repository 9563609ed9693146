"""Whatever bytes a parser is given, it gives a value or an error of ours, soon."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target

ODD = [None, True, 1.5, -1, 10**30, "", "x\x1b[2J", "<{%fg 1%}>", [], [1], [None], {}, {"a": 1}, [[1, 2]], "\u202e"]
"""Values of another type than whoever reads them expects."""


def _edited(sample: bytes) -> st.SearchStrategy[bytes]:
    """The sample with a few places overwritten, cut out or filled in."""
    edit = st.tuples(st.integers(0, len(sample)), st.integers(0, 9), st.binary(max_size=9))

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        data = sample
        for at, gone, new in edits:
            data = data[:at] + new + data[at + gone :]
        return data

    return st.lists(edit, max_size=4).map(apply)


def _retyped(sample: bytes) -> st.SearchStrategy[bytes]:
    """JSON with one of its values, at any depth, replaced by an odd one."""
    try:
        places = list(_places(json.loads(sample)))
    except ValueError:
        return st.nothing()
    return st.tuples(st.sampled_from(places), st.sampled_from(ODD)).map(lambda drawn: _put(sample, *drawn))


def _places(value: Any, at: tuple[Any, ...] = ()) -> Any:
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from _places(each, (*at, key))


def _put(sample: bytes, at: tuple[Any, ...], odd: Any) -> bytes:
    whole = {"": json.loads(sample)}
    where: Any = whole
    *before, last = ("", *at)
    for key in before:
        where = where[key]
    where[last] = odd
    return json.dumps(whole[""]).encode()


def _inputs(target: Target) -> st.SearchStrategy[bytes]:
    kinds = [each for sample in target.samples for each in (_edited(sample), _retyped(sample))]
    return st.one_of(st.binary(max_size=100), *kinds)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_value_or_an_error_of_ours_soon(target: Target) -> None:
    @settings(
        max_examples=80,
        deadline=2000,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(_inputs(target))
    def holds(data: bytes) -> None:
        target.check(data)

    for sample in target.samples:
        target.check(sample)
    holds()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"- " * 100_000,
        b"\xff\xfe\x00",
        b"9" * 10_000,
        b"\0" * 1024,
        b"a" * 300_000,
    ],
    ids=["nothing", "nested", "nested objects", "nested lists", "no text", "digits", "zeros", "long"],
)
def test_what_trips_parsers(target: Target, data: bytes) -> None:
    target.check(data)
