"""One request to an ioFog Controller: sent, repeated if that is safe, its failures put in our words.

The only file here that imports requests. Signing in is in token.py, the API in controller.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from pulumi_iofog import log
from pulumi_iofog.adapters.controller.dialect import Dialect
from pulumi_iofog.adapters.http import (
    Backoff,
    Transient,
    accept_unverified,
    cause,
    host_of,
    logged,
    retry_after,
    without_netrc,
)
from pulumi_iofog.adapters.http.bounds import Pace, Refused, Session
from pulumi_iofog.errors import ControllerError, ControllerLogin, IofogError, ItemInUse, ItemNotFound, NameTaken
from pulumi_iofog.inputs.spec import ControllerSettings
from pulumi_iofog.outside import object_of

TRIES = 4
TRANSIENT = (429, 502, 503, 504)
ANSWER_LIMIT = 32 << 20
"""Bytes; an agent in its list has 2 kB."""
LONGEST_MESSAGE = 400
"""Characters of the Controller's own words that go into an error."""
DEFAULT_PORT = 51121
REACHABLE = "Is the Controller running, and reachable from here?"
FROZEN = "item used for running microservices"
"""How 3.7.3 (status 500) refuses to delete an item in use, and 3.0.4 (status 400) to change its images."""
FOREIGN_KEY = "foreign key constraint"
"""How 3.0.4 refuses to delete an item in use: in its database's words (status 500)."""


class LostAnswer(Exception):
    """The answer to a request that must not be repeated blindly did not come; it may have been acted on."""

    def __init__(self, error: IofogError) -> None:
        super().__init__(error)
        self.error = error


