"""What happens to real things at three in the morning: daemons killed, links cut, disks full, power lost.

Each is done in the host's own namespaces, or to a process that this lab has started; and undone where it can be.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.engines.edgelet import Edgelet
from lab.host import Host
from lab.registry import CONFIG, serve
from lab.shell import run, wait_for

ENGINE = {
    "docker": "pgrep -x dockerd; pgrep -x containerd",
    "docker29": "pgrep -x dockerd; pgrep -x containerd",
    "edgelet": "pgrep -f 'edgelet daemon$'",
    # It has no daemon: whatever it is doing.
    "podman": "pgrep -x podman",
}
"""By engine: what prints the processes that work for everybody."""
LOADS = {
    "docker": "^[^ ]*docker load",
    "docker29": "^[^ ]*docker load",
    "edgelet": "^[^ ]*edgelet image load",
    "podman": "^[^ ]*podman (pull|load)",
}
"""By engine: the process that a load is; the shell that starts it has the same words further on in its command line."""


# ---- engines ------------------------------------------------------------------------------------------


def signal_engine(host: Host, name: str) -> None:
    """Send its processes a signal (``KILL``, ``STOP``, ``CONT``)."""
    host.run(f"kill -s {name} $({ENGINE[host.spec.engine]}) 2>/dev/null || true")


def start_engine(host: Host) -> None:
    """Start what ``KILL`` has ended, and wait until it answers."""
    if isinstance(host.engine, Edgelet):
        host.engine.start_daemon(host)
    else:
        host.start_engine()


def wait_for_load(host: Host, within: float = 60.0) -> bool:
    """Whether a load has begun in that time."""
    words = LOADS[host.spec.engine]
    script = f"n=0; until pgrep -f '{words}' >/dev/null; do n=$((n + 1)); [ $n -lt {within * 100:.0f} ] || exit 1;"
    return host.run(f"{script} sleep 0.01; done; echo begun", check=False).strip() == "begun"


# ---- the way there ------------------------------------------------------------------------------------


def kill_sshd(host: Host) -> None:
    """End it, and all its sessions with it, at once."""
    host.run("kill -s KILL $(pgrep -x sshd) 2>/dev/null || true")
    host.stop_sshd()


def lose_power(host: Host) -> None:
    """End everything at once; the last megabyte that was written to the spool comes to the disk as zeros."""
    kill_sshd(host)
    signal_engine(host, "KILL")
    host.run("""
        last=$(find /home/*/.cache/pulumi-iofog /var/tmp -path '*/parts/*' -type f ! -name '*.sha256' -exec ls -S {} + \
            2>/dev/null | head -n 1)
        [ -n "$last" ] || exit 0
        size=$(stat -c %s "$last"); keep=$((size > 1000000 ? size - 1000000 : size / 2))
        truncate -s $keep "$last"; truncate -s $((size - 1000)) "$last"
    """)


def return_power(host: Host) -> None:
    """Start sshd and the engine again."""
    host.start_sshd()
    start_engine(host)


@contextmanager
def another_host_key(host: Host) -> Iterator[None]:
    """While the body runs, sshd has another host key."""
    key = host.folder / "etc/ssh/ssh_host_ed25519_key"
    kept = {path: path.read_bytes() for path in (key, key.with_suffix(".pub"))}
    for path in kept:
        path.unlink()
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    host.stop_sshd()
    host.start_sshd()
    try:
        yield
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
        host.stop_sshd()
        host.start_sshd()


@contextmanager
def sshd_config(host: Host, old: str, new: str) -> Iterator[None]:
    """While the body runs, sshd's configuration has ``new`` in the place of ``old``."""
    file = host.folder / "etc/ssh/sshd_config"
    before = file.read_text()
    assert old in before
    _restart_sshd(host, file, before.replace(old, new))
    try:
        yield
    finally:
        _restart_sshd(host, file, before)


def _restart_sshd(host: Host, file: Path, config: str) -> None:
    file.write_text(config)
    host.stop_sshd()
    host.start_sshd()


@contextmanager
def mounted(host: Host, folder: str, options: str) -> Iterator[None]:
    """While the body runs, a file system in memory is mounted over a folder of the host's."""
    host.run(f"mkdir -p {folder} && mount -t tmpfs -o {options} tmpfs {folder}")
    try:
        yield
    finally:
        host.run(f"umount --lazy {folder}")


# ---- the operator's side ------------------------------------------------------------------------------


class MortalRegistry:
    """A docker-registry over another one's data, that can be killed and comes back at its address; for a ``with``."""

    def __init__(self, folder: Path, data: Path) -> None:
        self._folder, self._config = folder, CONFIG.format(folder=data)
        folder.mkdir(parents=True, exist_ok=True)
        self.address = serve(folder, self._config)
        self._config = self._config.replace("127.0.0.1:0", self.address)

    def __enter__(self) -> MortalRegistry:
        return self

    def __exit__(self, *raised: object) -> None:
        self.kill()

    def kill(self) -> None:
        """At once, with all its connections."""
        pid = int((self._folder / "registry.pid").read_text())
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not _runs(pid), 10)

    def start(self) -> None:
        """Again."""
        serve(self._folder, self._config)


def _runs(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
