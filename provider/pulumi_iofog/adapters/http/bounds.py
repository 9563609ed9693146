"""How much an HTTP server may send, and how long it may take: in one place, for every answer, whoever sends it.

    Pace        seconds for connecting, between two bytes, and for the whole answer; or how slow a blob may be
    Session     requests' own, in whose answers each read of the socket keeps to the request's Pace, be it of the
                head, of the body or of a proxy's answer. What an error or a redirect says beyond 64 KiB is not read.
    body        a successful answer's body, decompressed, up to a limit

requests knows an idle timeout only, reads the body of a redirect to its end, and has urllib3 decompress 1,000 times
what has arrived, or a million times where the server says ``gzip, gzip``.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import requests
import urllib3

TOTAL = 120.0
"""Seconds for a whole answer that is no blob, redirects included."""
SLOWEST, SLOW_FOR = 1000, 120.0
"""A blob has stalled if it makes fewer bytes a second than this for so many seconds."""
ERROR_LIMIT = 64 << 10
"""Bytes that are read of the body of an error or a redirect."""
LONGEST_LINE = 65537
"""Bytes of a line in a head or between chunks; one more than http.client accepts."""
CHUNK = 64 << 10
"""Bytes passed on at once, and the most that a lost connection costs."""


class Refused(Exception):
    """An answer that goes beyond its bounds; the text says how, for an error."""


class Stalled(Exception):
    """A blob that comes too slowly; the text says how slowly, for an error."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long one request may take.

    Attributes:
        connect, idle: seconds for connecting, and between two bytes.
        until: when the whole answer must have come (``time.monotonic``); None for a blob, which must not stall instead.
        total: the seconds until then, for the error.
    """

    connect: float
    idle: float
    until: float | None = None
    total: float = TOTAL

    @classmethod
    def whole(cls, timeout: tuple[float, float], total: float = TOTAL) -> Pace:
        """Of an answer that is no blob."""
        return cls(*timeout, time.monotonic() + total, total)

    @classmethod
    def blob(cls, timeout: tuple[float, float]) -> Pace:
        return cls(*timeout)

    def patience(self) -> float:
        """Seconds to wait for the next byte. Raises Refused if the time is up."""
        if self.until is None:
            return self.idle
        left = self.until - time.monotonic()
        if left <= 0:
            raise Refused(f"its answer has not ended after {self.total:.0f} s")
        return min(self.idle, left)


_pace: ContextVar[Pace] = ContextVar("pace")
"""Of the request that this thread is making: from the adapter, through urllib3, to the answer."""


# ---- below http.client -----------------------------------------------------------------------------------


class _Watched(io.RawIOBase):
    """A socket's bytes, as long as they come at the request's pace."""

    def __init__(self, sock: socket.socket, pace: Pace) -> None:
        self._sock, self._raw, self._pace = sock, sock.makefile("rb", buffering=0), pace
        self._seconds, self._bytes = 0.0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._pace.patience())
        began = time.monotonic()
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError:
            self._pace.patience()  # says so if it was the whole answer's time that is up
            raise
        if self._pace.until is None:
            self._look(time.monotonic() - began, count or 0)
        return count

    def _look(self, seconds: float, count: int) -> None:
        """Note what came. Only what was waited for counts: whoever reads may take their time."""
        self._seconds, self._bytes = self._seconds + seconds, self._bytes + count
        if self._seconds < SLOW_FOR:
            return
        if self._bytes < SLOWEST * self._seconds:
            raise Stalled(f"it has stalled: {self._bytes} bytes in {self._seconds:.0f} s")
        self._seconds, self._bytes = 0.0, 0

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """Without lines that never end: urllib3 reads the size of a chunk with no limit."""

    def readline(self, size: int | None = -1, /) -> bytes:
        return super().readline(LONGEST_LINE if size is None or size < 0 else min(size, LONGEST_LINE))


class _Stream:
    """What http.client wants of a socket to read an answer from."""

    def __init__(self, sock: socket.socket, pace: Pace) -> None:
        self._sock, self._pace = sock, pace

    def makefile(self, mode: str) -> io.BufferedReader:
        return _Lines(_Watched(self._sock, self._pace), CHUNK)


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(_Stream(sock, _pace.get()), *args, **options)  # type: ignore[arg-type]


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Answer


class _TlsConnection(urllib3.connection.HTTPSConnection):
    response_class = _Answer


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


class Adapter(requests.adapters.HTTPAdapter):
    """requests' own, in whose requests ``timeout`` is a Pace."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: Any, stream: bool = False, timeout: Any = None, *args: Any, **options: Any) -> Any:
        pace: Pace = timeout
        before = _pace.set(pace)
        try:
            patience = pace.patience()
            return super().send(request, stream, (min(pace.connect, patience), patience), *args, **options)
        finally:
            _pace.reset(before)


