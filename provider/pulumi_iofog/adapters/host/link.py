"""How fast the link to a host is, told from a small probe."""

from __future__ import annotations

import time
from typing import Protocol

from pulumi_iofog.adapters.host.shell import Shell
from pulumi_iofog.adapters.ssh.channel import TcpInfo

PROBE = 256_000
"""Bytes; of less, too much would be what a shaper lets pass at once."""
LOOKS = 3
"""How often a link is looked at, at most."""
TICK = 0.004
"""Seconds that the kernel counts in, where it counts coarsely (250 Hz)."""


class Line(Shell, Protocol):
    """A connection to the host."""

    def tcp_info(self) -> TcpInfo | None: ...


def measure(line: Line, enough: float) -> float:
    """Bytes/s of the link. Where it may be faster than it looks, as it may have been this machine that was slow, it
    is looked at again, unless it is beyond ``enough`` already."""
    rate = 0.0
    for _ in range(LOOKS):
        seen, certain = _look(line)
        rate = max(rate, seen)
        if certain or rate > enough:
            break
    return rate


def _look(line: Line) -> tuple[float, bool]:
    """Bytes/s, and whether that is all that the link can; by the kernel, or where that cannot say, by the clock."""
    began = time.monotonic()
    line.run("true")
    empty = time.monotonic() - began
    before, began = line.tcp_info(), time.monotonic()
    line.send("cat >/dev/null", [bytes(PROBE)], lambda count: None)
    by_clock = PROBE / max(time.monotonic() - began - empty, 0.001)
    after = line.tcp_info()
    return network_rate(before, after) if before and after else (by_clock, False)


def network_rate(before: TcpInfo, after: TcpInfo) -> tuple[float, bool]:
    """Bytes/s at which the network has taken what was sent in between, and whether that is all that it can: the
    kernel's own measure, or where the sender was too slow for the link, what has arrived by the time that any of it
    was on its way."""
    if after.rate and not after.limited:
        return after.rate, True
    return (after.acked - before.acked) / max(after.busy - before.busy, TICK), False
