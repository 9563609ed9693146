"""The Controller stand-in as a process of its own, as the demo and the end-to-end tests want it."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

from lab.shell import CommandFailed, start, stop, wait_for

EMAIL, PASSWORD = "user@domain.com", "testpass123"
ENDPOINT = re.compile(r"^http://127\.0\.0\.1:\d+$", re.MULTILINE)


class ControllerProcess:
    """A running ``python -m lab.controller``."""

    email, password = EMAIL, PASSWORD

    def __init__(self, folder: Path, dialect: str = "3.7.3") -> None:
        self.folder, self.dialect = folder, dialect

    @property
    def endpoint(self) -> str:
        """``http://127.0.0.1:PORT``: it takes a free port by itself, and says which."""
        said = ENDPOINT.search((self.folder / "log").read_text())
        return said[0] if said else ""

    def up(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "lab.controller", "--dialect", self.dialect]
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
        if not self.endpoint:
            return False
        try:
            with urllib.request.urlopen(f"{self.endpoint}/api/v3/status", timeout=2) as response:
                return bool(response.status == 200)
        except (URLError, OSError):
            return False
