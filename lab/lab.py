"""The whole lab: a bridge, hosts, a registry and Controller stand-ins; up, down, and found again.

Everything that it makes on disk is under one folder, and everything else has its network's name in it,
so that ``down`` cleans up after a crash as well, from any process. The network says whose it is by that folder,
and the folder is this checkout's: labs of two checkouts may have the same name and know nothing of each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from lab.controller_process import ControllerProcess
from lab.host import Host, HostSpec
from lab.network import Network
from lab.registry import Registry
from lab.shell import run

CHECKOUT = Path(__file__).resolve().parent.parent
KEY = f"{CHECKOUT.name[:16]}-{hashlib.sha256(bytes(CHECKOUT)).hexdigest()[:8]}"
"""Of this checkout. Short, as sockets lie below, whose paths have 107 bytes at most (unix(7))."""
FOLDER = Path("/var/lib/pulumi-iofog-lab") / KEY
LOCKS = Path("/run/lock")


class Lab:
    """A running lab. A checkout has one of a name at a time; ``with Lab.start(…)`` waits for its turn."""

    def __init__(self, name: str = "lab") -> None:
        self.name, self.folder = name, FOLDER / name
        self.hosts: dict[str, Host] = {}
        self.registry = Registry(self.folder / "registry")
        self._controllers: list[ControllerProcess] = []

    @classmethod
    @contextmanager
    def start(cls, specs: Sequence[HostSpec], name: str = "lab", *, keep: bool = False) -> Iterator[Lab]:
        """A lab for a ``with``; what an earlier one of that name has left behind is removed first.

        Args:
            keep: leave it up afterwards.
        """
        with _locked(f"pulumi-iofog-lab-{KEY}-{name}.lock"):
            cls.found(name).down()
            lab = cls(name)
            try:
                lab.up(specs)
                yield lab
            finally:
                if not keep:
                    lab.down()

    @classmethod
    def found(cls, name: str = "lab") -> Lab:
        """The lab of that name that another process has started, or what is left of it."""
        lab = cls(name)
        for folder in sorted(lab.folder.glob("hosts/*")):
            spec = HostSpec(folder.name)
            number = 0
            if (folder / "spec.json").exists():
                found = json.loads((folder / "spec.json").read_text())
                number = found.pop("number")
                spec = HostSpec(**found)
            lab.hosts[spec.name] = lab._host(spec, number)
        return lab

    @property
    def network(self) -> Network:
        """The one that this lab has taken, or takes now."""
        return Network.of(str(self.folder)) or Network.take(str(self.folder))

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
        self.network.up()
        self.registry.up()
        taken = {host.link.number for host in self.hosts.values()}
        numbers = (number for number in range(1, 4000) if number not in taken)
        new = [self._host(spec, next(numbers)) for spec in specs if spec.name not in self.hosts]
        self.hosts.update({host.name: host for host in new})
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(Host.up, new))
        lines = [f"{host.address} {host.host_key}\n" for host in self.hosts.values()]
        self.known_hosts_file.write_text("".join(lines))

    def down(self) -> None:
        """Stop and remove everything, whoever has started it."""
        ControllerProcess.down_all(self.folder)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(Host.down, self.hosts.values()))
        self.registry.down()
        taken = Network.of(str(self.folder))
        if taken:
            taken.down()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.hosts.clear()

    def controller(self, dialect: str = "3.7.3") -> ControllerProcess:
        """Start a Controller stand-in; it goes with the lab."""
        controller = ControllerProcess(self.folder / f"controller-{len(self._controllers)}", dialect)
        controller.up()
        self._controllers.append(controller)
        return controller

    def controller_endpoint(self) -> str | None:
        """Of the first stand-in that runs, whoever has started it."""
        return next((path.read_text() for path in sorted(self.folder.glob("controller-*/endpoint"))), None)

    def agents(self) -> list[dict[str, str]]:
        """All hosts as the resource's ``agents``."""
        return [host.agent(self.known_hosts_file) for host in self.hosts.values()]

    def _host(self, spec: HostSpec, number: int) -> Host:
        return Host(spec, self.folder / "hosts" / spec.name, self.network, number, self.private_key_file)


@contextmanager
def _locked(name: str) -> Iterator[None]:
    with (LOCKS / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
