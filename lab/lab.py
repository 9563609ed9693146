"""The whole lab: a bridge, hosts, a registry and Controller stand-ins; up, down, and found again.

Everything that it makes on disk is under one folder, and everything else has its name in it, so that
``down`` cleans up after a crash as well, from any process.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lab import network
from lab.controller_process import ControllerProcess
from lab.host import Host, HostSpec
from lab.registry import Registry
from lab.shell import run

FOLDER = Path("/var/lib/pulumi-iofog-lab")


class Lab:
    """A running lab. One at a time on a machine; ``with Lab.start(…)`` waits for its turn."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.hosts: dict[str, Host] = {}
        self.registry = Registry(folder / "registry")
        self._controllers: list[ControllerProcess] = []

    @classmethod
    @contextmanager
    def start(cls, specs: Sequence[HostSpec]) -> Iterator[Lab]:
        """A lab for a ``with``; what an earlier one has left behind is removed first."""
        with _only_one():
            lab = cls()
            lab.down()
            try:
                lab.up(specs)
                yield lab
            finally:
                lab.down()

    @classmethod
    def found(cls) -> Lab:
        """The lab that another process has started."""
        lab = cls()
        for file in sorted(lab.folder.glob("hosts/*/spec.json")):
            spec = json.loads(file.read_text())
            number = spec.pop("number")
            lab.hosts[spec["name"]] = Host(HostSpec(**spec), file.parent, number, lab.private_key_file)
        return lab

    @property
    def private_key_file(self) -> Path:
        """The key that the user of every host is reached with."""
        return self.folder / "ssh" / "id_ed25519"

    @property
    def known_hosts_file(self) -> Path:
        """The host keys of all hosts."""
        return self.folder / "ssh" / "known_hosts"

    def up(self, specs: Sequence[HostSpec]) -> None:
        """Start the registry and these hosts; hosts that run already are left alone."""
        self.private_key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.private_key_file.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", self.private_key_file)
        network.bridge_up()
        self.registry.up()
        taken = {host.link.number for host in self.hosts.values()}
        numbers = (number for number in range(1, 10_000) if number not in taken)
        new = [self._host(spec, next(numbers)) for spec in specs if spec.name not in self.hosts]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(Host.up, new))
        self.hosts.update({host.name: host for host in new})
        lines = [f"{host.address} {host.host_key}\n" for host in self.hosts.values()]
        self.known_hosts_file.write_text("".join(lines))

    def down(self) -> None:
        """Stop and remove everything, whoever has started it."""
        for controller in self._controllers:
            controller.down()
        everyone = {**Lab.found().hosts, **self.hosts}
        for folder in self.folder.glob("hosts/*"):
            everyone.setdefault(folder.name, self._host(HostSpec(folder.name), 0))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(Host.down, everyone.values()))
        ControllerProcess.down_all(self.folder)
        self.registry.down()
        for name in network.remains():
            run("ip", "netns", "del", name, check=False)
        network.bridge_down()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.hosts.clear()

    def controller(self, dialect: str = "3.7.3") -> ControllerProcess:
        """Start a Controller stand-in; it goes with the lab."""
        controller = ControllerProcess(self.folder / f"controller-{len(self._controllers)}", dialect)
        controller.up()
        self._controllers.append(controller)
        return controller

    def _host(self, spec: HostSpec, number: int) -> Host:
        return Host(spec, self.folder / "hosts" / spec.name, number, self.private_key_file)


@contextmanager
def _only_one() -> Iterator[IO[str]]:
    with Path("/run/lock/pulumi-iofog-lab.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
