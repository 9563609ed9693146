"""The ioFog Controller's REST API, as two real ones answer it (3.0.4 and 3.7.3, recorded in the tests)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import requests

from pulumi_iofog.errors import ControllerError, ControllerLogin, ItemInUse, ItemNotFound, NameTaken
from pulumi_iofog.spec import CatalogItem, ControllerSettings, KnownAgent

TRIES = 4
BACK_OFF = 0.5
"""Seconds before the second try; twice as long before each further one."""
TRANSIENT = (502, 503, 504)
FOG_TYPES = {1: "x86", 2: "arm"}
"""fogTypeId (before 3.9) and archId (since) → architecture; what else there is, is found out on the host."""
ITEMS = "/catalog/microservices"
IN_USE = ("used for running microservices", "foreign key constraint")
"""How 3.7.3 and 3.0.4 say, with status 500, that an item is in use."""


class Controller:
    """One Controller; signs in when first needed, and again when its token has run out.

    Methods raise ControllerError and its kin. Several threads may use it.

    Args:
        settings: endpoint and credentials; ``token`` is tried before e-mail and password.
        timeout: seconds for connecting and for each answer.
    """

    def __init__(self, settings: ControllerSettings, *, timeout: tuple[float, float] = (5.0, 30.0)) -> None:
        self._settings, self._timeout = settings, timeout
        self.endpoint = _normal(settings.endpoint)
        self._session = requests.Session()
        self._session.verify = False if settings.insecure else settings.ca_file or True
        # Keeps requests from sending what ~/.netrc has for the host.
        self._session.auth = lambda request: request
        self._token, self._refresh_token = settings.token, ""
        self._scheme: str | None = None
        self._lock = threading.RLock()

    def close(self) -> None:
        self._session.close()

    # ---- agents -------------------------------------------------------------------------------------

    def agents(self) -> tuple[KnownAgent, ...]:
        """All agents (``GET /iofog-list``)."""
        body = self._call("listing agents", "GET", "/iofog-list")
        return tuple(_agent(entry) for entry in body.get("fogs", []))

    # ---- catalog items --------------------------------------------------------------------------------

    def find_item(self, name: str) -> tuple[int, CatalogItem] | None:
        """Id and item of that name, or None (``GET /catalog/microservices``)."""
        for entry in self._call("listing catalog items", "GET", ITEMS).get("catalogItems", []):
            if entry.get("name") == name:
                return int(entry["id"]), _item(entry)
        return None

    def get_item(self, item_id: int) -> CatalogItem:
        """One item (``GET /catalog/microservices/ID``). Raises ItemNotFound."""
        return _item(self._call(f"reading catalog item {item_id}", "GET", f"{ITEMS}/{item_id}"))

    def create_item(self, item: CatalogItem) -> int:
        """Make an item and return its id (``POST /catalog/microservices``). Raises NameTaken.

        If the answer is lost, the item is looked for: one that was not there before is this one.
        """
        doing = f"registering the catalog item {item.name}"
        before = self.find_item(item.name)
        for number in range(TRIES):
            try:
                body = self._call(doing, "POST", ITEMS, _body(item), once=True)
                return int(body["id"])
            except _Lost as lost:
                found = self.find_item(item.name)
                if found and not before:
                    return found[0]
                if number == TRIES - 1:
                    raise lost.error from None
        raise AssertionError("unreachable")

    def update_item(self, item_id: int, item: CatalogItem) -> None:
        """Make an item what it should be (``PATCH /catalog/microservices/ID``); architectures that it
        should not have are dropped. Raises ItemNotFound, NameTaken."""
        now = self.get_item(item_id)
        # An empty name drops an architecture; null is refused.
        dropped = tuple((arch, "") for arch, _ in now.images if arch not in dict(item.images))
        new, old = _body(replace(item, images=item.images + dropped)), _body(now)
        changed = {key: value for key, value in new.items() if value != old[key]}
        if changed:
            self._call(f"updating catalog item {item_id}", "PATCH", f"{ITEMS}/{item_id}", changed)

    def delete_item(self, item_id: int) -> None:
        """Delete an item (``DELETE /catalog/microservices/ID``); already gone is success.

        Raises ItemInUse, naming the microservices, if some still use it.
        """
        doing = f"deleting catalog item {item_id}"
        try:
            self._call(doing, "DELETE", f"{ITEMS}/{item_id}")
        except ItemNotFound:
            return
        except ControllerError as problem:
            if not any(words in problem.why.lower() for words in IN_USE):
                raise
            users = self._users(item_id)
            why = f"microservices still use it: {', '.join(users)}" if users else "microservices still use it"
            raise ItemInUse(self.endpoint, doing, why, "Delete them, or give them another item, first") from None

    def _users(self, item_id: int) -> list[str]:
        """``application/microservice`` of each that uses the item, as far as the Controller tells."""
        try:
            applications = self._call("listing applications", "GET", "/application").get("applications", [])
            found = []
            for application in applications:
                name = application["name"]
                answer = self._call("listing microservices", "GET", "/microservices", params={"application": name})
                for each in answer.get("microservices", []):
                    if each.get("catalogItemId") == item_id:
                        found.append(f"{name}/{each['name']}")
            return found
        except (ControllerError, KeyError, TypeError, AttributeError):
            return []

    # ---- one call -------------------------------------------------------------------------------------

    def _call(
        self,
        doing: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: dict[str, str] | None = None,
        once: bool = False,
    ) -> dict[str, Any]:
        """An authenticated call's JSON; signs in anew once if the token is refused."""
        for last in (False, True):
            token = self._authorization()
            response = self._send(doing, method, path, body, params=params, once=once, authorization=token)
            if not _unauthorized(response) or last:
                break
            self._sign_in_anew(token)
        if response.status_code >= 400:
            raise self._refused(doing, response)
        return self._json(doing, response) if response.content else {}

    def _send(
        self,
        doing: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: dict[str, str] | None = None,
        once: bool = False,
        authorization: str = "",
    ) -> requests.Response:
        """Send; again after what may pass by itself. With ``once``, a lost answer is _Lost instead."""
        headers = {"Authorization": authorization} if authorization else {}
        for number in range(TRIES):
            last = number == TRIES - 1
            with self._translated(doing):
                try:
                    response = self._session.request(
                        method,
                        f"{self.endpoint}/api/v3{path}",
                        json=body,
                        params=params,
                        headers=headers,
                        timeout=self._timeout,
                    )
                    if response.status_code not in TRANSIENT or last:
                        return response
                except requests.exceptions.SSLError:
                    raise
                except (requests.ConnectionError, requests.Timeout) as problem:
                    if once and not isinstance(problem, requests.exceptions.ConnectTimeout):
                        raise _Lost(self._unreachable(doing, problem)) from None
                    if last:
                        raise
            time.sleep(BACK_OFF * 2**number)
        raise AssertionError("unreachable")

    # ---- signing in -----------------------------------------------------------------------------------

    def _authorization(self) -> str:
        with self._lock:
            if not self._token:
                self._log_in()
            if self._scheme is None:
                self._scheme = "Bearer " if self._version() >= (3, 5) else ""
            return f"{self._scheme}{self._token}"

    def _sign_in_anew(self, refused: str) -> None:
        with self._lock:
            if refused != f"{self._scheme}{self._token}":
                return  # another thread has done it
            if self._refresh_token and self._refresh():
                return
            self._log_in()

    def _log_in(self) -> None:
        """``POST /user/login`` {email, password} → accessToken, since 3.5 with a refreshToken."""
        doing = "signing in"
        who = self._settings
        if not (who.email and who.password):
            hint = "Give a fresh token=, or email= and password="
            raise ControllerLogin(self.endpoint, doing, "the token is refused, and there is no password", hint)
        response = self._send(doing, "POST", "/user/login", {"email": who.email, "password": who.password})
        if response.status_code in (400, 401, 403, 404):
            why = f"user {who.email} is refused: {_said(response)[1]}"
            raise ControllerLogin(
                self.endpoint, doing, why, "Check email= and password=, or iofog:email and iofog:password"
            )
        if response.status_code >= 400:
            raise self._refused(doing, response)
        body = self._json(doing, response)
        self._token, self._refresh_token = str(body.get("accessToken", "")), str(body.get("refreshToken", ""))

    def _refresh(self) -> bool:
        """``POST /user/refresh`` {refreshToken}, since 3.5; False where the Controller will not."""
        token, self._refresh_token = self._refresh_token, ""
        response = self._send("renewing the token", "POST", "/user/refresh", {"refreshToken": token})
        if response.status_code >= 400:
            return False
        body = self._json("renewing the token", response)
        self._token, self._refresh_token = str(body.get("accessToken", "")), str(body.get("refreshToken", ""))
        return bool(self._token)

    def _version(self) -> tuple[int, int]:
        """Major and minor version (``GET /status``, versions.controller)."""
        doing = "asking for its version"
        response = self._send(doing, "GET", "/status")
        if response.status_code >= 400:
            raise self._refused(doing, response)
        body = self._json(doing, response)
        try:
            major, minor = str(body["versions"]["controller"]).split(".")[:2]
            return int(major), int(minor)
        except (KeyError, TypeError, ValueError):
            raise self._no_controller(doing) from None

    # ---- answers and errors ---------------------------------------------------------------------------

    def _json(self, doing: str, response: requests.Response) -> dict[str, Any]:
        try:
            body = response.json()
        except ValueError:
            raise self._no_controller(doing) from None
        if not isinstance(body, dict):
            raise self._no_controller(doing)
        return body

    def _no_controller(self, doing: str) -> ControllerError:
        why = "what answers there is no ioFog Controller"
        return ControllerError(self.endpoint, doing, why, "Check the endpoint; its port is usually 51121")

    def _refused(self, doing: str, response: requests.Response) -> ControllerError:
        name, message = _said(response)
        if response.status_code == 404 and name == "NotFoundError":
            return ItemNotFound(self.endpoint, doing, message, "Run pulumi refresh, then pulumi up")
        if name == "DuplicatePropertyError":
            return NameTaken(self.endpoint, doing, message, "Set adopt=True to take it over, or give another name=")
        if _unauthorized(response):
            return ControllerLogin(self.endpoint, doing, message, "Check the Controller's credentials")
        if response.status_code == 404 and not name:
            return self._no_controller(doing)
        return ControllerError(self.endpoint, doing, f"HTTP status {response.status_code}: {name} {message}".rstrip())

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except requests.RequestException as problem:
            raise self._unreachable(doing, problem) from None
        except OSError as problem:  # requests' own for a ca_file that is not there
            raise ControllerError(self.endpoint, doing, str(problem), "Check ca_file=") from None

    def _unreachable(self, doing: str, problem: requests.RequestException) -> ControllerError:
        hint = "Is the Controller running, and reachable from here?"
        if isinstance(problem, requests.exceptions.SSLError):
            hint = "For a private CA give ca_file="
        why = "no answer in time" if isinstance(problem, requests.Timeout) else _inner(problem)
        return ControllerError(self.endpoint, doing, why, hint)


