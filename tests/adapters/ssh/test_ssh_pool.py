"""Connections that are kept, against a real sshd whose log says how many there were."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from lab import Lab
from lab.shell import wait_for
from pulumi_iofog.adapters.ssh.connect import connect
from pulumi_iofog.adapters.ssh.pool import Pool
from pulumi_iofog.errors import AgentError, Unreachable
from pulumi_iofog.inputs.spec import Agent
from tests.adapters.conftest import QUICK, AgentOf

pytestmark = pytest.mark.lab


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(partial(connect, timeouts=QUICK))
    yield pool
    pool.interrupt()


@pytest.fixture
def logins(lab: Lab) -> Callable[[], int]:
    """How often sshd of edge-docker has let somebody in since the test began."""
    log = lab.hosts["edge-docker"].folder / "sshd.log"
    before = log.read_text().count("Accepted ")
    return lambda: log.read_text().count("Accepted ") - before


def who(pool: Pool, agent: Agent) -> str:
    with pool.connection(agent) as connection:
        return connection.run("id -un").text.strip()


def test_one_after_the_other_uses_one_connection(agent_of: AgentOf, pool: Pool, logins: Callable[[], int]) -> None:
    agent = agent_of("edge-docker")
    assert [who(pool, agent) for _ in range(20)] == ["edge"] * 20
    # What was found out about the engine is another matter than the way in.
    assert who(pool, agent_of("edge-docker", arch="x86", engine="docker", sudo=True)) == "edge"
    assert logins() == 1
    # Other credentials are another way in.
    assert who(pool, agent_of("edge-docker", proxy_jump="none")) == "edge"
    assert logins() == 2


def test_several_at_once_wait_for_each_other(agent_of: AgentOf, pool: Pool, logins: Callable[[], int]) -> None:
    agent = agent_of("edge-docker")
    threads = [threading.Thread(target=who, args=(pool, agent)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert logins() == 1


def test_nobody_waits_for_a_long_transfer(
    agent_of: AgentOf, pool: Pool, logins: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulumi_iofog.adapters.ssh.pool.WAIT", 0.1)
    agent = agent_of("edge-docker")
    with pool.connection(agent):
        assert who(pool, agent) == "edge"
    assert who(pool, agent) == "edge"
    assert logins() == 2


@pytest.mark.parametrize("idle", [0.0, 3.0])
def test_a_lost_connection_is_replaced(
    lab: Lab, agent_of: AgentOf, pool: Pool, logins: Callable[[], int], monkeypatch: pytest.MonkeyPatch, idle: float
) -> None:
    monkeypatch.setattr("pulumi_iofog.adapters.ssh.pool.FRESH", idle)
    agent, host = agent_of("edge-docker"), lab.hosts["edge-docker"]
    assert who(pool, agent) == "edge"
    with pool.connection(agent) as connection:
        pass
    host.run("pkill -f '^sshd: edge'")
    if idle:
        # Young: it is only looked at, so the end must have come through.
        assert wait_for(lambda: not connection.active, 5)
    assert who(pool, agent) == "edge"
    assert logins() == 2


def test_after_an_error_the_connection_is_closed(agent_of: AgentOf, pool: Pool, logins: Callable[[], int]) -> None:
    agent = agent_of("edge-docker")
    with pytest.raises(ZeroDivisionError), pool.connection(agent) as connection:
        raise ZeroDivisionError
    assert not connection.active
    assert who(pool, agent) == "edge"
    assert logins() == 2


def test_what_nobody_uses_is_closed_after_a_while(agent_of: AgentOf, logins: Callable[[], int]) -> None:
    pool = Pool(partial(connect, timeouts=QUICK), idle=0.3)
    agent = agent_of("edge-docker")
    for expected in (1, 2):
        with pool.connection(agent) as connection:
            assert connection.run("true").ok
        assert connection.active
        assert wait_for(lambda connection=connection: not connection.active, 5)
        assert logins() == expected


def test_an_interrupt_ends_what_is_under_way(agent_of: AgentOf, pool: Pool) -> None:
    agent, other = agent_of("edge-docker"), agent_of("edge-podman")
    assert who(pool, other) == "edge"
    threading.Timer(0.5, pool.interrupt).start()
    began = time.monotonic()
    with pytest.raises(Unreachable), pool.connection(agent) as connection:
        connection.run("sleep 20")
    assert time.monotonic() - began < 15
    with pytest.raises(AgentError, match=r"edge-podman: connecting: pulumi was interrupted\. Run pulumi up again"):
        who(pool, other)
    began = time.monotonic()
    pool.pause(20)
    assert time.monotonic() - began < 15
