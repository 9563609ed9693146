"""The Controller stand-in as a process of its own, as the demo and the end-to-end tests want it."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

from lab.registry import free_port
from lab.shell import CommandFailed, start, stop, wait_for

EMAIL, PASSWORD = "user@domain.com", "testpass123"


class ControllerProcess:
    """A running ``python -m lab.controller``."""

    email, password = EMAIL, PASSWORD

    def __init__(self, folder: Path, dialect: str = "3.7.3") -> None:
        self.folder, self.dialect = folder, dialect
        self._port = free_port()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "lab.controller", "--port", str(self._port), "--dialect", self.dialect]
        start([*argv, "--state", self.folder / "state.json"], self.folder / "controller.pid", self.folder / "log")
        if not wait_for(self._answers, 20):
            raise CommandFailed(f"controller: {(self.folder / 'log').read_text()[-2000:]}")
        (self.folder / "endpoint").write_text(self.endpoint)

    def state(self) -> dict[str, Any]:
        """What it knows: items, agents, microservices and more, each by id."""
        return dict(json.loads((self.folder / "state.json").read_text()))

    def down(self) -> None:
        stop(self.folder / "controller.pid")

    @staticmethod
    def down_all(folder: Path) -> None:
        """Stop every stand-in of a lab, also another process's."""
        for pid_file in folder.glob("controller-*/controller.pid"):
            stop(pid_file)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/api/v3/status", timeout=2) as response:
                return bool(response.status == 200)
        except (URLError, OSError):
            return False
