"""Signing in to a registry: Basic, Bearer and its token service, and what is never said of it."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pulumi_iofog.adapters.registry.http import CHUNK
from pulumi_iofog.errors import RegistryError
from pulumi_iofog.inputs.spec import RegistryAuth
from tests.adapters.conftest import MakeRegistry
from tests.adapters.registry.registry_server import (
    DATA,
    LAYER,
    RAW,
    Act,
    RegistryServer,
    answer,
    basic,
    cut,
    error,
    hang_up,
)
from tests.images import make_image

AUTH = RegistryAuth("ci", "hidden")
CI = basic("ci", "hidden")


def _identity_token(folder: Path, server: RegistryServer) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps({"auths": {server.address: {"identitytoken": "hidden"}}}))
    return file


# ---- Bearer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", [None, AUTH])
def test_a_token_is_asked_for_once(
    server: RegistryServer, make_registry: MakeRegistry, auth: RegistryAuth | None
) -> None:
    """Anonymously, or with Basic; only what is needed is asked for, as the challenge has it."""
    server.want_tokens(CI if auth else "")
    registry = make_registry(auth)
    assert registry.manifest(server.app())[0] == RAW
    assert b"".join(registry.blob(server.app(), LAYER)) == DATA
    tokens = [asked for asked in server.asked if asked.path == "/token"]
    assert [(asked.method, asked.authorization) for asked in tokens] == [("GET", CI if auth else "")]
    assert tokens[0].query == {"service": ["registry"], "scope": ["repository:app:pull,push"]}
    assert server.connections == 2  # the first finds out that there is no TLS


def test_an_identity_token_is_exchanged(server: RegistryServer, make_registry: MakeRegistry, tmp_path: Path) -> None:
    server.want_tokens("hidden")
    registry = make_registry(docker_config=_identity_token(tmp_path, server))
    assert registry.manifest(server.app())[0] == RAW
    (asked,) = [asked for asked in server.asked if asked.path == "/token"]
    assert (asked.method, asked.query, asked.authorization) == ("POST", {}, "")
    assert asked.form == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["hidden"],
        "client_id": ["pulumi-iofog"],
        "service": ["registry"],
        "scope": ["repository:app:pull,push"],
    }


def test_a_helpers_identity_token_is_exchanged(
    server: RegistryServer, make_registry: MakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Azure's helper answers: the user is ``<token>``."""
    helper = tmp_path / "docker-credential-plant"
    helper.write_text('#!/bin/sh\necho \'{"Username": "<token>", "Secret": "hidden"}\'\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "plant"}))
    server.want_tokens("hidden")
    assert make_registry(docker_config=tmp_path / "config.json").manifest(server.app())[0] == RAW
    (asked,) = [asked for asked in server.asked if asked.path == "/token"]
    assert (asked.method, asked.form["refresh_token"]) == ("POST", ["hidden"])


def test_an_identity_token_does_not_follow_a_redirect(
    server: RegistryServer, make_registry: MakeRegistry, tmp_path: Path
) -> None:
    server.want_tokens("hidden")
    server.next(answer(307, Location="/elsewhere"), at="/token")
    with pytest.raises(RegistryError, match=r"signing in with docker's identity token for .*HTTP status 307"):
        make_registry(docker_config=_identity_token(tmp_path, server)).manifest(server.app())
    assert "/elsewhere" not in server.paths()


def test_tokens_that_are_refused_before_their_time(server: RegistryServer, make_registry: MakeRegistry) -> None:
    """Every second request meets a token that is no good any more, also in the middle of a blob."""
    big = make_image({"app": bytes(range(256)) * 40_000})
    layer = big.image.layers[0].blob
    server.add(big)
    server.want_tokens(CI)
    server.tokens = 1
    registry = make_registry(AUTH)
    registry.manifest(server.app())
    server.content[f"/v2/app/blobs/{layer.digest}"] = (b"x" * layer.size, "")
    registry.manifest(server.app())
    assert b"".join(registry.blob(server.app(), layer)) == b"x" * layer.size
    assert server.paths().count("/token") == 3


def test_a_token_that_is_refused_in_the_middle_of_a_blob(server: RegistryServer, make_registry: MakeRegistry) -> None:
    data = bytes(3 * CHUNK)
    made = make_image({"app": b""})
    layer = made.image.layers[0].blob
    layer = type(layer)(layer.digest, len(data), "")
    server.content[f"/v2/app/blobs/{layer.digest}"] = (data, "")
    server.want_tokens("")
    server.tokens = 1
    registry = make_registry()
    registry.manifest(server.app())
    server.admitted = dict.fromkeys(server.admitted, 1)
    server.next(cut(CHUNK), at="/v2/app/blobs/")  # with the first token, for the last time
    assert b"".join(registry.blob(server.app(), layer)) == data
    assert server.asked[-1].range == f"bytes={CHUNK}-"
    assert server.paths().count("/token") == 2


@pytest.mark.parametrize("act", [answer(503), answer(429, Retry_After="0"), hang_up])
def test_a_token_service_that_is_busy(server: RegistryServer, make_registry: MakeRegistry, act: Act) -> None:
    server.want_tokens(CI)
    server.next(act, at="/token", times=3)
    assert make_registry(AUTH).manifest(server.app())[0] == RAW


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"token": ""}',
        b'{"token": 7}',
        b'{"token": "a\\nb"}',
        b'{"token": "x", "expires_in": "soon"}',
    ],
)
def test_a_token_service_that_is_none(server: RegistryServer, make_registry: MakeRegistry, body: bytes) -> None:
    server.want_tokens(CI)
    server.next(answer(200, body), at="/token")
    with pytest.raises(RegistryError, match=r"signing in as ci for .*: the token service gave no token"):
        make_registry(AUTH).manifest(server.app())


