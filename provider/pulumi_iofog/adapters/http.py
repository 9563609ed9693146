"""What registries and the Controller have in common as HTTP servers: transient errors, credentials, TLS."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

from pulumi_iofog import log
from pulumi_iofog.errors import IofogError

S = TypeVar("S", bound=requests.Session)


class Transient(Exception):
    """A failure that may pass by itself; ``retry_after``: the seconds that the server asks to wait."""

    def __init__(self, error: IofogError, retry_after: float | None = None) -> None:
        super().__init__(error)
        self.error, self.retry_after = error, retry_after


def without_netrc(session: S) -> S:
    """The session with an authentication that does nothing, which keeps requests from sending what ~/.netrc has."""
    session.auth = lambda request: request
    return session


def logged(session: S) -> S:
    """The session, with a line in the log for each answer: no headers, no query, as both may hold a secret."""
    session.hooks["response"].append(_log)
    return session


def _log(response: requests.Response, *_args: object, **_options: object) -> None:
    parts = urlsplit(response.url)
    seconds = round(response.elapsed.total_seconds(), 3)
    what = f"{response.request.method} {parts.scheme}://{host_of(parts.netloc)}{parts.path}"
    log.step("request", what, status=response.status_code, seconds=seconds)


def accept_unverified() -> None:
    """Keep urllib3 from warning about unverified TLS, which the user asked for, or which is on loopback: a warning for
    each request would fill the update's diagnostics."""
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


def host_of(netloc: str) -> str:
    """``user:password@host:port`` → ``host:port``."""
    return netloc.rpartition("@")[2]


def cause(problem: BaseException) -> str:
    """The cause at the bottom of what requests and urllib3 have wrapped it in."""
    inner = (getattr(problem, "reason", None), problem.__cause__, *problem.args)
    deeper = next((each for each in inner if isinstance(each, BaseException)), None)
    if deeper:
        return cause(deeper)
    return str(getattr(problem, "strerror", None) or problem) or type(problem).__name__
