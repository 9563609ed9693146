"""Turns at a real host: two operators who know nothing of each other, and sessions that are lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from lab import Host, Lab, images, proof
from lab.shell import wait_for
from pulumi_iofog.adapters.host import turn as turns
from pulumi_iofog.adapters.host.turn import parse_busy, turn
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.adapters.ssh.connect import Connection
from tests.adapters.conftest import QUICK, AgentOf
from tests.adapters.host.bringing import operator

pytestmark = pytest.mark.lab
HOST = "edge-docker"


class Busy(Exception):
    pass


def busy(who: str, since: float | None) -> None:
    raise Busy(who)


@pytest.fixture(params=["flock", "no flock"])
def host(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Host]:
    host = lab.hosts[HOST]
    if request.param == "flock":
        yield host
        return
    host.run("mv /usr/bin/flock /usr/bin/no-flock")
    try:
        yield host
    finally:
        host.run("mv /usr/bin/no-flock /usr/bin/flock")


@pytest.fixture
def two(host: Host, agent_of: AgentOf) -> Iterator[tuple[Connection, Connection]]:
    with ExitStack() as stack:
        one, other = (stack.enter_context(ssh.connect(agent_of(HOST), timeouts=QUICK)) for _ in range(2))
        yield one, other


def is_free(connection: Connection, agent: str = "looker") -> bool:
    with suppress(Busy), turn(connection, agent, busy):
        return True
    return False


def left(host: Host) -> str:
    return host.run("ls -d /var/tmp/pulumi-iofog* 2>/dev/null || true")


def test_one_at_a_time_and_the_other_is_told_whom_it_waits_for(host: Host, two: tuple[Connection, Connection]) -> None:
    one, other = two
    told: list[tuple[str, float | None]] = []
    done = threading.Event()

    def wait(who: str, since: float | None) -> None:
        told.append((who, since))
        done.set()
        time.sleep(0.2)

    with ThreadPoolExecutor(1) as pool:
        with turn(one, "edge-1", busy):
            second = pool.submit(lambda: turn(other, "edge-2", wait).__enter__())
            assert done.wait(10)
            assert not second.done()
        second.result(10)
    who, since = told[0]
    assert who == f"pid {os.getpid()} on {os.uname().nodename}"
    assert since
    assert abs(since - time.time()) < 30
    other.abort()
    assert wait_for(lambda: left(host) == "", 10), left(host)


def test_a_session_that_gives_no_sign_of_life_loses_its_turn(
    host: Host, two: tuple[Connection, Connection], mocker: MockerFixture
) -> None:
    mocker.patch.object(turns, "LEASE", 2)
    mocker.patch.object(turns, "BEAT", 0.5)
    one, other = two
    with turn(one, "edge-1", busy):
        time.sleep(4)
        assert not is_free(other), "it is alive"
    assert wait_for(lambda: is_free(other), 10)
    if host.run("command -v flock || true"):
        mocker.patch.object(turns, "BEAT", 1000)
        with turn(one, "edge-1", busy):
            assert not is_free(other)
            assert wait_for(lambda: is_free(other), 10)


def test_what_an_operator_has_lost_on_the_way_is_no_reason_to_wait(
    host: Host, two: tuple[Connection, Connection]
) -> None:
    one, other = two
    with turn(one, "edge-1", busy):
        assert not is_free(other, "edge-2")
        with turn(other, "edge-1", busy):
            assert not is_free(one, "edge-2")


def test_other_logins_of_the_host_wait_too(host: Host, agent_of: AgentOf) -> None:
    with (
        ssh.connect(agent_of(HOST), timeouts=QUICK) as one,
        ssh.connect(agent_of(HOST, user="plain"), timeouts=QUICK) as other,
        turn(one, "edge-1", busy),
        pytest.raises(Busy, match=rf"pid {os.getpid()} on "),
        turn(other, "edge-2", busy),
    ):
        pass


def test_what_the_host_says_of_others_is_read_with_care() -> None:
    assert parse_busy("busy 1000 4711 ops 940 x 5", 5000.0) == ("pid 4711 on ops", 4940.0)
    assert parse_busy("busy 1000 4711 ops 2000 x 5", 5000.0) == ("pid 4711 on ops", 5000.0)
    for said in ("busy", "busy 1 \033[2J x 1", "busy 1 2 \033[2J 1", "busy x 1 ops 1"):
        assert parse_busy(said, 5000.0) == ("another login of the host", None)


def test_two_operators_bring_one_image_to_one_host(
    lab: Lab, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With caches of their own, as on two machines: both succeed, what is sent is sent once, and the second one says
    whom it waits for."""
    layout = images.build(tmp_path / "images", "1.0")
    host = lab.hosts[HOST]
    proof.empty(host)
    host.set_rate("4mbit")
    agent = host.agent(lab.known_hosts_file)
    try:
        with (
            operator(tmp_path / "one", layout, [agent], monkeypatch) as one,
            operator(tmp_path / "two", layout, [{**agent, "name": "edge-too"}], monkeypatch) as two,
            ThreadPoolExecutor(2) as pool,
        ):
            outcomes = [
                outcome for run in (pool.submit(one.bring), pool.submit(two.bring)) for outcome in run.result(60)
            ]
            assert [each.error for each in outcomes] == [None, None]
            assert sorted(each.updated for each in outcomes) == [False, True]
            waited = f"waiting for another pulumi (pid {os.getpid()} on {os.uname().nodename}) that sends to edge-"
            assert [each.said(waited) for each in (one, two)].count(True) == 1
    finally:
        host.set_rate(None)
    assert left(host) == ""


def test_who_waits_for_another_process_stops_when_asked_to(
    lab: Lab, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = images.build(tmp_path / "images", "1.0")
    agent = lab.hosts[HOST].agent(lab.known_hosts_file)
    with (
        operator(tmp_path / "cache", layout, [agent], monkeypatch) as one,
        operator(tmp_path / "cache", layout, [agent], monkeypatch) as two,
        ThreadPoolExecutor(1) as pool,
        one.turn(f"agent {agent['host']}:22"),
    ):
        waiting = pool.submit(two.bring)
        said = f"waiting for another pulumi (pid {os.getpid()}) that sends to {HOST} since "
        assert wait_for(lambda: two.said(said), 10), two.shown
        began = time.monotonic()
        two.shared.connections.interrupt()
        (outcome,) = waiting.result(10)
        assert time.monotonic() - began < 2
    assert "pulumi was interrupted" in (outcome.error or "")
