"""How to be let in by a registry. Part of registry.py, in a file of its own.

Sources: distribution spec (Bearer challenge: distribution.github.io/distribution/spec/auth/token),
RFC 7617 (Basic), and docker's config.json with its credential helpers.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.utils import parse_dict_header

from pulumi_iofog.errors import RegistryError
from pulumi_iofog.image import Reference
from pulumi_iofog.spec import RegistryAuth

DOCKER_HUB = "https://index.docker.io/v1/"
HELPER_TIMEOUT = 30.0
"""Seconds for a credential helper."""
TOKEN_USER = "<token>"  # noqa: S105
"""What a credential helper calls the user where the secret is an identity token."""


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    until: float


class Authenticator:
    """Answers a registry's challenges, and remembers the answer for each repository."""

    def __init__(
        self,
        session: requests.Session,
        auth: RegistryAuth | None,
        docker_config: Path | None,
        timeout: tuple[float, float],
    ) -> None:
        self._session, self._given, self._timeout = session, auth, timeout
        self._config = docker_config or _docker_config_path()
        self._tokens: dict[tuple[str, str], _Token] = {}
        self._found: dict[str, RegistryAuth | None] = {}
        self._lock = threading.Lock()

    def header(self, reference: Reference) -> dict[str, str]:
        """The Authorization header that let us in before, if it still does."""
        token = self._tokens.get((reference.domain, reference.path))
        if token is None or token.until < time.monotonic():
            return {}
        return {"Authorization": token.header}

    def whom(self, reference: Reference) -> str:
        """``as ci``, or ``anonymously``: for messages."""
        who = self._credentials(reference.domain)
        return f"as {who.username}" if who else "anonymously"

    def answer(self, reference: Reference, response: requests.Response, *, plain: bool) -> None:
        """Take up the challenge of a 401 (``WWW-Authenticate``), Bearer or Basic."""
        challenge = response.headers.get("WWW-Authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        who = self._credentials(reference.domain)
        if scheme.lower() == "bearer":
            token = self._bearer(reference, parse_dict_header(rest), who, plain=plain)  # type: ignore[no-untyped-call]
        elif scheme.lower() == "basic" and who:
            token = _Token(_basic(who), float("inf"))
        else:
            return
        self._tokens[reference.domain, reference.path] = token

    def _bearer(
        self, reference: Reference, challenge: dict[str, Any], who: RegistryAuth | None, *, plain: bool
    ) -> _Token:
        realm = str(challenge.get("realm") or "")
        if urlsplit(realm).scheme not in (("http", "https") if plain else ("https",)):
            why = f"its token service {realm or '(none)'} is not https"
            raise RegistryError(reference.domain, f"signing in for {reference}", why)
        params = {
            "service": str(challenge.get("service") or ""),
            "scope": str(challenge.get("scope") or f"repository:{reference.path}:pull"),
        }
        response = self._ask_token_service(realm, params, who)
        body = self._token_body(reference, response)
        seconds = float(body.get("expires_in") or 60)
        # A little early, so that a token does not run out on its way.
        return _Token(f"Bearer {body['token']}", time.monotonic() + max(seconds - 10, 5))

    def _ask_token_service(self, realm: str, params: dict[str, str], who: RegistryAuth | None) -> requests.Response:
        if who and who.username == TOKEN_USER:
            form = {
                **params,
                "grant_type": "refresh_token",
                "refresh_token": who.password,
                "client_id": "pulumi-iofog",
            }
            return self._session.post(realm, data=form, timeout=self._timeout)
        headers = {"Authorization": _basic(who)} if who else {}
        return self._session.get(realm, params=params, headers=headers, timeout=self._timeout)

    def _token_body(self, reference: Reference, response: requests.Response) -> dict[str, Any]:
        doing = f"signing in {self.whom(reference)} for {reference}"
        if response.status_code >= 400:
            hint = "Check auth=, or run: docker login " + reference.domain
            why = f"the token service answered HTTP status {response.status_code}"
            raise RegistryError(reference.domain, doing, why, hint)
        try:
            body = dict(response.json())
            body["token"] = body.get("token") or body["access_token"]
        except (ValueError, KeyError, TypeError):
            raise RegistryError(reference.domain, doing, "the token service gave no token") from None
        return body

    # ---- credentials ----------------------------------------------------------------------------------

    def _credentials(self, domain: str) -> RegistryAuth | None:
        if self._given:
            return self._given
        with self._lock:
            if domain not in self._found:
                self._found[domain] = _from_docker(self._config, domain)
            return self._found[domain]


def _basic(who: RegistryAuth) -> str:
    return "Basic " + base64.b64encode(f"{who.username}:{who.password}".encode()).decode()


def _docker_config_path() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or "~/.docker").expanduser() / "config.json"


def _from_docker(path: Path, domain: str) -> RegistryAuth | None:
    """What docker would use: the registry's helper, else its entry, else the general helper."""
    try:
        config: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        raise RegistryError(str(path), "reading docker's configuration", str(problem)) from None
    server = DOCKER_HUB if domain == "docker.io" else domain
    helpers = config.get("credHelpers") or {}
    if domain in helpers or server in helpers:
        return _from_helper(str(helpers.get(domain) or helpers[server]), server)
    for key, entry in (config.get("auths") or {}).items():
        if _plain_server(key) == _plain_server(server) and (found := _from_entry(entry, path)):
            return found
    return _from_helper(str(config["credsStore"]), server) if config.get("credsStore") else None


def _plain_server(key: str) -> str:
    """``https://host/v1/`` → ``host``, as docker compares them."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _from_entry(entry: dict[str, Any], path: Path) -> RegistryAuth | None:
    if entry.get("identitytoken"):
        return RegistryAuth(TOKEN_USER, entry["identitytoken"])
    if entry.get("username") and entry.get("password"):
        return RegistryAuth(entry["username"], entry["password"])
    if not entry.get("auth"):
        return None
    try:
        username, colon, password = base64.b64decode(entry["auth"]).decode().partition(":")
    except ValueError:
        raise RegistryError(str(path), "reading docker's configuration", "an auth entry is not base64") from None
    return RegistryAuth(username, password) if colon else None


def _from_helper(name: str, server: str) -> RegistryAuth | None:
    """``docker-credential-NAME get`` with the server on its standard input, as docker calls it."""
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(
            [program, "get"], input=server.encode(), capture_output=True, timeout=HELPER_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        why = "it did not answer in time" if isinstance(problem, subprocess.TimeoutExpired) else str(problem.strerror)
        raise RegistryError(server, f"asking {program} for credentials", why) from None
    if done.returncode != 0:
        # Not to know a server is no failure: docker then goes on anonymously.
        return None
    try:
        found = json.loads(done.stdout)
        return RegistryAuth(found["Username"], found["Secret"])
    except (ValueError, KeyError, TypeError):
        raise RegistryError(server, f"asking {program} for credentials", "its answer cannot be read") from None
