"""Debian's docker-registry on loopback, and what is pushed to it with skopeo."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path
from urllib.error import URLError

from lab.shell import CommandFailed, run, start, stop, wait_for

CONFIG = """version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {folder}/data}}
  delete: {{enabled: true}}
http: {{addr: "{address}"}}
"""


class Registry:
    """A registry for the operator's side; edge hosts cannot reach it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``, plain http."""
        return (self.folder / "address").read_text()

    def up(self) -> None:
        """Start it, if it does not run, and wait until it answers."""
        if (self.folder / "registry.pid").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "address").write_text(f"127.0.0.1:{free_port()}")
        config = self.folder / "config.yml"
        config.write_text(CONFIG.format(folder=self.folder, address=self.address))
        start(["docker-registry", "serve", config], self.folder / "registry.pid", self.folder / "registry.log")
        if not wait_for(self._answers, 20):
            raise CommandFailed(f"docker-registry: {(self.folder / 'registry.log').read_text()[-2000:]}")

    def down(self) -> None:
        """Stop it."""
        stop(self.folder / "registry.pid")

    def push(self, layout: Path, name: str, *, source: str = "", docker_types: bool = False) -> str:
        """Push an OCI layout, index and all, and return the reference.

        Args:
            name: repository and tag.
            source: the one image of the layout to push, by its reference in there; default everything.
            docker_types: convert to Docker's media types.
        """
        reference = f"{self.address}/{name}"
        options = ["--dest-tls-verify=false", "--quiet"]
        options += ["--format", "v2s2"] if docker_types else []
        options += [] if source else ["--all"]
        run("skopeo", "copy", *options, f"oci:{layout}{':' + source if source else ''}", f"docker://{reference}")
        return reference

    def delete(self, name: str) -> None:
        """Remove a tag's manifest."""
        run("skopeo", "delete", "--tls-verify=false", f"docker://{self.address}/{name}")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/v2/", timeout=2) as response:
                return bool(response.status == 200)
        except (URLError, OSError):
            return False


def free_port() -> int:
    """A TCP port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
