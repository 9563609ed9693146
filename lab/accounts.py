"""An edge host's users, sshd's and sudo's rules for them, and shims for another architecture."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab.shell import run

Architecture = Literal["amd64", "arm64", "armv7"]
PASSWORD = "edge-lab-password"
FILES = ("passwd", "group", "shadow", "sudoers")
"""What ``write`` puts into the host's own /etc."""
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Account:
    """A user of every host; all have the lab's key and the same password.

    Attributes:
        docker: in group docker, so that Docker answers without sudo.
        sudo: the right side of its rule in sudoers; empty for none.
    """

    name: str
    number: int
    docker: bool = False
    sudo: str = ""


EDGE = Account("edge", 20001, docker=True, sudo="NOPASSWD: ALL")
ACCOUNTS = (
    EDGE,
    Account("plain", 20002, sudo="NOPASSWD: ALL"),
    Account("asked", 20003, sudo="ALL"),
    Account("outsider", 20004),
)
"""``edge`` is the one that agents are reached with; the others are for what can go wrong."""

SSHD_CONFIG = """Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile none
UsePAM no
PasswordAuthentication yes
PermitRootLogin prohibit-password
MaxStartups 100
MaxSessions 100
SetEnv PATH={path}
Subsystem sftp internal-sftp
Match User root
AuthorizedKeysFile /etc/ssh/authorized_keys
"""


def write(folder: Path, public_key: Path, path: str) -> None:
    """Fill the host's own ``etc`` and ``home``.

    Args:
        folder: of the host.
        public_key: what lets every account and root in.
        path: the PATH of SSH sessions.
    """
    etc = folder / "etc"
    (etc / "ssh/sshd_config").write_text(SSHD_CONFIG.format(path=path))
    shutil.copy(public_key, etc / "ssh/authorized_keys")
    if not (etc / "ssh/ssh_host_ed25519_key").exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", etc / "ssh/ssh_host_ed25519_key")
    hashed = run("openssl", "passwd", "-6", PASSWORD).strip()
    _extend(etc, "passwd", [f"{a.name}:x:{a.number}:{a.number}::/home/{a.name}:/bin/sh" for a in ACCOUNTS])
    _extend(etc, "group", [f"{account.name}:x:{account.number}:" for account in ACCOUNTS])
    _extend(etc, "shadow", [f"{account.name}:{hashed}:19000:0:99999:7:::" for account in ACCOUNTS])
    rules = [f"{account.name} ALL=(ALL) {account.sudo}\n" for account in ACCOUNTS if account.sudo]
    (etc / "sudoers").write_text("root ALL=(ALL) ALL\n" + "".join(rules))
    (etc / "sudoers").chmod(0o440)
    for account in ACCOUNTS:
        _make_home(folder / "home" / account.name, account.number, public_key)


def _extend(etc: Path, name: str, lines: Sequence[str]) -> None:
    """The machine's file with more lines; in ``group``, Docker's members are the lab's."""
    source = Path("/etc", name)
    kept = source.read_text().splitlines()
    if name == "group":
        members = ",".join(account.name for account in ACCOUNTS if account.docker)
        kept = [f"{line.rpartition(':')[0]}:{members}" if line.startswith("docker:") else line for line in kept]
    (etc / name).write_text("\n".join([*kept, *lines]) + "\n")
    shutil.copystat(source, etc / name)


def _make_home(home: Path, number: int, public_key: Path) -> None:
    ssh = home / ".ssh"
    ssh.mkdir(parents=True, exist_ok=True)
    shutil.copy(public_key, ssh / "authorized_keys")
    for path in (home, ssh, ssh / "authorized_keys"):
        os.chown(path, number, number)
        path.chmod(0o700 if path.is_dir() else 0o600)


def write_shims(folder: Path, arch: Architecture, engines: Collection[str]) -> None:
    """Programs that let the host say that it is of another architecture; all else they pass through.

    Args:
        engines: programs of engines that the host has.
    """
    goarch, machine = ("arm64", "aarch64") if arch == "arm64" else ("arm", "armv7l")
    folder.mkdir(parents=True, exist_ok=True)
    scripts = {
        "uname": f'[ "$1" = -m ] && echo {machine} && exit; exec /usr/bin/uname "$@"',
        "docker": _shim("/usr/bin/docker", "Server.Arch", goarch),
        "podman": _shim("/usr/bin/podman", "Client.OsArch", rf"linux\/{goarch}"),
    }
    for name, script in scripts.items():
        if name != "uname" and name not in engines:
            continue
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)


def _shim(program: str, question: str, answer: str) -> str:
    """Puts the answer in the place of its question, wherever in a template it is asked."""
    replaced = f"""$(printf %s "$argument" | sed 's/{{{{\\.{question}}}}}/{answer}/g')"""
    return f'for argument; do shift; set -- "$@" "{replaced}"; done\nexec {program} "$@"'
