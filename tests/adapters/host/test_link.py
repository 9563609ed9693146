"""A link's rate from a probe: what the kernel says of it, and what is believed of a busy machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from lab import Lab
from pulumi_iofog.adapters.host.link import LOOKS, PROBE, measure, network_rate
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.adapters.ssh.channel import Result, TcpInfo
from tests.adapters.conftest import QUICK, AgentOf

IDLE = TcpInfo(limited=True, rate=1e9, acked=5_000, busy=1.0)
LINKS_OWN = TcpInfo(limited=False, rate=12e6, acked=IDLE.acked + PROBE, busy=1.02)
SENDERS = TcpInfo(limited=True, rate=2e9, acked=IDLE.acked + PROBE, busy=1.016)
"""A machine that was busy gave less than the link would have taken."""


@dataclass
class FakeLine:
    """Answers with one account of the kernel's after the other, from the last on with that."""

    accounts: list[TcpInfo | None]
    probes: int = 0
    sent: list[int] = field(default_factory=list)

    def run(self, script: str) -> Result:
        return Result(0, b"", b"")

    def send(self, script: str, chunks: Iterable[bytes], on_bytes: Callable[[int], None]) -> Result:
        self.probes += 1
        self.sent += map(len, chunks)
        return Result(0, b"", b"")

    def tcp_info(self) -> TcpInfo | None:
        return self.accounts.pop(0) if len(self.accounts) > 1 else self.accounts[0]


def test_a_link_that_was_the_limit_is_looked_at_once() -> None:
    line = FakeLine([IDLE, LINKS_OWN])
    assert measure(line, enough=20e6) == 12e6
    assert line.sent == [PROBE]


def test_where_the_sender_was_the_limit_it_is_what_arrived_by_the_time_on_the_way() -> None:
    assert network_rate(IDLE, SENDERS) == (pytest.approx(PROBE / 0.016), False)
    at_once = TcpInfo(limited=True, rate=2e9, acked=IDLE.acked + PROBE, busy=IDLE.busy)
    assert network_rate(IDLE, at_once) == (pytest.approx(PROBE / 0.004), False)
    unknown = TcpInfo(limited=False, rate=0, acked=IDLE.acked + PROBE, busy=1.016)
    assert network_rate(IDLE, unknown) == (pytest.approx(PROBE / 0.016), False)


def test_a_link_that_may_be_faster_than_it_looks_is_looked_at_again() -> None:
    at_once = TcpInfo(limited=True, rate=2e9, acked=IDLE.acked + PROBE, busy=IDLE.busy)
    line = FakeLine([IDLE, SENDERS, IDLE, at_once])
    assert measure(line, enough=20e6) == pytest.approx(PROBE / 0.004)
    assert line.probes == 2
    line = FakeLine([IDLE, SENDERS, IDLE, LINKS_OWN])
    assert measure(line, enough=20e6) == pytest.approx(PROBE / 0.016), "the most that was seen"
    line = FakeLine([IDLE, SENDERS] * LOOKS)
    measure(line, enough=20e6)
    assert line.probes == LOOKS


def test_without_the_kernel_it_is_told_by_the_clock() -> None:
    line = FakeLine([None])
    assert measure(line, enough=float("inf")) > 0
    assert line.probes == LOOKS
    line = FakeLine([None])
    assert measure(line, enough=0) > 0
    assert line.probes == 1


@pytest.mark.lab
def test_the_kernel_knows_a_shaped_link(lab: Lab, agent_of: AgentOf) -> None:
    """So slow that a busy machine, too, is ahead of it; compared with the same link when it is not shaped."""
    host = lab.hosts["edge-docker"]
    with ssh.connect(agent_of("edge-docker"), timeouts=QUICK) as connection:
        fast = measure(connection, enough=float("inf"))
    host.set_rate("8mbit")
    try:
        with ssh.connect(agent_of("edge-docker"), timeouts=QUICK) as connection:
            before = host.counters().received
            slow = measure(connection, enough=20e6)
            assert 0.5e6 < slow < fast / 4, "1 MB/s"
            assert host.counters().received - before < 1.2 * PROBE, "one look is enough"
            info = connection.tcp_info()
            assert info is not None
            assert info.acked > PROBE
            assert info.busy > 0.05
    finally:
        host.set_rate(None)
