"""What is killed in the middle: the plugin, or pulumi itself. The next ``up`` finishes, and takes nothing of others."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lab import proof
from lab.controller import ControllerStandIn
from lab.shell import wait_for
from tests.e2e.site import Site

CATALOG = "/api/v3/catalog/microservices"
ENDS_WITHIN = 10.0
"""Seconds that the plugin may go on without pulumi."""

pytestmark = pytest.mark.parametrize("start", ["cold"])  # processes are killed here, as users have them


@pytest.fixture
def holding(site: Site) -> Iterator[ControllerStandIn]:
    """A Controller in this process, which the site's stack uses."""
    with ControllerStandIn() as stand_in:
        site.stack.configure({"iofog:endpoint": stand_in.endpoint})
        yield stand_in


def children(pid: int) -> Iterator[int]:
    """All processes below one, from top to bottom."""
    below: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            below += map(int, (thread / "children").read_text().split())
    for each in below:
        yield each
        with suppress(OSError):
            yield from children(each)


def plugin_of(running: subprocess.Popen[bytes]) -> int:
    """The process that runs the provider's verbs."""
    (plugin,) = [each for each in children(running.pid) if b"pulumi.dynamic" in command(each) and is_python(each)]
    return plugin


def command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def is_python(pid: int) -> bool:
    return b"python" in command(pid).split(b"\0")[0]


def lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def made(stand_in: ControllerStandIn, name: str) -> list[dict[str, object]]:
    return [item for item in stand_in.api.state["items"].values() if item["name"] == name]


def kill_while_held(site: Site, stand_in: ControllerStandIn, victim: str) -> None:
    """``up``, until the Controller has made the item and not answered; then the victim is killed."""
    stand_in.hold(f"POST {CATALOG}")
    with site.stack.begin("up", "--yes", "--skip-preview") as running:
        held = stand_in.held.wait(120)
        plugin = plugin_of(running)
        os.kill(running.pid if victim == "pulumi" else plugin, signal.SIGKILL)
        if victim == "pulumi":
            # Its other children still hold its output.
            running.wait()
            assert wait_for(lambda: not lives(plugin), ENDS_WITHIN)
        said = running.communicate()[0].decode()
    stand_in.released.set()
    assert held, said
    assert len(made(stand_in, site.repository)) == 1
    if victim == "pulumi":
        site.stack.pulumi("cancel", "--yes")


@pytest.mark.parametrize("victim", ["plugin", "pulumi"])
def test_the_item_of_a_killed_run_is_taken_over_by_the_same_stack_only(
    site: Site, holding: ControllerStandIn, victim: str, tmp_path: Path
) -> None:
    site.want(["docker"], x86=site.push("1"))
    kill_while_held(site, holding, victim)

    # Project, stack and resource of the same names, but in another backend.
    other = Site(site.lab, site.controller, tmp_path / "other", site.repository, site.python)
    other.stack.configure({"iofog:endpoint": holding.endpoint})
    other.want(["docker"], x86=site.image("1"))
    later = int((other.stack.folder / "state" / ".pulumi" / "meta.yaml").stat().st_mtime) + 1
    os.utime(other.stack.folder / "state" / ".pulumi" / "meta.yaml", (later, later))
    refused = other.stack.up()
    assert not refused.ok
    assert "was made for e2e/lab/gateway with another parent, or in another of Pulumi's backends" in refused.output
    assert made(holding, site.repository)

    # The next runner has no cache of the first one's.
    shutil.rmtree(site.stack.folder / "home")
    (site.stack.folder / "home").mkdir()
    up = site.stack.up()
    assert up.ok, up.output
    (item,) = made(holding, site.repository)
    assert site.stack.outputs()["catalog_item_id"] == item["id"]
    assert site.stack.up("--expect-no-changes").ok
    assert site.stack.destroy().ok
    assert made(holding, site.repository) == []


def test_without_pulumi_the_plugin_ends_and_makes_no_item(site: Site, holding: ControllerStandIn) -> None:
    host = site.host("docker")
    site.want(["docker"], x86=site.push("1"))
    host.set_rate("4mbit")
    try:
        before = site.received("docker")["docker"]
        with site.stack.begin("up", "--yes", "--skip-preview") as running:
            while site.received("docker")["docker"] < before + 1_000_000:
                assert running.poll() is None
                time.sleep(0.05)
            plugin = plugin_of(running)
            below = list(children(plugin))
            running.kill()
            running.wait()
            assert wait_for(lambda: not lives(plugin), ENDS_WITHIN)
            assert wait_for(lambda: not any(map(lives, below)), 1)
            running.communicate()
    finally:
        host.set_rate(None)
    assert made(holding, site.repository) == []
    site.stack.pulumi("cancel", "--yes")
    before = site.received("docker")["docker"]
    up = site.stack.up()
    assert up.ok, up.output
    assert proof.can_create(host, site.image("1"))
    # What had arrived was not sent again: 7.3 MB in all.
    assert site.received("docker")["docker"] - before < 6_800_000


def test_an_interrupted_program_says_nothing_of_its_launcher(site: Site) -> None:
    """Language hosts since 3.229 interrupt it at Ctrl-C, or when something has failed; the lab's is older."""
    host = site.host("docker")
    site.want(["docker"], x86=site.push("1"))
    host.set_rate("4mbit")
    try:
        before = site.received("docker")["docker"]
        with site.stack.begin("up", "--yes", "--skip-preview") as running:
            while site.received("docker")["docker"] < before + 500_000:
                assert running.poll() is None
                time.sleep(0.05)
            (program,) = [each for each in children(running.pid) if is_python(each) and b"-exec" in command(each)]
            for _ in range(2):
                os.kill(program, signal.SIGINT)
            os.killpg(running.pid, signal.SIGINT)
            said = running.communicate()[0].decode()
    finally:
        host.set_rate(None)
    assert "pulumi was interrupted" in said, said
    assert "KeyboardInterrupt" not in said, said
    assert "Traceback" not in said, said
