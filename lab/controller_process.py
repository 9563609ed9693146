"""The Controller stand-in as a process of its own, as the demo and the end-to-end tests want it."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from lab.controller.side_door import SIDE_DOOR
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

    def set_agent(self, name: str, **fields: Any) -> str:
        """Change an agent's record, or make one for x86; its uuid. This and the rest: lab/controller/side_door.py."""
        return str(self._do("set_agent", name=name, **fields))

    def run(self, item_id: int, agent: str, **more: str) -> str:
        """A new microservice of a catalog item on that agent, RUNNING unless ``status`` says otherwise; its uuid."""
        return str(self._do("run", item_id=item_id, agent=agent, **more))

    def report(self, uuid: str, status: str) -> None:
        """Have its agent say how a microservice is."""
        self._do("report", uuid=uuid, status=status)

    def rebuilds(self) -> dict[str, bool]:
        """``application/microservice`` → whether its agent is to start it anew."""
        return dict(self._do("rebuilds"))

    def fetch(self, agent: str) -> list[str]:
        """Have an agent get its microservices: those that it is to start anew, once."""
        return list(self._do("fetch", agent=agent))

    def _do(self, deed: str, **how: Any) -> Any:
        request = urllib.request.Request(f"{self.endpoint}{SIDE_DOOR}{deed}", json.dumps(how).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)["done"]
        except HTTPError as refused:
            with refused:
                raise CommandFailed(refused.read().decode()) from None

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
