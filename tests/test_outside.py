"""JSON from outside."""

from __future__ import annotations

import json
import time

import pytest

from pulumi_iofog.outside import DEEPEST, MOST_VALUES, json_of, object_of


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "it is not JSON: Expecting value"),
        (b"{", "it is not JSON"),
        (b"\xff", "it is not UTF-8"),
        (b'"\xed\xa0\x80"', "it is not UTF-8"),
        (b'["\\ud800"]', "it is not UTF-8"),
        (b'{"\\uDC00": 1}', "it is not UTF-8"),
        (b"[" * 100_000, "it is nested more than 64 deep"),
        (b'{"a":' * 100_000, "it is nested more than 64 deep"),
        (b"[" * (DEEPEST + 2) + b"]" * (DEEPEST + 2), "it is nested more than 64 deep"),
        (b"[" + b"1," * MOST_VALUES + b"1]", "it has more than 1000000 values"),
        (b"9" * 400, "it has a number of 400 digits"),
        (b"-" + b"9" * 10_000, "it has a number of 10001 digits"),
        (b"1e999", "it has a number that is too large"),
        (b"NaN", "it has NaN, which is not JSON"),
        (b"[-Infinity]", "it has -Infinity, which is not JSON"),
    ],
    ids=lambda value: str(value[:20]),
)
def test_what_is_refused(raw: bytes, why: str) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match=f"^{why}"):
        json_of(raw)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "value", [None, [], {"a": [1.5, -1, True, None, "\U0001f600 \x00"]}, 2**64 - 1, json.loads("[" * 64 + "]" * 64)]
)
def test_what_is_taken(value: object) -> None:
    assert json_of(json.dumps(value)) == json_of(json.dumps(value).encode()) == value


def test_an_object() -> None:
    assert object_of(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    with pytest.raises(ValueError, match="it is not a JSON object"):
        object_of(b"[]")
