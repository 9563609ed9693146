"""A Controller that means harm: each answer is an error of ours with its endpoint and the request in it."""

from __future__ import annotations

import json
import re
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from pulumi_iofog.adapters.controller.controller import Controller
from pulumi_iofog.adapters.controller.http import ANSWER_LIMIT
from pulumi_iofog.adapters.http import Backoff
from pulumi_iofog.errors import ControllerError
from pulumi_iofog.inputs.spec import ControllerSettings
from tests.adapters.hostile import Harm, HostileServer, bomb, drip, endless, head, nested, says

PASSWORD = "correct-horse"
STATUS = says(json.dumps({"versions": {"controller": "3.7.3"}}).encode())
LOGIN = says(b'{"accessToken": "access-token", "refreshToken": "r"}')
NO_CONTROLLER = "this is not an ioFog Controller"

GIVEN: dict[str, tuple[Harm, str]] = {
    "endless": (endless(), "its answer is larger than 32 MiB"),
    "bomb": (bomb(), "its answer is larger than 32 MiB"),
    "bomb in a bomb": (bomb(encoding="gzip, gzip"), "encoded as gzip, gzip"),
    "drip in the head": (drip(b"HTTP/1.1 200 OK\r\nX: "), "has not ended after 1 s"),
    "drip in the body": (drip(head(200, "Content-Length: 100000")), "has not ended after 1 s"),
    "nested": (says(nested()), NO_CONTROLLER),
    "many values": (says(b"[" + b"[]," * (1 << 20) + b"[]]"), NO_CONTROLLER),
    "a 401 without end": (endless(401), "HTTP status 401|Said"),
    "a 500 that is a bomb": (bomb(500), "HTTP status 500"),
    "a 500 that is nested": (says(nested(), 500), "HTTP status 500"),
    "a 502 that drips": (drip(head(502, "Content-Length: 100000")), "HTTP status 502"),
    "a redirect without end": (endless(302, "Location: /there"), "it redirects to another location"),
    "a redirect to nothing": (says(b"", 302, "Location: http://["), "the request could not be made"),
    "a list": (says(b"[1]"), NO_CONTROLLER),
    "a text": (says(b'{"fogs": "abc"}'), NO_CONTROLLER),
    "true": (says(b'{"fogs": true}'), NO_CONTROLLER),
    "null": (says(b'{"fogs": [null]}'), NO_CONTROLLER),
    "no name": (says(b'{"fogs": [{"uuid": "u"}]}'), NO_CONTROLLER),
    "half a letter": (says(b'{"fogs": [{"name": "\\ud800", "uuid": "u"}]}'), NO_CONTROLLER),
    "a name that is a list": (says(b'{"fogs": [{"name": ["a"], "uuid": "u"}]}'), NO_CONTROLLER),
}


@contextmanager
def _controller(harms: dict[str, Harm], backoff: Backoff | None = None) -> Iterator[tuple[Controller, str]]:
    """One that answers as it should where nothing else is given; and its endpoint."""
    with HostileServer({"/api/v3/status": STATUS, "/api/v3/user/login": LOGIN, **harms}) as server:
        endpoint = f"http://{server.address}"
        settings = ControllerSettings(endpoint, "ops@example", PASSWORD)
        quick = backoff or Backoff(first=0, longest=0)
        with closing(Controller(settings, timeout=(1.0, 0.5), total=1.0, backoff=quick)) as controller:
            yield controller, endpoint


def _refusal(harms: dict[str, Harm]) -> str:
    with _controller(harms) as (controller, endpoint):
        with pytest.raises(ControllerError) as caught:
            controller.agents()
        assert str(caught.value).startswith(f"{endpoint}: ")
        assert len(str(caught.value)) < 1500
        return str(caught.value)


@pytest.mark.parametrize("what", GIVEN)
def test_an_answer_without_bounds(what: str) -> None:
    harm, wanted = GIVEN[what]
    tracemalloc.start()
    began = time.monotonic()
    assert re.search(f": listing agents: .*({wanted})", _refusal({"": harm}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - began < 10
    assert peak < 4 * ANSWER_LIMIT


@pytest.mark.parametrize(
    "raw",
    [
        b'{"versions": {"controller": [1]}}',
        b'{"versions": {"controller": "3"}}',
        b'{"versions": "3.7.3"}',
        json.dumps({"versions": {"controller": "3." + "7" * 10_000}}).encode(),
        b"[]",
    ],
    ids=lambda raw: raw.decode()[:60],
)
def test_an_odd_version(raw: bytes) -> None:
    assert NO_CONTROLLER in _refusal({"/api/v3/status": says(raw)})


@pytest.mark.parametrize(
    "body",
    [
        {"name": f"got {PASSWORD}"},
        {"error": f"got {PASSWORD}"},
        {"message": f"got {PASSWORD}", "name": "E"},
        {"name": ["x", PASSWORD], "message": {"a": PASSWORD}},
        {"message": json.dumps({"stack": f"got {PASSWORD}"})},
        {"name": PASSWORD * 1000},
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500])
def test_no_error_repeats_a_secret(status: int, body: dict[str, Any]) -> None:
    harm = says(json.dumps(body).encode(), status)
    for at in ("", "/api/v3/user/login"):
        assert PASSWORD not in _refusal({"": says(b"{}"), at: harm})


def test_a_secret_of_a_letter_blanks_out_nothing() -> None:
    login = says(b'{"accessToken": "access-token", "refreshToken": "e"}')
    refusal = says(b'{"name": "E", "message": "free beer is gone"}', 409)
    assert "free beer is gone" in _refusal({"/api/v3/user/login": login, "": refusal})


def test_retry_after_is_obeyed_up_to_a_minute_and_told() -> None:
    told: list[str] = []
    waited: list[float] = []
    busy = says(b'{"message": "busy"}', 503, "Retry-After: 100000")
    with _controller({"": busy}, Backoff(say=told.append, pause=waited.append)) as (controller, endpoint):
        with pytest.raises(ControllerError, match="HTTP status 503: busy"):
            controller.agents()
        assert waited == [60] * 3
        assert told == [f"waiting 1 min 0 s, as {endpoint} asks for it: HTTP status 503: busy"] * 3