class _Lost(Exception):
    """The answer to a call that must not be repeated blindly did not come."""

    def __init__(self, error: ControllerError) -> None:
        super().__init__(error)
        self.error = error


def _normal(endpoint: str) -> str:
    """``host:51121`` → ``http://host:51121``; ``https://host/api/v3/`` → ``https://host``.

    iofogctl takes endpoints without a scheme as http.
    """
    with_scheme = endpoint if "://" in endpoint else f"http://{endpoint}"
    parts = urlsplit(with_scheme)
    path = parts.path.rstrip("/").removesuffix("/api/v3")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def _unauthorized(response: requests.Response) -> bool:
    # 3.0.4 answers 500 where a token is missing.
    return response.status_code == 401 or (response.status_code == 500 and '"token"' in _said(response)[1])


def _said(response: requests.Response) -> tuple[str, str]:
    """Name and message of an error's body; a ValidationError's message may be JSON itself."""
    try:
        body = response.json()
        message = str(body.get("message") or body.get("error") or "")
        if message.startswith("{"):
            message = str(json.loads(message).get("stack", message))
        return str(body.get("name", "")), message
    except (ValueError, AttributeError):
        return "", response.reason or ""


def _inner(problem: BaseException) -> str:
    """The cause at the bottom of what requests and urllib3 have wrapped it in."""
    reason = getattr(problem, "reason", None) or (problem.args[0] if problem.args else None)
    if isinstance(reason, BaseException):
        return _inner(reason)
    text = str(getattr(problem, "strerror", None) or problem)
    return text.rpartition(">: ")[2] or type(problem).__name__