# ---- above requests --------------------------------------------------------------------------------------


class Session(requests.Session):
    """See the module.

    Args:
        limit: bytes of the body of a successful answer, which is read at once then; None: the caller reads it.
        what: what such a body is, for the error.
    """

    def __init__(self, limit: int | None = None, what: str = "answer") -> None:
        super().__init__()
        self._limit, self._what = limit, what
        # The only encoding that ``body`` takes, whatever else is installed.
        self.headers["Accept-Encoding"] = "gzip"
        self.hooks["response"].append(self._read)
        for prefix in ("https://", "http://"):
            self.mount(prefix, Adapter())

    def ask(self, method: str, url: str, pace: Pace, **options: Any) -> requests.Response:
        """The answer; the body of a successful one need not be read yet. Raises requests' and urllib3's errors, and
        Refused."""
        try:
            return self.request(method, url, stream=True, timeout=pace, **options)  # type: ignore[arg-type]
        except requests.RequestException:
            raise
        except ValueError as problem:  # urllib's, for a malformed URL: requests lets it through
            raise requests.exceptions.InvalidURL(type(problem).__name__) from None

    def _read(self, response: requests.Response, *_args: object, **_options: object) -> None:
        """Before requests itself looks at the answer, and reads a redirect's body to its end."""
        try:
            if response.status_code >= 300:
                _replace(response, _beginning(response))
            elif self._limit is not None:
                _replace(response, body(response, self._limit, self._what))
        except BaseException:
            response.close()
            raise


def body(response: requests.Response, limit: int, what: str = "answer") -> bytes:
    """The body, decompressed. Raises Refused if it has more bytes than ``limit``, and urllib3's errors."""
    whole = bytearray()
    for chunk in _decompressed(response):
        whole += chunk
        if len(whole) > limit:
            response.close()
            unit, name = (1 << 20, "MiB") if limit >= 1 << 20 else (1 << 10, "KiB")
            raise Refused(f"its {what} is larger than {limit // unit} {name}")
    return bytes(whole)


def _beginning(response: requests.Response) -> bytes:
    """The first bytes of an error's body, as far as they can be read: its status matters more."""
    whole = bytearray()
    try:
        for chunk in _decompressed(response):
            whole += chunk
            if len(whole) > ERROR_LIMIT:
                break
    except Refused:
        pass
    return bytes(whole[:ERROR_LIMIT])


def _replace(response: requests.Response, text: bytes) -> None:
    """Have everybody find this as the body. A connection whose answer was not read to its end is closed."""
    response.raw.close()
    response.raw = io.BytesIO(text)


def _decompressed(response: requests.Response) -> Iterator[bytes]:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    chunks: Iterator[bytes] = response.raw.stream(CHUNK, decode_content=False)
    if encoding in ("", "identity"):
        return chunks
    if encoding not in ("gzip", "x-gzip"):
        raise Refused(f"its answer is encoded as {encoding[:40]}, which was not asked for")
    return _unzipped(chunks)


def _unzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompressed a little at a time, whatever one compressed chunk would become."""
    unzip: Callable[[bytes, int], bytes] = (decoder := zlib.decompressobj(wbits=31)).decompress
    try:
        for chunk in chunks:
            left = chunk
            while left:
                yield unzip(left, CHUNK)
                left = decoder.unconsumed_tail
    except zlib.error:
        raise Refused("its answer is not the gzip that it says it is") from None
