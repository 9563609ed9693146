"""One bridge a lab, and for each edge host a network namespace with an address of its own.

Addresses are of 198.18.0.0/15, which RFC 2544 keeps for benchmarks, so that they meet no real network.
"""

from __future__ import annotations

import fcntl
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from lab.shell import CommandFailed, run

ALL = ipaddress.IPv4Network("198.18.0.0/15")
LABS = list(ALL.subnets(new_prefix=20))
"""A lab has one of these, so that several may run side by side."""
DEVICES = Path("/sys/class/net")
LOCK = Path("/run/lock/pulumi-iofog-lab.lock")
"""Who takes a network holds it, from whichever checkout."""


@dataclass(frozen=True, slots=True)
class Network:
    """One lab's bridge and addresses. ``index``: which part of the whole range is this lab's."""

    index: int

    @classmethod
    def of(cls, owner: str) -> Network | None:
        """The one that this owner has taken. Its bridge says whose it is: what a file said would outlive a reboot, and
        the network might be another lab's by then."""
        return next((network for network in ALL_NETWORKS if network.owner == owner), None)

    @classmethod
    def take(cls, owner: str) -> Network:
        """The first one that no lab has; it is the owner's from now on, and up."""
        with LOCK.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            free = next((network for network in ALL_NETWORKS if network.owner is None), None)
            if free is None:
                raise CommandFailed(f"all {len(LABS)} networks of {ALL} are taken: ip link show type bridge")
            run("ip", "link", "add", free.bridge, "type", "bridge")
            run("ip", "link", "set", free.bridge, "alias", owner)
        free.up()
        return free

    @property
    def owner(self) -> str | None:
        """Who has taken it; None for nobody."""
        try:
            return (DEVICES / self.bridge / "ifalias").read_text().rstrip("\n")
        except FileNotFoundError:
            return None

    @property
    def bridge(self) -> str:
        return f"iofoglab{self.index}"

    @property
    def operator(self) -> str:
        """The operator's address: this machine, as the hosts see it."""
        return self.address(1)

    @property
    def bits(self) -> int:
        return LABS[self.index].prefixlen

    def address(self, number: int) -> str:
        return str(LABS[self.index][number])

    def up(self) -> None:
        """Give the bridge the operator's address; it may have it already."""
        run("ip", "address", "replace", f"{self.operator}/{self.bits}", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")

    def set_rate(self, rate: str | None) -> None:
        """Shape what the operator sends to all hosts together (``200mbit``): its uplink. None: no shaping."""
        run("tc", "qdisc", "del", "dev", self.bridge, "root", check=False)
        if rate:
            run("tc", "qdisc", "add", "dev", self.bridge, "root", *_shape(rate))

    def down(self) -> None:
        """Remove the bridge, and namespaces that are still there."""
        for line in run("ip", "netns", "list").splitlines():
            name = line.split()[0]
            if name.startswith(f"{self.bridge}-"):
                run("ip", "netns", "del", name, check=False)
        run("ip", "link", "del", self.bridge, check=False)


ALL_NETWORKS = [Network(index) for index in range(len(LABS))]


@dataclass(frozen=True, slots=True)
class Link:
    """A host's network: a namespace with ``eth0``, whose other end hangs on the lab's bridge."""

    network: Network
    number: int
    name: str

    @property
    def address(self) -> str:
        return self.network.address(self.number + 10)

    @property
    def namespace(self) -> str:
        return f"{self.network.bridge}-{self.name}"

    @property
    def outside(self) -> str:
        return f"{self.network.bridge}h{self.number}"

    def up(self) -> None:
        """Make the namespace and join it to the bridge."""
        run("ip", "netns", "add", self.namespace)
        run("ip", "link", "add", self.outside, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        run("ip", "link", "set", self.outside, "master", self.network.bridge, "up")
        run("ip", "-n", self.namespace, "address", "add", f"{self.address}/{self.network.bits}", "dev", "eth0")
        run("ip", "-n", self.namespace, "link", "set", "eth0", "up")
        run("ip", "-n", self.namespace, "link", "set", "lo", "up")

    def down(self) -> None:
        """Remove it; its link goes with it."""
        run("ip", "link", "del", self.outside, check=False)
        run("ip", "netns", "del", self.namespace, check=False)

    def set_rate(self, rate: str | None) -> None:
        """Shape both directions, for example to ``20mbit``; None takes the shaping away."""
        for tc, device in ((("tc", "-n", self.namespace), "eth0"), (("tc",), self.outside)):
            run(*tc, "qdisc", "del", "dev", device, "root", check=False)
            if rate:
                run(*tc, "qdisc", "add", "dev", device, "root", *_shape(rate))

    def cut(self, *, cut: bool) -> None:
        """Take the link down, or up again."""
        run("ip", "link", "set", self.outside, "down" if cut else "up")

    def counters(self) -> tuple[int, int]:
        """Bytes that the host has received and sent, by its interface."""
        folder = DEVICES / self.outside / "statistics"
        # What the outer end has sent, the host has received.
        return int((folder / "tx_bytes").read_text()), int((folder / "rx_bytes").read_text())


def _shape(rate: str) -> tuple[str, ...]:
    return ("tbf", "rate", rate, "burst", "64kb", "latency", "100ms")
