"""An sshd of one's own on loopback, for logins that the edge hosts' does not ask for: certificates, several
steps, other addresses. Its users are this machine's root, and what a test puts into its folder."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.shell import run, wait_for
from pulumi_iofog.inputs.spec import Agent


@dataclass(frozen=True, slots=True)
class Sshd:
    """One that runs.

    Attributes:
        folder: holds ``host_ed25519``, ``authorized_keys``, ``log``.
    """

    folder: Path
    address: str
    port: int

    def agent(self, **fields: Any) -> Agent:
        """It as an agent whose host key is pinned, unless a test wants to know more of host keys."""
        pinned = {"host_key": self.host_key} if "known_hosts_file" not in fields else {}
        return Agent(**{"name": "edge", "host": self.address, "user": "root", "port": self.port, **pinned, **fields})

    @property
    def host_key(self) -> str:
        return " ".join((self.folder / "host_ed25519.pub").read_text().split()[:2])

    @property
    def name(self) -> str:
        """As known_hosts has it."""
        return f"[{self.address}]:{self.port}"

    def allow(self, key: Path) -> None:
        """Let a key in."""
        allowed = self.folder / "authorized_keys"
        before = allowed.read_text() if allowed.exists() else ""
        allowed.write_text(before + key.with_name(f"{key.name}.pub").read_text())


def new_key(path: Path, *options: str, passphrase: str = "") -> Path:
    """Make a key pair, by what ssh-keygen is told besides (ed25519)."""
    kind = () if "-t" in options else ("-t", "ed25519")
    run("ssh-keygen", "-q", *kind, *options, "-N", passphrase, "-C", path.name, "-f", path)
    return path


def sign(authority: Path, key: Path, *options: str) -> Path:
    """Certify a key: KEY-cert.pub, by what ssh-keygen is told besides."""
    run("ssh-keygen", "-q", "-s", authority, "-I", f"test {key.name}", *options, f"{key}.pub")
    return key.with_name(f"{key.name}-cert.pub")


@contextmanager
def running(folder: Path, *settings: str, address: str = "127.0.0.1") -> Iterator[Sshd]:
    """Start one with these lines of sshd_config besides; ended at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "host_ed25519").exists():
        new_key(folder / "host_ed25519")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as reserved:
        # Kept while sshd runs, which may bind it too as both say SO_REUSEADDR; nobody else gets it in between.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((address, 0))
        port = reserved.getsockname()[1]
        _configure(folder, settings, address, port)
        Path("/run/sshd").mkdir(exist_ok=True)
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
        try:
            assert wait_for(lambda: _greets(address, port), 10), (folder / "log").read_text()
            yield Sshd(folder, address, port)
        finally:
            process.terminate()
            process.wait()


def _configure(folder: Path, settings: Sequence[str], address: str, port: int) -> None:
    config = [
        *settings,
        f"ListenAddress [{address}]:{port}" if ":" in address else f"ListenAddress {address}:{port}",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PermitRootLogin yes",
    ]
    if not any(line.startswith("HostKey ") for line in settings):
        config.append(f"HostKey {folder}/host_ed25519")
    (folder / "sshd_config").write_text("\n".join(config) + "\n")


def _greets(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
