"""One edge host: a network and a mount namespace of its own, in them sshd on port 22 and an engine.

What a host owns (engine roots, /run, /home, /tmp, /var/tmp, its users and ssh keys) lies in its folder
and is bound over the machine's; everything else is the machine's, read only by habit.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lab.cache import docker_29
from lab.network import Link, Network
from lab.shell import CommandFailed, run, start, stop, wait_for

EngineKind = Literal["docker", "podman", "docker29", "none"]
Architecture = Literal["amd64", "arm64", "armv7"]

BOUND = ("/run", "/var/lib/docker", "/var/lib/containers", "/var/lib/containerd", "/home", "/var/tmp", "/etc/ssh")
USER, PASSWORD = "edge", "edge-lab-password"


@dataclass(frozen=True, slots=True)
class HostSpec:
    """What to start.

    Attributes:
        engine: ``docker`` (Debian's, classic store), ``podman``, ``docker29`` (containerd store) or none.
        rate: of its link, for tc (``20mbit``); None for unshaped.
        arch: what its engine says of itself; another than amd64 is only said, by shims on PATH.
        disk: size of the file system that it owns, in MB; None for the machine's.
    """

    name: str
    engine: EngineKind = "docker"
    rate: str | None = None
    arch: Architecture = "amd64"
    disk: int | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """Bytes over the host's interface."""

    received: int
    sent: int


class Host:
    """A host that runs, here or started by another process of ours."""

    user, password = USER, PASSWORD

    def __init__(self, spec: HostSpec, folder: Path, network: Network, number: int, private_key_file: Path) -> None:
        self.spec, self.folder, self.private_key_file = spec, folder, private_key_file
        self.link = Link(network, number, spec.name)
        self.name, self.address = spec.name, self.link.address

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
    def cli(self) -> str:
        return "podman" if self.spec.engine == "podman" else "docker"

    def run(self, script: str, *, check: bool = True) -> str:
        """Run a shell script on the host as root, not over SSH."""
        return run(*self._enter(), "sh", "-c", script, check=check)

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
        """Start everything and wait until it answers."""
        self.link.up()
        self._make_folders()
        self._make_user()
        self._hold_namespaces()
        self.start_sshd()
        self.start_engine()
        if self.spec.rate:
            self.set_rate(self.spec.rate)
        (self.folder / "spec.json").write_text(json.dumps({**asdict(self.spec), "number": self.link.number}))

    def down(self) -> None:
        """Stop everything and remove the host's folder; works on what an interrupted start has left."""
        self.stop_engine()
        self.stop_sshd()
        for pid in _pids_in(self.link.namespace):
            (self.folder / "stray.pid").write_text(str(pid))
            stop(self.folder / "stray.pid", within=5)
        stop(self.folder / "holder.pid")
        self.link.down()
        for target in reversed(_mounts_below(self.folder)):
            run("umount", "--lazy", target, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_sshd(self) -> None:
        self.folder.joinpath("run/sshd").mkdir(parents=True, exist_ok=True)
        self._start("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sshd_config"])
        self._wait(
            "sshd", lambda: "SSH-2.0" in self.run("cat /run/sshd.ready 2>/dev/null", check=False) or self._port_open()
        )

    def stop_sshd(self) -> None:
        stop(self.folder / "sshd.pid")

    def start_engine(self) -> None:
        if self.spec.engine not in ("docker", "docker29"):
            return
        flags = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--log-level=warn"]
        env, program = {}, "/usr/sbin/dockerd"
        if self.spec.engine == "docker29":
            folder = docker_29()
            # Debian's client speaks an older API than Docker 29 takes by default.
            env = {"DOCKER_MIN_API_VERSION": "1.24", "PATH": f"{folder}:{os.environ['PATH']}"}
            program = str(folder / "dockerd")
        self.run("rm -f /run/docker.pid")
        self._start("engine", [program, *flags], env)
        self._wait(
            "engine", lambda: bool(self.run("docker version --format '{{.Server.Version}}'", check=False).strip())
        )

    def stop_engine(self) -> None:
        stop(self.folder / "engine.pid")

    # ---- parts ----------------------------------------------------------------------------------------

    def _enter(self) -> list[str]:
        pid = (self.folder / "holder.pid").read_text()
        shims = f"{self.folder}/shims:" if self.spec.arch != "amd64" else ""
        path = f"PATH={shims}/usr/sbin:/usr/bin:/sbin:/bin"
        return ["nsenter", "--target", pid, "--mount", "--net", "env", path]

    def _start(self, what: str, argv: list[str], env: dict[str, str] | None = None) -> None:
        start([*self._enter()[:-2], *argv], self.folder / f"{what}.pid", self.folder / f"{what}.log", env)

    def _wait(self, what: str, condition: object) -> None:
        assert callable(condition)
        if not wait_for(condition, 40):
            log = (self.folder / f"{what}.log").read_text(errors="replace")[-2000:]
            raise CommandFailed(f"{self.name}: {what} does not answer: {log}")

    def _port_open(self) -> bool:
        # /proc/net/tcp of the namespace; 0016 is port 22, 0A is LISTEN.
        return any(":0016 " in line and " 0A " in line for line in self.run("cat /proc/net/tcp").splitlines())

    def _make_folders(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.spec.disk:
            run("mount", "-t", "tmpfs", "-o", f"size={self.spec.disk}m", "iofog-lab", self.folder)
        for target in BOUND:
            self.folder.joinpath(target[1:]).mkdir(parents=True, exist_ok=True)
            Path(target).mkdir(parents=True, exist_ok=True)
        for shared in ("var/tmp",):
            self.folder.joinpath(shared).chmod(0o1777)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "etc/ssh/ssh_host_ed25519_key")
        (self.folder / "etc/ssh/sshd_config").write_text(SSHD_CONFIG.format(path=self._session_path()))
        if self.spec.arch != "amd64":
            _make_shims(self.folder / "shims", self.spec.arch)

    def _session_path(self) -> str:
        shims = f"{self.folder}/shims:" if self.spec.arch != "amd64" else ""
        return f"{shims}/usr/sbin:/usr/bin:/sbin:/bin"

    def _make_user(self) -> None:
        """A user with a key and a password: in group docker, and on podman hosts with sudo."""
        etc, home = self.folder / "etc", self.folder / "home" / USER
        hashed = run("openssl", "passwd", "-6", PASSWORD).strip()
        for name, line in {
            "passwd": f"{USER}:x:20001:20001::/home/{USER}:/bin/sh",
            "group": f"{USER}:x:20001:",
            "shadow": f"{USER}:{hashed}:19000:0:99999:7:::",
        }.items():
            text = Path("/etc", name).read_text()
            if name == "group":
                text = "\n".join(
                    f"docker:x:{l.split(':')[2]}:{USER}" if l.startswith("docker:") else l for l in text.splitlines()
                )
            (etc / name).write_text(f"{text.rstrip()}\n{line}\n")
            shutil.copystat(Path("/etc", name), etc / name)
        ssh = home / ".ssh"
        ssh.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.private_key_file.with_suffix(".pub"), ssh / "authorized_keys")
        for path in (home, ssh, ssh / "authorized_keys"):
            os.chown(path, 20001, 20001)
            path.chmod(0o700 if path.is_dir() else 0o600)
        (etc / "sudoers").write_text(f"root ALL=(ALL) ALL\n{USER} ALL=(ALL) NOPASSWD: ALL\n")
        (etc / "sudoers").chmod(0o440)

    def _hold_namespaces(self) -> None:
        """A process that keeps the host's mounts; everything else of the host enters its namespaces."""
        binds = [f"mount --bind {self.folder}{target} {target}" for target in BOUND]
        binds += [f"mount --bind {self.folder}/etc/{name} /etc/{name}" for name in ("passwd", "group", "shadow")]
        if Path("/etc/sudoers").exists():
            binds.append(f"mount --bind {self.folder}/etc/sudoers /etc/sudoers")
        ready = self.folder / "ready"
        script = " && ".join([*binds, f"touch {ready}", "exec sleep infinity"])
        argv = [
            "nsenter",
            f"--net=/run/netns/{self.link.namespace}",
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
        ]
        start(argv, self.folder / "holder.pid", self.folder / "holder.log")
        self._wait("holder", ready.exists)


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
"""


def _make_shims(folder: Path, arch: Architecture) -> None:
    """Programs that let the host say that it is of another architecture; all else they pass through."""
    goarch, machine = ("arm64", "aarch64") if arch == "arm64" else ("arm", "armv7l")
    folder.mkdir(parents=True, exist_ok=True)
    scripts = {
        "uname": f'[ "$1" = -m ] && echo {machine} && exit; exec /usr/bin/uname "$@"',
        "docker": f'case "$*" in *Server.Arch*) /usr/bin/docker "$@" >/dev/null && echo {goarch};; *) exec /usr/bin/docker "$@";; esac',
        "podman": f'case "$*" in *Host.Arch*) /usr/bin/podman "$@" >/dev/null && echo {goarch};; *) exec /usr/bin/podman "$@";; esac',
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)


def _pids_in(namespace: str) -> list[int]:
    return [int(pid) for pid in run("ip", "netns", "pids", namespace, check=False).split()]


def _mounts_below(folder: Path) -> list[str]:
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [point for point in points if point == str(folder) or point.startswith(f"{folder}/")]
