"""A small registry over real HTTP, with a token service, and faults on demand."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from pulumi_iofog.adapters.registry.http import CHUNK
from pulumi_iofog.oci.image import Reference
from tests.images import MadeImage, make_image

JSON = "application/json"
SERVED = make_image({"app": random.Random(1).randbytes(10 * CHUNK)}, level=0)
"""What the fixture ``server`` has as ``app:1``; its only layer takes several reads."""
LAYER = SERVED.image.layers[0].blob
DATA = SERVED.blobs[LAYER.digest]
RAW = SERVED.image.manifest.raw
BLOB = f"/v2/app/blobs/{LAYER.digest}"
Act = Callable[["Handler"], None]
"""Answers a request, well or badly."""


@dataclass(frozen=True)
class Asked:
    """A request that came in; ``authorization`` is empty where it had none."""

    method: str
    path: str
    query: dict[str, list[str]]
    authorization: str
    range: str
    form: dict[str, list[str]]


class RegistryServer:
    """A registry for a ``with``, on a free port of loopback.

    Args:
        certificate: PEM file of a certificate and its key, for HTTPS.
        clients: PEM file of who may have signed the clients' certificates, which then are asked for.

    Attributes:
        asked: everything that was asked, in order.
        connections: how many were made.
        content: path → body and media type.
        challenge: what a 401 says; empty for a registry that lets everybody in.
        admitted: Authorization headers that are let in, and how many more times.
        users: who gets a token, by Authorization header (empty: anonymous) or refresh token.
        tokens: how many times each token of the token service is good.
    """

    def __init__(self, certificate: Path | None = None, *, clients: Path | None = None) -> None:
        self.connections = 0
        self.asked: list[Asked] = []
        self.content: dict[str, tuple[bytes, str]] = {}
        self.challenge = ""
        self.admitted: dict[str, float] = {}
        self.users: set[str] = set()
        self.tokens = float("inf")
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self._faults: list[tuple[str, Act]] = []
        self._always: dict[str, Act] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"registry": self}))
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            if clients:
                context.load_verify_locations(clients)
                context.verify_mode = ssl.CERT_REQUIRED
            # Handshakes belong to the handlers' threads: a failed one must not end the server's.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.scheme = "https" if certificate else "http"
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def realm(self) -> str:
        """Its token service."""
        return f"{self.scheme}://{self.address}/token"

    def __enter__(self) -> RegistryServer:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, made: MadeImage, name: str = "app", tag: str = "1") -> None:
        """Put an image in."""
        manifest = made.image.manifest
        for target in (tag, manifest.manifest_digest):
            self.content[f"/v2/{name}/manifests/{target}"] = (manifest.raw, manifest.media_type)
        for digest, data in made.blobs.items():
            self.content[f"/v2/{name}/blobs/{digest}"] = (data, "application/octet-stream")

    def app(self, host: str = "127.0.0.1") -> Reference:
        """The reference of ``app:1``, by one of the server's names."""
        return Reference.parse(f"{host}:{self.port}/app:1")

    def want_tokens(self, *users: str, realm: str = "") -> None:
        """Let in only who has a token, which these users get at the token service."""
        self.challenge = f'Bearer realm="{realm or self.realm}",service="registry",scope="repository:app:pull,push"'
        self.users.update(users)

    def next(self, act: Act, *, at: str = "/v2/", times: int = 1) -> None:
        """Have it answer the next requests of paths that begin so, instead of the registry."""
        self._faults += [(at, act)] * times

    def always(self, act: Act, *, at: str) -> None:
        """Have it answer all requests of paths that begin so, instead of the registry."""
        self._always[at] = act

    def recover(self) -> None:
        """Nothing goes wrong from now on."""
        self._faults.clear()
        self._always.clear()

    def act(self, asked: Asked) -> Act:
        """Note a request, and say who answers it."""
        with self.lock:
            self.asked.append(asked)
            fault = next((each for each in self._faults if asked.path.startswith(each[0])), None)
            if fault:
                self._faults.remove(fault)
                return fault[1]
            forever = next((act for at, act in self._always.items() if asked.path.startswith(at)), None)
            return forever or (hand_out_token if asked.path == "/token" else serve)

    def admit(self, authorization: str) -> bool:
        with self.lock:
            self.admitted[authorization] = self.admitted.get(authorization, 0) - 1
            return not self.challenge or self.admitted[authorization] >= 0

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]


class Handler(BaseHTTPRequestHandler):
    registry: ClassVar[RegistryServer]
    asked: Asked
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 5

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        form = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        said = (self.headers.get("Authorization") or "", self.headers.get("Range") or "")
        self.asked = Asked(self.command, parts.path, parse_qs(parts.query), *said, parse_qs(form))
        self.registry.act(self.asked)(self)

    do_GET = do_POST = _answer

    def send(self, code: int, body: bytes, headers: dict[str, str], *, cut: int | None = None) -> None:
        """Answer; with ``cut`` the connection ends after so many bytes of the body."""
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        self.close_connection = cut is not None

    def handle(self) -> None:
        """A client that goes away, or that does not trust the certificate, is no fault of the server."""
        with self.registry.lock:
            self.registry.connections += 1
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


# ---- what may be answered ----------------------------------------------------------------------------


def serve(handler: Handler, *, ranges: bool = True, cut: int | None = None) -> None:
    """As a registry does; with ``ranges`` False, Range is not obeyed."""
    registry, asked = handler.registry, handler.asked
    if not registry.admit(asked.authorization):
        handler.send(401, error("authentication required"), {"WWW-Authenticate": registry.challenge})
    elif asked.path not in registry.content:
        handler.send(404, error("manifest unknown"), {"Content-Type": JSON})
    else:
        body, media_type = registry.content[asked.path]
        begin = int(asked.range.removeprefix("bytes=").rstrip("-")) if asked.range and ranges else 0
        handler.send(206 if begin else 200, body[begin:], {"Content-Type": media_type}, cut=cut)


def hand_out_token(handler: Handler) -> None:
    """As a token service does, to those who are users."""
    registry, asked = handler.registry, handler.asked
    who = asked.form["refresh_token"][0] if asked.method == "POST" else asked.authorization
    if who not in registry.users:
        handler.send(401, error("incorrect username or password"), {"Content-Type": JSON})
        return
    token = f"token-{len(registry.asked)}"
    registry.admitted[f"Bearer {token}"] = registry.tokens
    key = "access_token" if asked.method == "POST" else "token"
    handler.send(200, json.dumps({key: token, "expires_in": 300}).encode(), {"Content-Type": JSON})


def cut(count: int, *, ranges: bool = True) -> Act:
    """As a registry does, but the connection ends after so many bytes of the body."""
    return lambda handler: serve(handler, ranges=ranges, cut=count)


def answer(code: int, body: bytes = b"", media_type: str = JSON, **headers: str) -> Act:
    """This; underscores in the headers' names stand for hyphens."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.send(code, body, {"Content-Type": media_type, **more})


def hang_up(handler: Handler) -> None:
    """No answer; the connection ends."""
    handler.close_connection = True
    with contextlib.suppress(OSError):
        handler.connection.shutdown(socket.SHUT_RDWR)


def stall(handler: Handler) -> None:
    """No answer until the server stops."""
    handler.registry.stopped.wait()
    handler.close_connection = True


def error(message: str) -> bytes:
    """A body in the registry's form of errors."""
    return json.dumps({"errors": [{"code": "CODE", "message": message}]}).encode()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
