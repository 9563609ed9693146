"""How to authenticate with a registry.

Sources: distribution spec (Bearer challenge: distribution.github.io/distribution/spec/auth/token and
…/spec/auth/oauth) and RFC 7617 (Basic). Where credentials come from is docker_config.py.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import requests

from pulumi_iofog import log
from pulumi_iofog.adapters.http import Transient, retry_after
from pulumi_iofog.adapters.http.bounds import ERROR_LIMIT, body
from pulumi_iofog.adapters.registry import docker_config
from pulumi_iofog.adapters.registry.docker_config import TOKEN_USER
from pulumi_iofog.adapters.registry.hosts import Place
from pulumi_iofog.adapters.registry.http import TRANSIENT, Http, Task, translated
from pulumi_iofog.inputs.spec import RegistryAuth
from pulumi_iofog.outside import object_of

LONGEST_CHALLENGE = 4096
"""Characters; the time to look through one grows with the square of its length."""
_SCHEME = re.compile(r"(?:^|,)\s*(bearer|basic)(?=\s|$)", re.IGNORECASE)
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    until: float


class Authenticator:
    """Answers a registry's challenges, and remembers the answer for each repository."""

    def __init__(self, http: Http, auth: RegistryAuth | None, config: Path | None, warn: Callable[[str], None]) -> None:
        self._http, self._given, self._warn = http, auth, warn
        self._files = [config] if config else docker_config.default_paths()
        self._tokens: dict[tuple[str, str], _Token] = {}
        self._found: dict[tuple[str, str], RegistryAuth | None] = {}
        self._absent: dict[str, str] = {}
        """Credential helpers that are not installed, by domain."""
        self._lock = threading.Lock()
        _hide(auth)

    def header(self, place: Place) -> dict[str, str]:
        """The Authorization header that was accepted before, unless it has expired."""
        token = self._tokens.get((place.domain, place.path))
        if token is None or token.until < time.monotonic():
            return {}
        return {"Authorization": token.header}

    def whom(self, place: Place) -> str:
        """``as ci``, or ``anonymously``: for messages."""
        who = self._credentials(place)
        if who is None:
            absent = self._absent.get(place.domain)
            return f"anonymously, as {absent} is not installed" if absent else "anonymously"
        return "with docker's identity token" if who.username == TOKEN_USER else f"as {who.username}"

    def answer(self, place: Place, challenge: str, sent: Mapping[str, str], *, tls: bool) -> bool:
        """Answer the challenge of a 401 (``WWW-Authenticate``); whether ``header`` has a new answer now.

        Args:
            sent: the header that was refused: sending the same again would be no use.
        """
        who = self._credentials(place)
        for scheme, parameters in _challenges(challenge):
            if scheme == "bearer":
                token = self._bearer(place, parameters, who, tls=tls)
            elif who:
                token = _Token(_basic(who), float("inf"))
            else:
                continue
            self._tokens[place.domain, place.path] = token
            log.hide([token.header.partition(" ")[2]])
            return sent.get("Authorization") != token.header
        return False

    def _bearer(self, place: Place, challenge: Mapping[str, str], who: RegistryAuth | None, *, tls: bool) -> _Token:
        task = Task(place.domain, f"signing in {self.whom(place)} for {place}")
        realm = challenge.get("realm", "")
        if _scheme(realm) not in (("https",) if tls else ("http", "https")):
            raise task.error(f"its token service {realm[:200] or '(none)'} is not https")
        scope = challenge.get("scope") or f"repository:{place.path}:pull"
        service = {"service": challenge["service"]} if challenge.get("service") else {}
        with translated(task), self._ask_token_service(realm, scope, service, who) as response:
            if not 200 <= response.status_code < 300:
                self._refuse(task, response)
            return _token(task, body(response, ERROR_LIMIT, "token"))

    def _ask_token_service(
        self, realm: str, scope: str, service: dict[str, str], who: RegistryAuth | None
    ) -> requests.Response:
        if who and who.username == TOKEN_USER:
            form = {"grant_type": "refresh_token", "refresh_token": who.password, "client_id": "pulumi-iofog"}
            return self._http.post(realm, {**form, **service, "scope": scope})
        headers = {"Authorization": _basic(who)} if who else {}
        return self._http.get(realm, headers, {**service, "scope": scope.split()})

    def _refuse(self, task: Task, response: requests.Response) -> None:
        why = f"the token service answered HTTP status {response.status_code}{_said(response.content)}"
        if response.status_code in TRANSIENT:
            raise Transient(task.error(why, "Try again later"), retry_after(response))
        login = "docker login" + ("" if task.who == "docker.io" else f" {task.who}")
        raise task.error(why, f"Check auth=, or run: {login}")

    def _credentials(self, place: Place) -> RegistryAuth | None:
        """What the user has given is only for the image's own registry, never for a mirror of it."""
        if self._given and place.origin:
            return self._given
        key = (place.domain, place.path)
        with self._lock:
            if key not in self._found:
                self._found[key] = docker_config.first(self._files, *key, absent=partial(self._note, place.domain))
                _hide(self._found[key])
            return self._found[key]

    def _note(self, domain: str, program: str) -> None:
        """Go on without a credential helper, as for a public image none is needed."""
        if domain not in self._absent:
            self._absent[domain] = program
            why = f"{program}, which docker's config.json names for {domain}, is not installed"
            self._warn(f"{why}: trying without credentials. Put it on PATH, or set auth=")


def _hide(who: RegistryAuth | None) -> None:
    """Keep the credentials out of errors and the log from now on."""
    if who:
        log.hide([who.password, _basic(who).partition(" ")[2]])


def _said(body: bytes) -> str:
    """The token service's own words: in the registry's format of errors, or OAuth's."""
    try:
        answer = object_of(body)
        errors = answer.get("errors") or [{}]
        said = errors[0].get("message") or answer.get("details") or answer.get("error_description")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return ""
    return f" ({log.clean(' '.join(str(said).split()))[:200]})" if said else ""


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def _challenges(header: str) -> list[tuple[str, dict[str, str]]]:
    """Scheme and parameters of each challenge (RFC 9110, 11.6.1), Bearer and Basic only."""
    found = []
    header = header[:LONGEST_CHALLENGE]
    for start in _SCHEME.finditer(header):
        following = _SCHEME.search(header, start.end())
        end = following.start() if following else len(header)
        found.append(
            (start[1].lower(), {p[1].lower(): p[3] or p[2] for p in _PARAMETER.finditer(header, start.end(), end)})
        )
    return found


def _basic(who: RegistryAuth) -> str:
    return "Basic " + base64.b64encode(f"{who.username}:{who.password}".encode()).decode()


def _token(task: Task, body: bytes) -> _Token:
    try:
        answer = object_of(body)
        text = answer.get("token") or answer["access_token"]
        seconds = float(answer.get("expires_in") or 60)
        if not isinstance(text, str) or not text.isascii() or not text.isprintable():
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise task.error("the token service gave no token") from None
    # A little early, so that a token does not expire in transit.
    return _Token(f"Bearer {text}", time.monotonic() + max(seconds - 10, 5))