def _agent(entry: dict[str, Any]) -> KnownAgent:
    host = entry.get("host")
    engine = entry.get("containerEngine")
    return KnownAgent(
        name=str(entry.get("name", "")),
        uuid=str(entry.get("uuid", "")),
        host=host if host not in (None, "", "0.0.0.0") else None,  # noqa: S104
        arch=FOG_TYPES.get(entry.get("fogTypeId") or entry.get("archId") or 0),  # type: ignore[arg-type]
        engine=engine if engine in ("docker", "podman") else None,
    )


def _item(entry: dict[str, Any]) -> CatalogItem:
    """An item; architectures without an image (null, or empty after a PATCH) are left out."""
    images = {
        FOG_TYPES.get(image.get("fogTypeId") or image.get("archId"), "other"): image["containerImage"]
        for image in entry.get("images") or []
        if image.get("containerImage")
    }
    return CatalogItem(
        name=str(entry.get("name", "")),
        description=str(entry.get("description") or ""),
        images=tuple(sorted(images.items())),
        registry_id=int(entry.get("registryId") or 0),
    )


def _body(item: CatalogItem) -> dict[str, Any]:
    types = {arch: number for number, arch in FOG_TYPES.items()}
    return {
        "name": item.name,
        "description": item.description,
        "registryId": item.registry_id,
        "images": [{"containerImage": name, "fogTypeId": types[arch]} for arch, name in item.images if arch in types],
    }
