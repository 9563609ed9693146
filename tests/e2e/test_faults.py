"""Hosts that are broken, and operators who work at once, by Pulumi's command line; see docs/faults.md."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import Host, proof
from lab.shell import wait_for
from tests.adapters.host.test_hostile_host import INSPECT, VERSION, instead_of_docker
from tests.e2e.site import Site
from tests.e2e.terminal import watch


@pytest.fixture
def slow(site: Site) -> Iterator[Host]:
    host = site.host("docker")
    host.set_rate("4mbit")
    yield host
    host.set_rate(None)


def another(site: Site, **environment: str) -> Site:
    """An operator of their own, with a stack of their own, for the same hosts and images."""
    other = Site(site.lab, site.controller, site.folder / "other", f"{site.repository[:40]}-other")
    other.stack.environment |= environment
    return other


def is_being_sent_to(host: Host) -> bool:
    return host.run("find /home/edge/.cache -name 'image-*' 2>/dev/null || true") != ""


def nothing_left(host: Host) -> bool:
    left = host.run("find /home/edge/.cache/pulumi-iofog/spool /var/tmp -mindepth 1 -name '*i*' 2>/dev/null || true")
    return left == "" and host.run("docker ps --all --quiet") == ""


@pytest.mark.parametrize(("words", "script"), [(INSPECT, "echo 'sha256:aa [1,2] [3]'"), (VERSION, "cat /dev/zero >&2")])
def test_a_host_that_answers_nonsense_is_pending(site: Site, words: str, script: str) -> None:
    site.want([site.agent("docker", engine="docker"), "podman"], x86=site.push("1"), max_unavailable=1)
    with instead_of_docker(site.host("docker"), {words: script}):
        up = site.stack.up()
    assert up.ok, up.output
    assert re.search(
        r"pending: docker: .*(its answer cannot be read|it has complained with more than 268 MB)", up.output
    )
    assert "Traceback" not in up.output
    assert site.holds("podman", "1")
    assert site.repository in site.items()
    assert site.stack.up().ok
    assert site.stack.outputs()["pending_agents"] == []
    assert site.holds("docker", "1")


@pytest.mark.parametrize(
    ("breaks", "mends"),
    [
        ("mount -t tmpfs -o size=1m,ro tmpfs /home/edge", "umount /home/edge"),
        ("mv /home/edge /home/gone", "mv /home/gone /home/edge"),
    ],
    ids=["read-only", "absent"],
)
def test_a_home_that_takes_nothing(site: Site, breaks: str, mends: str) -> None:
    host = site.host("docker")
    site.want([site.agent("docker", password=Host.password), "podman"], x86=site.push("1"))
    host.run(breaks)
    try:
        up = site.stack.up()
    finally:
        host.run(mends)
    assert up.ok, up.output
    assert "2 agents updated" in up.output
    assert site.holds("docker", "1")
    assert host.run("find /var/tmp/pulumi-iofog-20001 -name 'image-*'") == ""
    host.run("rm -r /var/tmp/pulumi-iofog-20001")


def test_two_operators_at_once(site: Site, slow: Host) -> None:
    """With caches of their own; the second one sees whom it waits for, and finds the image there."""
    other, image = another(site), site.push("1")
    for each in (site, other):
        each.want(["docker"], x86=image)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(site.stack.up)
        assert wait_for(lambda: is_being_sent_to(slow), 60)
        seen = watch(
            other.stack.argv("up", "--yes", "--skip-preview"),
            columns=200,
            cwd=other.stack.program,
            env=other.stack.environment,
        )
        up = first.result()
    assert up.ok, up.output
    assert seen.exit_code == 0, seen.end
    operator = re.escape(os.uname().nodename)
    waits = rf"waiting for another pulumi \(pid \d+ on {operator}\) that sends to docker since \d\d:\d\d;"
    assert any(re.search(waits, row) for row in seen.rows), seen.rows
    assert "1 agent already had it" in seen.end
    assert "1 agent updated" in up.output
    assert wait_for(lambda: nothing_left(slow), 10)


def test_who_waits_for_another_process_stops_at_the_first_ctrl_c(site: Site, slow: Host, log_file: Path) -> None:
    shared = {"XDG_CACHE_HOME": str(site.folder / "cache")}
    site.stack.environment |= shared
    other, image = another(site, **shared), site.push("1")
    for each in (site, other):
        each.want(["docker"], x86=image)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(site.stack.up)
        assert wait_for(lambda: is_being_sent_to(slow), 60)
        waiting, before = other.stack.begin("up", "--yes", "--skip-preview"), site.visits("docker")
        assert wait_for(lambda: "waiting for another pulumi (pid " in log_file.read_text(), 60)
        assert not first.done(), "the link is too fast for this test"
        began = time.monotonic()
        os.killpg(waiting.pid, signal.SIGINT)
        said = waiting.communicate(timeout=20)[0].decode()
        took = time.monotonic() - began
        assert site.visits("docker") == before
        assert first.result().ok
    assert "pulumi was interrupted" in said
    assert took < 6, "Pulumi's own end included"
    assert site.holds("docker", "1")


def test_a_host_with_one_session_a_connection(site: Site) -> None:
    host = site.host("docker")
    host.run("sed -i 's/^MaxSessions .*/MaxSessions 1/' /etc/ssh/sshd_config")
    host.stop_sshd()
    host.start_sshd()
    try:
        site.want(["docker"], x86=site.push("1"))
        up = site.stack.up()
        assert up.ok, up.output
        site.want(["docker"], x86=site.push("2"))
        up = site.stack.up()
        assert up.ok, up.output
    finally:
        host.run("sed -i 's/^MaxSessions .*/MaxSessions 100/' /etc/ssh/sshd_config")
        host.stop_sshd()
        host.start_sshd()
    assert proof.can_create(host, site.image("2"))
    assert wait_for(lambda: nothing_left(host), 10)


def test_what_is_no_duration_is_refused_by_the_preview(site: Site) -> None:
    site.want(["docker"], x86=site.push("1"))
    site.stack.configure({"iofog:engineTimeout": "soon"})
    preview = site.stack.preview()
    assert not preview.ok
    assert "iofog:engineTimeout: 'soon' is not a valid duration; write it like 90s, 10m or 1h" in preview.output
