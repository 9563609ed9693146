"""HTTP as registries need it: transient failures are retried, failures are put in our words. What an answer may cost
is in adapters/http/bounds.py.

Credentials never follow a redirect to another host.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

from pulumi_iofog import log
from pulumi_iofog.adapters.http import Backoff, Transient, accept_unverified, cause, host_of, logged, without_netrc
from pulumi_iofog.adapters.http.bounds import CHUNK, Adapter, Pace, Refused, Session, Stalled
from pulumi_iofog.errors import RegistryError

T = TypeVar("T")

TRIES = 4
TRANSIENT = (429, 500, 502, 503, 504)
__all__ = ["CHUNK", "TRANSIENT", "TRIES", "Backoff", "Http", "Task", "from_elsewhere", "translated"]


@dataclass(frozen=True, slots=True)
class Task:
    """Which server is talked to, and what for: the first two parts of every error."""

    who: str
    doing: str

    def error(self, why: str, hint: str = "") -> RegistryError:
        return RegistryError(self.who, self.doing, why, hint)


class Http:
    """Requests to registries and their token services; several threads may use it.

    Args:
        timeout: seconds for connecting and for each read.
        total: seconds for an answer that is no blob.
    """

    def __init__(self, timeout: tuple[float, float], total: float, backoff: Backoff) -> None:
        self.backoff, self._timeout, self._total = backoff, timeout, total
        self._session = logged(without_netrc(_Session()))

    def close(self) -> None:
        self._session.close()

    def use(self, prefix: str, context: ssl.SSLContext, *, verify: bool) -> None:
        """Use this TLS context for URLs with that prefix."""
        if not verify:
            accept_unverified()
        self._session.mount(prefix, _Adapter(context, verify=verify))

    def retry(self, act: Callable[[], T], tries: int = TRIES) -> T:
        """What ``act`` returns; it is retried after Transient, a few times."""
        for number in range(tries):
            try:
                return act()
            except Transient as transient:
                log.step("request", f"failed: {transient.error}", attempt=number + 1)
                if number == tries - 1:
                    raise transient.error from None
                self.backoff.wait(number, transient)
        raise AssertionError("unreachable")

    def get(
        self,
        url: str,
        headers: Mapping[str, str],
        params: Mapping[str, str | list[str]] | None = None,
        *,
        blob: bool = False,
    ) -> requests.Response:
        """The answer; redirects are followed. The body of a successful one is not read yet."""
        pace = Pace.blob(self._timeout) if blob else Pace.whole(self._timeout, self._total)
        return self._session.ask("GET", url, pace, headers=headers, params=params)

    def post(self, url: str, form: Mapping[str, str]) -> requests.Response:
        """The same for a form. No redirect is followed, as it may hold a secret."""
        pace = Pace.whole(self._timeout, self._total)
        return self._session.ask("POST", url, pace, data=form, allow_redirects=False)


class _Adapter(Adapter):
    """With its own TLS context; what requests itself would trust is trusted too."""

    def __init__(self, context: ssl.SSLContext, *, verify: bool) -> None:
        self._context, self._verifies = context, verify
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **options)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        return super().build_connection_pool_key_attributes(request, verify and self._verifies, cert)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        super().cert_verify(conn, url, verify and self._verifies, cert)  # type: ignore[no-untyped-call]


class _Session(Session):
    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Before a redirect is followed, drop credentials that are not for its target. requests would ask ~/.netrc, and
        keep credentials from http to https of the same host; blob stores with signed URLs refuse both."""
        there, here = _origin(prepared_request.url), _origin(response.url)
        if here[0] == "https" and there[0] != "https":
            raise _Downgrade(request=prepared_request)
        if there != here:
            prepared_request.headers.pop("Authorization", None)


class _Downgrade(requests.RequestException):
    """A redirect from https to something else."""


@contextmanager
def translated(task: Task) -> Iterator[None]:
    """requests' and urllib3's errors → RegistryError, or Transient with one if it may pass by itself."""
    try:
        yield
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as problem:
        why = cause(problem)
        if "EOF" in why:  # OpenSSL's words for a lost connection
            raise Transient(task.error(f"TLS: {why}{_place(task, problem)}", _NETWORK)) from None
        hint = f"For a private CA, set caFile in iofog:registries, or put the CA into /etc/docker/certs.d/{task.who};"
        hint += " for http without TLS, set insecure in iofog:registries"
        raise task.error(f"TLS: {why}{_place(task, problem)}", hint) from None
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as problem:
        raise Transient(task.error(f"no answer in time{_place(task, problem)}", _NETWORK)) from None
    except Stalled as problem:
        raise Transient(task.error(str(problem), _NETWORK)) from None
    except Refused as problem:
        raise task.error(str(problem), "Is it what it should be, and the network fast enough?") from None
    except _Downgrade as problem:
        raise task.error(f"it redirects from https to http{_place(task, problem)}") from None
    except (
        requests.ConnectionError,
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.ProtocolError,
    ) as problem:
        raise Transient(task.error(f"{cause(problem)}{_place(task, problem)}", _NETWORK)) from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as problem:
        # Its text may quote a signed URL: the kind of error is enough.
        raise task.error(f"the request could not be made ({type(problem).__name__})") from None


_NETWORK = "Check the registry's name and the network"


def from_elsewhere(response: requests.Response) -> str:
    """The host that gave the answer, if redirects led to another than the one asked; else empty."""
    first = response.history[0] if response.history else response
    return urlsplit(response.url).netloc if _origin(first.url) != _origin(response.url) else ""


def _origin(url: str | None) -> tuple[str, str, int]:
    parts = urlsplit(url or "")
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)


def _place(task: Task, problem: BaseException) -> str:
    """Where it happened, if not at the registry itself: a token service or a blob store."""
    request = getattr(problem, "request", None)
    host = urlsplit(request.url).netloc if request is not None and isinstance(request.url, str) else ""
    return f" (at {host})" if host and host_of(host).lower() != host_of(task.who).lower() else ""