def test_a_token_service_that_refuses(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.want_tokens("somebody else")
    wanted = (
        rf"signing in as ci for {server.address}/app:1: the token service answered HTTP status 401"
        rf" \(incorrect username or password\)\. Check auth=, or run: docker login {server.address}$"
    )
    with pytest.raises(RegistryError, match=wanted):
        make_registry(AUTH).manifest(server.app())


def test_a_token_that_the_registry_does_not_take(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.want_tokens(CI)
    server.tokens = 0
    with pytest.raises(RegistryError, match=r"not allowed as ci \(authentication required\)\. Set auth="):
        make_registry(AUTH).manifest(server.app())
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "challenge",
    [
        'bearer  Realm = "{realm}" , Service=registry',
        'Basic realm="a, b", Bearer realm="{realm}"',
        'Negotiate, Bearer realm="{realm}",error="invalid_token"',
    ],
)
def test_challenges_in_other_forms(server: RegistryServer, make_registry: MakeRegistry, challenge: str) -> None:
    server.want_tokens("")
    server.challenge = challenge.format(realm=server.realm)
    assert make_registry().manifest(server.app())[0] == RAW


def test_a_challenge_of_several_scopes(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.want_tokens("")
    server.challenge = f'Bearer realm="{server.realm}",scope="repository:app:pull repository:base:pull"'
    make_registry().manifest(server.app())
    (asked,) = [asked for asked in server.asked if asked.path == "/token"]
    assert asked.query == {"scope": ["repository:app:pull", "repository:base:pull"]}


@pytest.mark.parametrize("challenge", ["Negotiate", "", 'Digest realm="x"', 'Basic realm="x"'])
def test_challenges_that_cannot_be_met(server: RegistryServer, make_registry: MakeRegistry, challenge: str) -> None:
    server.always(answer(401, error("who is there"), WWW_Authenticate=challenge), at="/v2/")
    with pytest.raises(RegistryError, match=r"not allowed anonymously \(who is there\)\. Set auth=, or run: docker"):
        make_registry().manifest(server.app())
    assert len(server.asked) == 1


# ---- Basic ------------------------------------------------------------------------------------------


def test_basic(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.challenge = 'Basic realm="registry"'
    server.admitted[CI] = 2
    registry = make_registry(AUTH)
    registry.manifest(server.app())
    registry.manifest(server.app())
    assert [asked.authorization for asked in server.asked] == ["", CI, CI]
    with pytest.raises(RegistryError, match="not allowed as ci"):
        registry.manifest(server.app())
    assert len(server.asked) == 4  # what was refused is not sent again


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_many_threads_sign_in_at_once(server: RegistryServer, make_registry: MakeRegistry, scheme: str) -> None:
    if scheme == "Basic":
        server.challenge = 'Basic realm="registry"'
        server.admitted[CI] = float("inf")
    else:
        server.want_tokens(CI)
    registry = make_registry(AUTH)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: registry.manifest(server.app())[0], range(24)))
    assert answers == [RAW] * 24


# ---- secrets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
@pytest.mark.parametrize("at", ["/v2/", "/token"])
def test_no_error_repeats_a_secret(
    server: RegistryServer, make_registry: MakeRegistry, status: int, at: str, tmp_path: Path, log_file: Path
) -> None:
    """Also where the other side's own words do; and no line of the log."""
    server.want_tokens(CI, "hidden")
    for registry in (make_registry(AUTH), make_registry(docker_config=_identity_token(tmp_path, server))):
        server.asked.clear()
        registry.manifest(server.app())
        token = server.asked[-1].authorization.partition(" ")[2]
        header = next(asked.authorization for asked in server.asked if asked.path == "/token").partition(" ")[2]
        secrets = ["hidden", *filter(None, [token if at == "/v2/" else header])]
        server.admitted.clear()
        server.always(answer(status, error(f"bad: {' '.join(secrets)}")), at=at)
        with pytest.raises(RegistryError) as caught:
            registry.manifest(server.app())
        server.recover()
        for secret in secrets:
            assert secret not in f"{caught.value!s}{caught.value!r}{caught.value.args}{log_file.read_text()}"
        assert "bad: [secret]" in str(caught.value)
        assert f" request status={status} " in log_file.read_text()
