"""What registries and the Controller have in common as HTTP servers: transient errors, credentials, TLS; and what
they may cost, in bounds.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

from pulumi_iofog import log, text
from pulumi_iofog.errors import IofogError

S = TypeVar("S", bound=requests.Session)


class Transient(Exception):
    """A failure that may pass by itself; ``retry_after``: the seconds that the server asks to wait."""

    def __init__(self, error: IofogError, retry_after: float | None = None) -> None:
        super().__init__(error)
        self.error, self.retry_after = error, retry_after


def retry_after(response: requests.Response) -> float | None:
    """Seconds that the header Retry-After asks to wait, by itself or as a date (RFC 9110, 10.2.3); else None."""
    after = response.headers.get("Retry-After", "").strip()
    if after.isascii() and after.isdigit():
        return float(after)
    try:
        return max((parsedate_to_datetime(after) - datetime.now(timezone.utc)).total_seconds(), 0)
    except (ValueError, TypeError, OverflowError):
        return None


def _tell_nobody(line: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before trying again, in seconds.

    Attributes:
        first: before the second attempt; twice as long before each further one.
        longest: the most that a server's Retry-After is obeyed.
        say: gets a line where a server asks to wait.
        pause: waits.
    """

    first: float = 0.5
    longest: float = 60.0
    say: Callable[[str], None] = _tell_nobody
    pause: Callable[[float], object] = time.sleep

    def wait(self, number: int, problem: Transient) -> None:
        """Wait after a failed attempt; the first has number 0."""
        if problem.retry_after is None:
            self.pause(self.first * 2**number)
            return
        seconds = min(problem.retry_after, self.longest)
        if seconds >= 1:
            who, why = problem.error.who, problem.error.why.rstrip(".")
            self.say(f"waiting {text.duration(seconds)}, as {who} asks for it: {why}")
        self.pause(seconds)


def without_netrc(session: S) -> S:
    """The session with an authentication that does nothing, which keeps requests from sending what ~/.netrc has."""
    session.auth = lambda request: request
    return session


def logged(session: S) -> S:
    """The session, with a line in the log for each answer: no headers, no query, as both may hold a secret."""
    session.hooks["response"].insert(0, _log)
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
