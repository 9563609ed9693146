"""The stand-in over real HTTP, or HTTPS, with faults on demand."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from lab.controller.answers import Answer, Call, Refused
from lab.controller.api import Api
from lab.controller.bodies import parsed
from lab.controller.side_door import SIDE_DOOR, SideDoor

EMAIL, PASSWORD = "user@domain.com", "testpass123"
DROP, LOSE, STALL = "drop", "lose", "stall"
"""Faults: close without acting; act, then close without an answer; do neither until the server stops."""


class ControllerStandIn:
    """A Controller for a ``with``.

    Args:
        dialect: ``3.0.4``, ``3.7.3`` or ``3.9.0``.
        port: 0 for one that is free.
        state: file to keep the state in.
        email: the user who may sign in, with ``password``; empty for a Controller without users.
        certificate: PEM file of a certificate and its key, for HTTPS.

    Attributes:
        requests: ``METHOD /path`` of everything that was asked, in order.
    """

    def __init__(
        self,
        dialect: str = "3.7.3",
        *,
        port: int = 0,
        state: Path | None = None,
        email: str = EMAIL,
        password: str = PASSWORD,
        certificate: Path | None = None,
    ) -> None:
        self.email, self.password = email, password
        self.api = Api(dialect, {email: password} if email else {}, state)
        self.requests: list[str] = []
        self.lock, self.stopped = threading.Lock(), threading.Event()
        self._faults: list[str | Answer] = []
        self._holding = ""
        self.held, self.released = threading.Event(), threading.Event()
        self._connections: set[socket.socket] = set()
        handler = type("Handler", (_Handler,), {"stand_in": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # Handshakes belong to the handlers' threads: a failed one must not end the server's.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._scheme = "https" if certificate else "http"
        self._server.daemon_threads = False  # so that server_close waits for them
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def side_door(self) -> SideDoor:
        """What agents do to this Controller, and what only tests may know of it."""
        return self.api.side_door

    @property
    def endpoint(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ControllerStandIn:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stopped.set()
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        with self.lock:
            for connection in self._connections:
                # Not the TLS socket's own shutdown, which would pull its state from under its thread.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
        self._server.server_close()

    @contextlib.contextmanager
    def open(self, connection: socket.socket) -> Iterator[None]:
        """While a connection is served: it ends when the stand-in stops."""
        with self.lock:
            self._connections.add(connection)
        try:
            yield
        finally:
            with self.lock:
                self._connections.discard(connection)

    # ---- faults, in the order of the requests to come -----------------------------------------------

    def fail_next(self, status: int = 503, *, times: int = 1) -> None:
        """Answer with this status instead of acting."""
        self._faults += [Answer(status, {"name": "Error", "message": "on purpose"})] * times

    def answer_next(self, body: Any, *, status: int = 200, content_type: str = "application/json") -> None:
        """Answer this instead of acting: JSON, or text of another type."""
        self._faults.append(Answer(status, body, content_type))

    def drop_next(self, *, times: int = 1, acting: bool = True) -> None:
        """Close the connection without an answer; after acting on the request, or before."""
        self._faults += [LOSE if acting else DROP] * times

    def stall_next(self, *, times: int = 1) -> None:
        """Neither act nor answer until the stand-in stops."""
        self._faults += [STALL] * times

    def hold(self, request: str) -> None:
        """Act on the next ``METHOD /path`` that is this one, set ``held``, and answer once ``released`` is set."""
        self._holding = request
        self.held.clear()
        self.released.clear()

    def is_held(self, request: str) -> bool:
        """Whether its answer is to be held; from now on no other's is."""
        holds, self._holding = request == self._holding, "" if request == self._holding else self._holding
        return holds

    def clear_faults(self) -> None:
        """Nothing goes wrong from now on."""
        self._faults.clear()

    def next_fault(self) -> str | Answer | None:
        return self._faults.pop(0) if self._faults else None


class _Handler(BaseHTTPRequestHandler):
    stand_in: ClassVar[ControllerStandIn]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 5
    """Seconds that an idle connection is kept, as Node.js does."""

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.stand_in.lock:
            fault = None
            if not parts.path.startswith(SIDE_DOOR):
                self.stand_in.requests.append(f"{self.command} {parts.path}")
                fault = self.stand_in.next_fault()
            if isinstance(fault, Answer):
                answer = fault
            elif fault in (None, LOSE):
                answer = self._ask(parts.path, dict(parse_qsl(parts.query)), text)
            holds = self.stand_in.is_held(f"{self.command} {parts.path}")
        if holds:
            self.stand_in.held.set()
            self.stand_in.released.wait()
        if fault == STALL:
            self.stand_in.stopped.wait()
        if isinstance(fault, str):
            self.close_connection = True
        else:
            self._send(answer)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer

    def _ask(self, path: str, query: dict[str, str], text: bytes) -> Answer:
        authorization = self.headers.get("Authorization") or ""
        try:
            body = parsed(text, self.headers.get("Content-Type") or "")
        except Refused as refused:
            return refused.answer
        call = Call(self.command, path.removeprefix("/api/v3"), query, authorization, body)
        return self.stand_in.api.handle(call)

    def _send(self, answer: Answer) -> None:
        body = b"" if answer.body is None else _encoded(answer)
        self.send_response(answer.status)
        if body:
            self.send_header("Content-Type", answer.content_type)
        if 300 <= answer.status < 400:
            self.send_header("Location", str(answer.body))
        if answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        """A client that goes away, or that does not trust the certificate, is no fault of the server."""
        with self.stand_in.open(self.connection), contextlib.suppress(ConnectionError, ssl.SSLError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def _encoded(answer: Answer) -> bytes:
    return str(answer.body).encode() if "json" not in answer.content_type else json.dumps(answer.body).encode()
