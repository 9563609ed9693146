"""One bridge, and for each edge host a network namespace with an address of its own.

Addresses are of 198.18.0.0/15, which RFC 2544 keeps for benchmarks, so that they meet no real network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.shell import run

BRIDGE = "iofoglab0"
OPERATOR = "198.18.0.1"
PREFIX = "iofoglab-"
"""How every namespace of the lab is called."""


@dataclass(frozen=True, slots=True)
class Link:
    """A host's network: a namespace with ``eth0``, whose other end hangs on the bridge."""

    number: int
    name: str

    @property
    def address(self) -> str:
        return f"198.18.{self.number // 200}.{self.number % 200 + 10}"

    @property
    def namespace(self) -> str:
        return f"{PREFIX}{self.name}"

    @property
    def outside(self) -> str:
        return f"iofoglab{self.number}v"

    def up(self) -> None:
        """Make the namespace and join it to the bridge."""
        run("ip", "netns", "add", self.namespace)
        run("ip", "link", "add", self.outside, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        run("ip", "link", "set", self.outside, "master", BRIDGE, "up")
        run("ip", "-n", self.namespace, "address", "add", f"{self.address}/15", "dev", "eth0")
        run("ip", "-n", self.namespace, "link", "set", "eth0", "up")
        run("ip", "-n", self.namespace, "link", "set", "lo", "up")

    def down(self) -> None:
        """Remove it; its link goes with it."""
        run("ip", "link", "del", self.outside, check=False)
        run("ip", "netns", "del", self.namespace, check=False)

    def set_rate(self, rate: str | None) -> None:
        """Shape both directions, for example to ``20mbit``; None takes the shaping away."""
        for where in (("-n", self.namespace, "eth0"), ("", "", self.outside)):
            prefix = ["tc", *([where[0], where[1]] if where[0] else [])]
            run(*prefix, "qdisc", "del", "dev", where[2], "root", check=False)
            if rate:
                shape = ("tbf", "rate", rate, "burst", "64kb", "latency", "100ms")
                run(*prefix, "qdisc", "add", "dev", where[2], "root", *shape)

    def cut(self, *, cut: bool) -> None:
        """Take the link down, or up again."""
        run("ip", "link", "set", self.outside, "down" if cut else "up")

    def counters(self) -> tuple[int, int]:
        """Bytes that the host has received and sent, by its interface."""
        folder = Path("/sys/class/net") / self.outside / "statistics"
        # What the outer end has sent, the host has received.
        return int((folder / "tx_bytes").read_text()), int((folder / "rx_bytes").read_text())


def bridge_up() -> None:
    """Make the bridge, with the operator's address; it may be there already."""
    run("ip", "link", "add", BRIDGE, "type", "bridge", check=False)
    run("ip", "address", "replace", f"{OPERATOR}/15", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def bridge_down() -> None:
    """Remove the bridge."""
    run("ip", "link", "del", BRIDGE, check=False)


def remains() -> list[str]:
    """Names of the lab's namespaces that are still there."""
    return [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.startswith(PREFIX)]