class Http:
    """Requests to one Controller; several threads may use it.

    Args:
        settings: endpoint, ca_file and insecure are used; the credentials only to keep them out of errors.
        timeout: seconds for connecting, and between two bytes of an answer.
        total: seconds for a whole answer.
    """

    def __init__(
        self, settings: ControllerSettings, timeout: tuple[float, float], total: float, backoff: Backoff
    ) -> None:
        self.endpoint = normal(settings.endpoint)
        log.hide([settings.password, settings.token])
        self._timeout, self._total, self._backoff = timeout, total, backoff
        self._verify: bool | str = not settings.insecure
        if settings.ca_file and not settings.insecure:
            self._verify = str(Path(settings.ca_file).expanduser())
        if settings.insecure:
            accept_unverified()
        self._session = logged(without_netrc(Session(ANSWER_LIMIT)))

    def close(self) -> None:
        self._session.close()

    @cached_property
    def dialect(self) -> Dialect:
        """This Controller's dialect (``GET /status``, versions.controller: ``3.7.3``)."""
        doing = "asking for its version"
        response = self.send(doing, "GET", "/status")
        if response.status_code >= 400:
            raise self.refused(doing, "GET", response)
        body = self.json(doing, response)
        with self.understood(doing):
            return Dialect.of(body["versions"]["controller"])

    def send(
        self, doing: str, method: str, path: str, body: Any = None, *, authorization: str = "", repeat: bool = True
    ) -> requests.Response:
        """The answer, whatever its status, except a redirect; the request is repeated after a transient failure.

        Args:
            repeat: False for a request that must not be acted on twice: raises LostAnswer instead of
                repeating it.
        """
        for number in range(TRIES):
            try:
                response = self._once(doing, method, path, body, authorization)
            except Transient as transient:
                problem = transient
            else:
                if response.status_code not in TRANSIENT:
                    return self._no_redirect(doing, response)
                problem = Transient(self.refused(doing, method, response), retry_after(response))
            log.step("request", f"failed: {problem.error}", attempt=number + 1)
            if number < TRIES - 1:
                self._backoff.wait(number, problem)
            if not repeat:
                raise LostAnswer(problem.error)
        raise problem.error

    def _once(self, doing: str, method: str, path: str, body: Any, authorization: str) -> requests.Response:
        with self._translated(doing):
            return self._session.ask(
                method,
                f"{self.endpoint}/api/v3{path}",
                Pace.whole(self._timeout, self._total),
                json=body,
                headers={"Authorization": authorization} if authorization else {},
                # With each request, as REQUESTS_CA_BUNDLE overrides the session's own verify.
                verify=self._verify,
                # A redirected POST would become a GET, and credentials would go where nobody sent them.
                allow_redirects=False,
            )

    def _no_redirect(self, doing: str, response: requests.Response) -> requests.Response:
        if not 300 <= response.status_code < 400:
            return response
        parts = urlsplit(response.headers.get("Location", ""))
        there = f"{parts.scheme}://{host_of(parts.netloc)}" if parts.netloc else "another location"
        raise ControllerError(self.endpoint, doing, f"it redirects to {there}", "Use that as the endpoint.")

    # ---- what is wrong ------------------------------------------------------------------------------

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """requests' errors → ControllerError; transient ones → Transient."""
        try:
            yield
        except Refused as problem:
            hint = f"Is it an ioFog Controller? Check the endpoint's scheme and port ({DEFAULT_PORT} by default)."
            raise ControllerError(self.endpoint, doing, str(problem), hint) from None
        except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as problem:
            # What OpenSSL puts around the words is no help: "[SSL: …] why (_ssl.c:1006)".
            why = re.sub(r"^\[.*?\] | ?\(_ssl\.c:\d+\)$", "", cause(problem)).rstrip(".")
            raise ControllerError(self.endpoint, doing, f"TLS: {why}", _tls_hint(why)) from None
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            raise Transient(ControllerError(self.endpoint, doing, "no answer in time", REACHABLE)) from None
        except (requests.exceptions.ConnectionError, urllib3.exceptions.ProtocolError) as problem:
            why = cause(problem)
            https = self.endpoint.startswith("http:") and ("closed connection" in why or "reset" in why)
            hint = f"{REACHABLE} Does it expect https://?" if https else REACHABLE
            raise Transient(ControllerError(self.endpoint, doing, why, hint)) from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as problem:
            # Its text may quote a header or a URL: the kind of error is enough.
            raise ControllerError(
                self.endpoint, doing, f"the request could not be made ({type(problem).__name__})", "Check the endpoint."
            ) from None
        except OSError:  # what requests raises if ca_file does not exist
            raise ControllerError(self.endpoint, doing, f"cannot read {self._verify}", "Check ca_file=.") from None

    def refused(self, doing: str, method: str, response: requests.Response) -> ControllerError:
        """The error for an answer of status 400 or above."""
        name, message = self.said(response)
        status = response.status_code
        if status == 404 and not name:
            return self.no_controller(doing)
        # The words decide: for an unknown registry, too, there is a NotFoundError of status 404.
        if status == 404 and "catalog item" in message.lower():
            return ItemNotFound(self.endpoint, doing, message, "Run pulumi refresh, then pulumi up.")
        if name == "DuplicatePropertyError":
            return NameTaken(self.endpoint, doing, message, "Choose another name=.")
        if FROZEN in message or (method == "DELETE" and FOREIGN_KEY in message.lower()):
            return ItemInUse(self.endpoint, doing, "microservices still use it")
        if is_unauthorized(response):
            return ControllerLogin(self.endpoint, doing, message, "Check the Controller's credentials.")
        hint = "The Controller's own log may say more." if status >= 500 else ""
        if status == 403:
            hint = "Give the Controller's user a role that allows it."
        words = " ".join(dict.fromkeys(text for text in (name, message) if text))
        return ControllerError(self.endpoint, doing, f"HTTP status {status}: {words}", hint)

    def said(self, response: requests.Response) -> tuple[str, str]:
        """Name and message in an error's body, without secrets; the name is empty if there is none."""
        try:
            body = object_of(response.content)
            message = str(body.get("message") or body.get("error") or "")
            # Some messages of a ValidationError are JSON themselves, with the refused value in it.
            if message.startswith("{"):
                message = str(object_of(message)["stack"])
            return _short(body.get("name") or body.get("error") or ""), _short(message)
        except (ValueError, KeyError):
            return "", _short(response.reason or "")

    # ---- what is said --------------------------------------------------------------------------------

    @contextmanager
    def understood(self, doing: str) -> Iterator[None]:
        """For parsing an answer: if it does not have the expected shape, this is not an ioFog Controller."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise self.no_controller(doing) from None

    def json(self, doing: str, response: requests.Response) -> dict[str, Any]:
        """The body as a JSON object; empty if there is none (204)."""
        if not response.content:
            return {}
        with self.understood(doing):
            return object_of(response.content)

    def no_controller(self, doing: str) -> ControllerError:
        """The error that something else answers."""
        hint = f"Check the endpoint's scheme and port ({DEFAULT_PORT} by default)."
        return ControllerError(self.endpoint, doing, "this is not an ioFog Controller", hint)


def _short(said: object) -> str:
    """The Controller's own words without secrets, and cut where they are many."""
    text = log.clean(str(said))
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"


def normal(endpoint: str) -> str:
    """``host`` → ``http://host:51121``, ``host:80`` → ``http://host:80``, as iofogctl has it
    (pkg/util/get_controller_endpoint.go); ``https://host/api/v3/`` → ``https://host``.

    Credentials, query and fragment are dropped. Raises ControllerError if it is not a URL.
    """
    bare = "://" not in endpoint
    try:
        parts = urlsplit(f"http://{endpoint.strip()}" if bare else endpoint.strip())
        host, port = host_of(parts.netloc), parts.port
    except ValueError:
        host, port = "", None
    if not host or not parts.hostname or parts.scheme not in ("http", "https"):
        hint = "An endpoint looks like https://controller.example, or host:51121."
        raise ControllerError("the Controller's endpoint", "", "not an http or https URL", hint)
    if bare and port is None:
        host = f"{host.rstrip(':')}:{DEFAULT_PORT}"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/').removesuffix('/api/v3')}"


def is_unauthorized(response: requests.Response) -> bool:
    """Whether the token is refused; 3.0.4 says 500 and ``WHERE parameter "token" has invalid …``."""
    return response.status_code == 401 or (response.status_code == 500 and b'parameter \\"token\\"' in response.content)


def _tls_hint(why: str) -> str:
    if "mismatch" in why or "not valid for" in why:
        return "Use the name in its certificate."
    if "expired" in why:
        return "Renew its certificate."
    if "certificate verify failed" in why:
        return "For a private CA, set ca_file= to a PEM file with its certificate."
    return "Does the endpoint speak TLS (https), and is ca_file= a PEM file?"
