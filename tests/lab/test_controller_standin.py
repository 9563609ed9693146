"""The stand-in must answer what two real Controllers answered to the same requests."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import requests

from lab.controller import ControllerStandIn
from tests.lab.client import DIALECTS, Client, client, refusal

CASES = Path(__file__).parent.parent / "cases" / "controller"
VARYING = {"timestamp", "uptimeSec", "accessToken", "refreshToken", "createdAt", "updatedAt", "uuid", "iofogUuid"}
VARYING |= {"microserviceUuid", "microservice_uuid"}


@pytest.mark.parametrize("dialect", ["3.0.4", "3.7.3"])
def test_every_recorded_request_is_answered_alike(dialect: str) -> None:
    recorded = [json.loads(line) for line in (CASES / f"recorded-{dialect}.jsonl").read_text().splitlines()]
    translate: dict[str, str] = {}
    token = ""
    with _as_recorded(dialect) as stand_in, requests.Session() as session:
        for entry in recorded:
            request, wanted = entry["request"], entry["response"]
            prefix = "" if dialect == "3.0.4" else "Bearer "
            headers = {"valid": {"Authorization": prefix + token}, "bad": {"Authorization": prefix + "bad"}}
            got = session.request(
                request["method"],
                stand_in.endpoint + _translated(request["path"], translate),
                headers=headers.get(request["auth"], {}),
                json=_translated(request["body"], translate),
                timeout=5,
            )
            body = got.json() if got.content else None
            assert got.status_code == wanted["status"], entry["step"]
            assert got.headers.get("Content-Type") == wanted["contentType"], entry["step"]
            assert _steady(body) == _steady(wanted["body"]), entry["step"]
            if isinstance(body, dict):
                token = body.get("accessToken", token)
                translate |= {wanted["body"][key]: body[key] for key in ("uuid",) if key in body}
    assert len(recorded) > 40


def _as_recorded(dialect: str) -> ControllerStandIn:
    # 3.0.4 keeps its users itself: the recording begins with the first one's sign-up.
    return ControllerStandIn(dialect, email="") if dialect == "3.0.4" else ControllerStandIn(dialect)


def _translated(value: Any, table: dict[str, str]) -> Any:
    """The request with the recorded uuids replaced by ours."""
    text = json.dumps(value)
    for theirs, ours in table.items():
        text = text.replace(theirs, ours)
    return json.loads(text)


def _steady(value: Any) -> Any:
    """The body without what no two runs share; the fields themselves must be there."""
    if isinstance(value, dict):
        return {key: "…" if key in VARYING and item else _steady(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_steady(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"ioFog UUID '[^']+'", "ioFog UUID '…'", value)
    return value


def test_state_outlives_the_process(tmp_path: Path) -> None:
    item = {"name": "g", "registryId": 2, "images": [{"containerImage": "a:1", "fogTypeId": 1}]}
    for expected in (201, 409):
        with ControllerStandIn(state=tmp_path / "state.json") as stand_in, requests.Session() as session:
            answer = Client(stand_in, session).ask("POST", "/catalog/microservices", item)
            assert answer.status_code == expected


def test_what_3_9_says_otherwise() -> None:
    """Not recorded: taken from its source. A row only for what it was given, none twice, up to four."""
    with client("3.9.0") as user:

        def post(*arch_ids: int) -> requests.Response:
            images = [{"containerImage": "a:1", "archId": number} for number in arch_ids]
            return user.ask("POST", "/catalog/microservices", {"name": "g", "registryId": 2, "images": images})

        assert refusal(post(3, 3)) == (400, "ValidationError", "Duplicate archId '3' in images")
        assert post(5).status_code == 400
        made = post(3).json()["id"]
        item = user.ask("GET", f"/catalog/microservices/{made}").json()
        assert item["images"] == [{"containerImage": "a:1", "archId": 3}]
        old = {"name": "h", "registryId": 2, "images": [{"containerImage": "a:1", "fogTypeId": 1}]}
        assert user.ask("POST", "/catalog/microservices", old).status_code == 400


# ---- signing in -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "scheme", "status"),
    [
        ("3.0.4", "", 200),
        ("3.0.4", "Bearer ", 401),
        ("3.0.4", "bearer ", 401),
        ("3.7.3", "Bearer ", 200),
        ("3.7.3", "bearer ", 200),
        ("3.7.3", "BEARER ", 401),
        ("3.7.3", "", 401),
        ("3.9.0", "Bearer ", 200),
        ("3.9.0", "bearer ", 401),
    ],
)
def test_what_stands_before_a_token(dialect: str, scheme: str, status: int) -> None:
    with client(dialect) as user:
        user.headers["Authorization"] = scheme + user.token
        assert user.ask("GET", "/iofog-list").status_code == status


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"email": "", "password": "testpass123"}, "Invalid format for field 'email'"),
        ({"email": "user@localhost", "password": "testpass123"}, "Invalid format for field 'email'"),
        ({"email": None, "password": "testpass123"}, "Field 'email' is not of a type(s) string"),
        ({"email": "user@domain.com"}, "Required field 'password' is missing"),
        ([], "Field 'instance' is not of a type(s) object"),
    ],
)
def test_what_is_no_login(dialect: str, body: Any, message: str) -> None:
    """By the schemas of 3.0.4 and 3.7.3 (src/schemas/user.js)."""
    with client(dialect) as user:
        assert refusal(user.ask("POST", "/user/login", body)) == (400, "ValidationError", message)


def test_an_email_that_is_none_signs_nobody_up() -> None:
    with client("3.0.4") as user:
        body = {"firstName": "Alice", "lastName": "Bob", "email": "alice@localhost", "password": "testpass123"}
        why = "Invalid format for field 'email'"
        assert refusal(user.ask("POST", "/user/signup", body)) == (400, "ValidationError", why)
        assert user.ask("POST", "/user/signup", {**body, "email": "alice@domain.com"}).status_code == 201


# ---- bodies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b'{"name": ', 400),
        (b"nonsense", 400),
        (b'"text"', 400),
        (b"null", 400),
        (b"\xff\xfe", 400),
        (b'{"name": "' + b"x" * 200_000 + b'"}', 413),
        (b"x" * (100 * 1024 + 1), 413),
        (b"x" * (100 * 1024), 400),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_bodies_that_nobody_can_read(dialect: str, text: bytes, status: int) -> None:
    with client(dialect) as user:
        for path in ("/catalog/microservices", "/user/login", "/nowhere"):
            answer = user.ask("POST", path, text=text)
            assert answer.status_code == status
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        user.headers.clear()
        assert user.ask("POST", "/iofog", text=text).status_code == status, "before the token is looked at"


def test_a_body_that_does_not_say_it_is_json_is_not_read() -> None:
    with client("3.7.3") as user:
        user.headers["Content-Type"] = "text/plain"
        url, text = f"{user.stand_in.endpoint}/api/v3/catalog/microservices", '{"name": "gateway"'
        answer = requests.post(url, data=text, headers=user.headers, timeout=5)
        assert refusal(answer) == (400, "ValidationError", "Required field 'name' is missing")
