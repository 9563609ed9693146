"""An HTTP server that means harm, for a ``with``: what it does with each request is a function of the connection."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import zlib
from collections.abc import Callable
from functools import cache

Harm = Callable[[socket.socket, threading.Event], None]
"""Answers one request; the event is set when the server stops."""
MIB = 1 << 20


class HostileServer:
    """Answers the first request of each connection with the harm of its path, else with that of ``""``, and hangs up.

    Attributes:
        asked: the first lines of requests.
        sent: bytes that clients have taken.
    """

    def __init__(self, harm: Harm | dict[str, Harm]) -> None:
        self.harm = harm if isinstance(harm, dict) else {"": harm}
        self.asked: list[str] = []
        self._stopped = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self) -> HostileServer:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopped.set()
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            request = b""
            while b"\r\n\r\n" not in request:
                more = connection.recv(65536)
                if not more or more[0] == 0x16:  # a TLS ClientHello
                    return
                request += more
            first = request.split(b"\r\n")[0].decode()
            self.asked.append(first)
            path = first.split()[1]
            at = max((each for each in self.harm if path.startswith(each)), key=len)
            self.harm[at](connection, self._stopped)


def head(status: int, *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", "Content-Type: application/json", "Connection: close", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def says(body: bytes, status: int = 200, *fields: str) -> Harm:
    """An answer as it should be, around whatever body."""
    return lambda connection, _: connection.sendall(head(status, f"Content-Length: {len(body)}", *fields) + body)


def endless(status: int = 200, *fields: str, unit: bytes = b" " * MIB) -> Harm:
    """A body without an end."""

    def harm(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(head(status, *fields))
        while not stopped.is_set():
            connection.sendall(unit)

    return harm


def endless_line(before: bytes) -> Harm:
    """After these bytes, a line without an end."""

    def harm(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(before)
        while not stopped.is_set():
            connection.sendall(b"1" * MIB)

    return harm


def drip(before: bytes, drop: bytes = b" ", every: float = 0.05) -> Harm:
    """After these bytes, a few more now and then: never silent for long, and never done."""

    def harm(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(before)
        while not stopped.wait(every):
            connection.sendall(drop)

    return harm


def bomb(status: int = 200, *fields: str, encoding: str = "gzip") -> Harm:
    """A gzip that becomes 256 MiB of blanks, from 250 kB; or with ``gzip, gzip`` the gzip of that, from 1 kB."""
    packed = _packed() if encoding == "gzip" else gzip.compress(_packed())
    return says(packed, status, f"Content-Encoding: {encoding}", *fields)


@cache
def _packed() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(b" " * MIB) for _ in range(256)) + packer.flush()


def nested(opening: bytes = b"[", depth: int = 100_000) -> bytes:
    """JSON that is nested so deep."""
    return opening * depth
