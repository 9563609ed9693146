"""One edge host: network, mount and process namespaces of its own, in them sshd on port 22 and an engine.

What a host owns (engine roots, /run, /root, /home, /tmp, /var/tmp, its users and ssh keys) lies in its
folder and is bound over the machine's, so that root on a host meets no file of the operator's in there;
everything else is the machine's, read only by habit. All its processes are descendants of one, the
holder: when that ends, the kernel ends them, however they were started.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import accounts, disk, mounts
from lab.accounts import Architecture
from lab.engines import ENGINES, PROGRAMS, Engine, EngineKind
from lab.network import Link, Network
from lab.shell import CommandFailed, run, start, stop, wait_for

STATE = ("/var/lib/docker", "/var/lib/containers", "/var/lib/containerd")
SCRATCH = ("/tmp", "/var/tmp")  # noqa: S108 - the host's own, not ours
BOUND = ("/run", "/home", "/etc/ssh", "/usr/local/bin", *STATE, *SCRATCH, "/root")
CGROUPS = Path("/sys/fs/cgroup")
PROGRAM_FOLDERS = ("/usr/bin", "/usr/sbin")


@dataclass(frozen=True, slots=True)
class HostSpec:
    """What to start.

    Attributes:
        engine: ``docker`` (Debian's, classic store), ``podman``, ``docker29`` (containerd store), ``edgelet`` or none.
        beside: further engines, which run there too.
        rate: of its link, for tc (``20mbit``); None for unshaped.
        arch: what its engine says of itself; another than amd64 is only said, by shims on PATH.
        disk: size of the file system that it owns, in MB, in memory; None for the machine's.
        own_disk: one of 60 GB with ext4 and a journal instead. Without a journal, as on some virtual machines, ext4
            takes several times as long to make files where others have just been removed.
        nice: of its engine. Where one machine plays many hosts, the engines' work should not keep it from sending,
            as it would not if they had machines of their own.
        without: programs that it does not have, besides the other engines' (``zstd``).
    """

    name: str
    engine: EngineKind = "docker"
    rate: str | None = None
    arch: Architecture = "amd64"
    disk: int | None = None
    own_disk: bool = False
    nice: int = 0
    without: tuple[str, ...] = ()
    beside: tuple[EngineKind, ...] = ()


@dataclass(frozen=True, slots=True)
class Counters:
    """Bytes over the host's interface."""

    received: int
    sent: int


class Host:
    """A host that runs, here or started by another process of ours."""

    user, password = accounts.EDGE.name, accounts.PASSWORD

    def __init__(self, spec: HostSpec, folder: Path, network: Network, number: int, private_key_file: Path) -> None:
        self.spec, self.folder, self.private_key_file = spec, folder, private_key_file
        self.link = Link(network, number, spec.name)
        self.name, self.address = spec.name, self.link.address
        self._runs = 0

    # ---- for tests ------------------------------------------------------------------------------------

    @property
    def host_key(self) -> str:
        """``ssh-ed25519 AAAA…``."""
        return " ".join((self.folder / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])

    def agent(self, known_hosts_file: Path) -> dict[str, str]:
        """The host as one of the resource's ``agents``."""
        return {
            "name": self.name,
            "host": self.address,
            "user": self.user,
            "private_key_file": str(self.private_key_file),
            "known_hosts_file": str(known_hosts_file),
        }

    @property
    def engine(self) -> Engine:
        """The one that the host is for."""
        return ENGINES[self.spec.engine]

    @property
    def cli(self) -> str:
        return self.engine.cli

    def run(self, script: str, *, check: bool = True) -> str:
        """Run a shell script on the host as root, not over SSH."""
        self._runs += 1
        return run(*self._enter(), "env", f"PATH={self._path()}", "HOME=/root", "sh", "-c", script, check=check)

    def visits(self) -> int:
        """How many TCP connections it has accepted, whatever came of them; its kernel counts them."""
        snmp = Path("/proc", (self.folder / "holder.pid").read_text(), "net/snmp").read_text()
        names, values = (line.split() for line in snmp.splitlines() if line.startswith("Tcp:"))
        return int(values[names.index("PassiveOpens")])

    def uses(self) -> tuple[int, int]:
        """What changes whenever somebody does something on it: by a connection, or by ``run`` of this very object."""
        return self.visits(), self._runs

    def set_rate(self, rate: str | None) -> None:
        self.link.set_rate(rate)

    def counters(self) -> Counters:
        return Counters(*self.link.counters())

    def cut(self) -> None:
        self.link.cut(cut=True)

    def restore(self) -> None:
        self.link.cut(cut=False)

    # ---- up and down ----------------------------------------------------------------------------------

    def up(self) -> None:
        """Start everything and wait until it answers. A host that runs is left alone; what an interrupted
        start has left is removed first."""
        if (self.folder / "up").exists() and self._pids():
            return
        self.down()
        self._make_folders()
        # First of all, so that a later process finds what there is to remove.
        (self.folder / "spec.json").write_text(json.dumps({**asdict(self.spec), "number": self.link.number}))
        accounts.write(self.folder, self.private_key_file.with_suffix(".pub"), self._path())
        self.link.up()
        self._hold_namespaces()
        self.start_sshd()
        self.start_engine()
        if self.spec.rate:
            self.set_rate(self.spec.rate)
        (self.folder / "up").touch()

    def down(self) -> None:
        """End every process, and remove namespaces, mounts and the folder; of an interrupted start too."""
        self._end_processes()
        self.link.down()
        _remove_cgroups(self.link.namespace)
        for target in reversed(mounts.below(self.folder)):
            run("umount", "--lazy", target, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
        disk.remove(self.folder)

    def start_sshd(self) -> None:
        self.folder.joinpath("run/sshd").mkdir(parents=True, exist_ok=True)
        self.start_service("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sshd_config"])
        self.wait_service("sshd", self._greets)

    def stop_sshd(self) -> None:
        """No new connections; those that are open stay."""
        self.stop_service("sshd")

    def start_engine(self) -> None:
        """Start what daemons there are, and wait until they answer."""
        for engine in self._engines():
            engine.start(self)

    def stop_engine(self) -> None:
        """Stop them, in order, as a service manager would."""
        for engine in self._engines():
            engine.stop(self)

    # ---- for engines ----------------------------------------------------------------------------------

    def start_service(self, service: str, argv: list[str], env: dict[str, str] | None = None) -> None:
        start([*self._enter(), *argv], self.folder / f"{service}.pid", self.folder / f"{service}.log", env)

    def stop_service(self, service: str) -> None:
        pid_file = self.folder / f"{service}.pid"
        if not pid_file.exists():
            return
        # nsenter has stayed in between; it ends when what it has started does.
        pid = pid_file.read_text()
        inner = self.folder / f"{service}-inner.pid"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            inner.write_text(Path(f"/proc/{pid}/task/{pid}/children").read_text().strip())
            stop(inner)
        stop(pid_file)

    def wait_service(self, service: str, condition: Callable[[], bool]) -> None:
        """Until the condition holds; CommandFailed with the end of the service's log if it never does."""
        if not wait_for(condition, 40):
            log = (self.folder / f"{service}.log").read_text(errors="replace")[-2000:]
            raise CommandFailed(f"{self.name}: {service} does not answer: {log}")

    # ---- parts ----------------------------------------------------------------------------------------

    def _make_folders(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.spec.own_disk:
            disk.mount(self.folder)
        if self.spec.disk:
            run("mount", "-t", "tmpfs", "-o", f"size={self.spec.disk}m", "iofog-lab", self.folder)
        for target in self._bound():
            self.folder.joinpath(target[1:]).mkdir(parents=True, exist_ok=True)
            Path(target).mkdir(parents=True, exist_ok=True)
        for shared in SCRATCH:
            self.folder.joinpath(shared[1:]).chmod(0o1777)
        self.folder.joinpath("root").chmod(0o700)
        own = {program for engine in self._engines() for program in engine.programs}
        for target in PROGRAM_FOLDERS:
            mounts.hide(self.folder, target, (PROGRAMS - own) | set(self.spec.without))
        for engine in self._engines():
            engine.prepare(self.folder)
        if self.spec.arch != "amd64":
            accounts.write_shims(self.folder / "shims", self.spec.arch, own)

    def _hold_namespaces(self) -> None:
        """Start the process that all others of the host descend from."""
        files = [f"/etc/{name}" for name in accounts.FILES if Path("/etc", name).exists()]
        # Before /root is the host's own, in which the operator may keep what is mounted.
        binds = [command for engine in self._engines() for command in engine.mounts(self.folder)]
        binds += [f"mount --rbind {self.folder}{target} {target}" for target in (*self._bound(), *files)]
        binds += [mounts.overlay(self.folder, target) for target in PROGRAM_FOLDERS]
        ready = self.folder / "ready"
        # The shell is the namespace's init: while it waits for sleep it reaps whoever is left to it.
        script = " && ".join(["mount -t proc proc /proc", *binds, f"touch {ready}", "{ sleep infinity & wait; }"])
        new = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        argv = ["nsenter", f"--net=/run/netns/{self.link.namespace}", *new, "sh", "-c", script]
        start(argv, self.folder / "holder.pid", self.folder / "holder.log")
        self.wait_service("holder", ready.exists)

    def _enter(self) -> list[str]:
        space = f"/proc/{(self.folder / 'holder.pid').read_text()}/ns"
        net = f"--net=/run/netns/{self.link.namespace}"
        return ["nsenter", net, f"--mount={space}/mnt", f"--pid={space}/pid_for_children"]

    def _path(self) -> str:
        folders = [f"{self.folder}/shims"] if self.spec.arch != "amd64" else []
        folders += sorted({folder for engine in self._engines() for folder in engine.path})
        return ":".join([*folders, accounts.PATH])

    def _greets(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=2) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _engines(self) -> list[Engine]:
        return [self.engine, *(ENGINES[kind] for kind in self.spec.beside)]

    def _bound(self) -> list[str]:
        """The folders that are the host's own."""
        return [*BOUND, *(folder for engine in self._engines() for folder in engine.folders)]

    def _pids(self) -> list[int]:
        """Processes of the host's network: all but those in containers, which descend from them."""
        return [int(pid) for pid in run("ip", "netns", "pids", self.link.namespace, check=False).split()]

    def _end_processes(self) -> None:
        # Found by namespace, as a pid file may be older than the process that has its number now.
        pids = self._pids()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(map(_runs, pids)), 20)


def _runs(pid: int) -> bool:
    """Whether a process is there, also one that leaves its namespaces just now."""
    with contextlib.suppress(ChildProcessError):  # not ours to reap
        os.waitpid(pid, os.WNOHANG)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _remove_cgroups(name: str) -> None:
    """Remove what a killed engine has left of its containers' cgroups (v1: one tree a controller)."""
    for top in (CGROUPS / name, *CGROUPS.glob(f"*/{name}")):
        below = sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True)
        for folder in (*below, top):
            with contextlib.suppress(OSError):
                folder.rmdir()
