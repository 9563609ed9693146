"""What the log says of requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests

from pulumi_iofog.adapters.http import logged


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302 if self.path.startswith("/v2/") else 404)
        self.send_header("Location", "/blob?signature=hidden")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_said: object) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_each_answer_has_a_line_without_query_and_credentials(server: str, log_file: Path) -> None:
    with logged(requests.Session()) as session:
        session.get(f"http://ci:hidden@{server}/v2/app/manifests/1?token=hidden", headers={"X-Token": "hidden"})
    text = re.sub(r"\S+ \d+ (request .*) seconds=0\.\d+", r"\1", log_file.read_text())
    assert text.splitlines() == [
        f"request status=302: GET http://{server}/v2/app/manifests/1",
        f"request status=404: GET http://{server}/blob",
    ]
