"""Debian's docker-registry on loopback, and what is pushed to it with skopeo."""

from __future__ import annotations

import re
from pathlib import Path

from lab.shell import CommandFailed, run, start, stop, wait_for

CONFIG = """version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/data}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:0"}}
"""
LISTENS = re.compile(r"listening on (127\.0\.0\.1:\d+)")


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
        (self.folder / "address").write_text(serve(self.folder, CONFIG.format(folder=self.folder)))

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


def serve(folder: Path, config: str, name: str = "registry") -> str:
    """Start a docker-registry with this configuration and wait until it listens; its address, ``127.0.0.1:PORT``.

    It takes a free port by itself and says which: one that was looked for beforehand may be another's by then.

    Args:
        name: of its files in the folder: ``NAME.yml``, ``NAME.pid``, ``NAME.log``.
    """
    file, log = folder / f"{name}.yml", folder / f"{name}.log"
    file.write_text(config)
    log.unlink(missing_ok=True)
    start(["docker-registry", "serve", file], folder / f"{name}.pid", log)
    if not wait_for(lambda: LISTENS.search(log.read_text()) is not None, 20):
        raise CommandFailed(f"docker-registry: {log.read_text()[-2000:]}")
    return str(LISTENS.findall(log.read_text())[0])
