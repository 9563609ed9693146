"""A door before a registry that answers crookedly on demand: refusals, broken and wrong bytes."""

from __future__ import annotations

import re
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

HEADERS = ("Content-Type", "Content-Length", "Content-Range", "Docker-Content-Digest", "Location", "WWW-Authenticate")


class Crooked:
    """For a ``with``. ``spoil`` says what happens to the requests to come; all others pass.

    Args:
        behind: ``HOST:PORT`` of the real registry.
    """

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.lock = threading.Lock()
        self._spoilt: list[tuple[re.Pattern[str], str]] = []
        handler = type("Handler", (_Handler,), {"door": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Crooked:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def spoil(self, path: str, how: str, times: int) -> None:
        """Spoil the next requests for a path (a regular expression).

        Args:
            how: a status, ``cut`` (half of the bytes, then the end), ``wrong`` (one bit is another).
        """
        with self.lock:
            self._spoilt += [(re.compile(path), how)] * times

    def straighten(self) -> int:
        """Let all requests pass from now on; how many were still to be spoilt."""
        with self.lock:
            left = len(self._spoilt)
            self._spoilt.clear()
        return left

    def next_for(self, path: str) -> str:
        """What is to happen to a request."""
        with self.lock:
            for index, (pattern, how) in enumerate(self._spoilt):
                if pattern.search(path):
                    del self._spoilt[index]
                    return how
        return ""


class _Handler(BaseHTTPRequestHandler):
    door: ClassVar[Crooked]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        how = self.door.next_for(self.path)
        if how.isdigit():
            self._answer(int(how), {"Retry-After": "1"}, b"{}")
            return
        asked = urllib.request.Request(f"http://{self.door.behind}{self.path}")
        for name in ("Accept", "Range", "Authorization"):
            if self.headers.get(name):
                asked.add_header(name, self.headers[name])
        try:
            with urllib.request.urlopen(asked, timeout=30) as response:
                status, headers, body = response.status, response.headers, response.read()
        except urllib.error.HTTPError as refused:
            with refused:
                status, headers, body = refused.code, refused.headers, refused.read()
        kept = {name: headers[name] for name in HEADERS if headers.get(name)}
        self._answer(status, kept, _spoilt(body, how))

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = len(body) != int(headers.get("Content-Length", len(body)))

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def _spoilt(body: bytes, how: str) -> bytes:
    if how == "cut":
        return body[: len(body) // 2]
    if how == "wrong" and body:
        middle = len(body) // 2
        return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    return body
