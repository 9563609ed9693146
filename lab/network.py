"""One bridge a lab, and for each edge host a network namespace with an address of its own.

Addresses are of 198.18.0.0/15, which RFC 2544 keeps for benchmarks, so that they meet no real network.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from lab.shell import run

ALL = ipaddress.IPv4Network("198.18.0.0/15")
LABS = list(ALL.subnets(new_prefix=20))
"""A lab has one of these, so that several may run side by side."""
DEVICES = Path("/sys/class/net")


@dataclass(frozen=True, slots=True)
class Network:
    """One lab's bridge and addresses. ``index``: which part of the whole range is this lab's."""

    index: int

    @classmethod
    def free(cls) -> Network:
        """The first one that no lab has."""
        return next(network for network in map(cls, range(len(LABS))) if not (DEVICES / network.bridge).exists())

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
        """Make the bridge, with the operator's address; it may be there already."""
        run("ip", "link", "add", self.bridge, "type", "bridge", check=False)
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
