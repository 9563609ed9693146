"""A real dockerd that stops answering while it loads: that is said, it has its time, and Ctrl-C ends the wait; a load
that only takes long is left alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from lab import Host, Lab, images, proof
from lab.shell import wait_for
from pulumi_iofog.adapters.host import patience
from tests.adapters.host.bringing import operator

pytestmark = pytest.mark.lab
HOST = "edge-docker"
FREEZE = "sudo kill -STOP $(cat /run/docker.pid)"


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images.build(tmp_path_factory.mktemp("images"), "1.0")


@pytest.fixture
def host(lab: Lab, mocker: MockerFixture) -> Iterator[Host]:
    """Empty; silence is said after three seconds."""
    host = lab.hosts[HOST]
    proof.empty(host)
    mocker.patch.multiple(patience, SILENT=3.0, LOOK=1.0)
    yield host
    thaw(host)
    # What was told to load goes on, as its session's end is nothing to it.
    assert wait_for(lambda: not host.run("pgrep -f '^docker.real load' || true"), 20)


def thaw(host: Host) -> None:
    host.run("kill -CONT $(cat /run/docker.pid)")


@contextmanager
def before_a_load(host: Host, script: str) -> Iterator[None]:
    """Whatever loads an image on the host does something else first."""
    host.run("mv /usr/bin/docker /usr/bin/docker.real")
    shim = f'#!/bin/sh\n[ "$1" != load ] || {{ {script}; }}\nexec docker.real "$@"'
    host.run(f"cat > /usr/bin/docker <<'EOS'\n{shim}\nEOS\nchmod +x /usr/bin/docker")
    try:
        yield
    finally:
        host.run("mv /usr/bin/docker.real /usr/bin/docker")


def test_a_frozen_engine_is_told_and_waited_for(
    host: Host, lab: Lab, layout: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = host.agent(lab.known_hosts_file)
    with (
        before_a_load(host, FREEZE),
        operator(tmp_path, layout, [agent], monkeypatch) as one,
        ThreadPoolExecutor(1) as pool,
    ):
        bringing = pool.submit(one.bring)
        try:
            assert wait_for(lambda: one.said(f"dockerd on {HOST} has not answered for "), 60), one.shown
            assert not bringing.done()
            host.run("rm /usr/bin/docker; cp /usr/bin/docker.real /usr/bin/docker")
        finally:
            thaw(host)
        (outcome,) = bringing.result(60)
    assert outcome.error is None
    assert outcome.updated


def test_a_frozen_engine_is_given_up_at_last(
    host: Host, lab: Lab, layout: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = host.agent(lab.known_hosts_file)
    with before_a_load(host, FREEZE), operator(tmp_path, layout, [agent], monkeypatch, engineTimeout="6s") as one:
        (outcome,) = one.bring()
        assert "waiting for the engine: dockerd on edge-docker has not answered for " in (outcome.error or "")
        thaw(host)
        host.run("rm /usr/bin/docker; cp /usr/bin/docker.real /usr/bin/docker")
        (outcome,) = one.bring()
        assert outcome.error is None, "the next run finishes the job"
    assert host.run("find /home/edge/.cache/pulumi-iofog/spool -mindepth 1") == ""


def test_ctrl_c_ends_the_wait_at_once(
    host: Host, lab: Lab, layout: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = host.agent(lab.known_hosts_file)
    with (
        before_a_load(host, FREEZE),
        operator(tmp_path, layout, [agent], monkeypatch) as one,
        ThreadPoolExecutor(1) as pool,
    ):
        bringing = pool.submit(one.bring)
        assert wait_for(lambda: one.said("has not answered"), 60), one.shown
        began = time.monotonic()
        one.shared.connections.interrupt()
        assert bringing.result(10)[0].error
        assert time.monotonic() - began < 2


def test_a_load_that_only_takes_long_is_left_alone(
    host: Host, lab: Lab, layout: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, began = host.agent(lab.known_hosts_file), time.monotonic()
    with (
        before_a_load(host, "sleep 12"),
        operator(tmp_path, layout, [agent], monkeypatch, engineTimeout="6s") as one,
    ):
        (outcome,) = one.bring()
    assert outcome.error is None
    assert outcome.updated
    assert time.monotonic() - began > 12
    assert not one.said("has not answered")
