"""Pulumi's resource options, and its other ways to work on a state."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from lab.controller_process import EMAIL, PASSWORD
from lab.stack import Done, Stack
from tests.e2e.site import Site

PROGRAM = Path(__file__).parent / "options"


class Fleet:
    """A stack of the program in options/, on a test's site."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.stack = site, Stack(PROGRAM, folder / "fleet")
        self.stack.configure(
            {"iofog:endpoint": site.controller.endpoint, "iofog:email": EMAIL}, secrets={"iofog:password": PASSWORD}
        )

    def want(self, agents: list[Any], **values: Any) -> None:
        """``single``: OfflineImages by name, with ``opts``; ``images`` and ``opts``: the set's."""
        entries = [self.site.agent(agent) if isinstance(agent, str) else agent for agent in agents]
        given = {"single": {}, "images": {}, "opts": {}, **values, "shared": {"agents": entries}}
        self.stack.configure({f"options:{key}": value for key, value in given.items()})

    def item(self, name: str) -> dict[str, Any] | None:
        found = self.site.items().get(f"{self.site.repository}-{name}")
        return dict(found) if found else None

    def image(self, name: str, tag: str, **opts: Any) -> dict[str, Any]:
        """One OfflineImage's arguments; the item's name is this test's own."""
        return {name: {"name": f"{self.site.repository}-{name}", "x86": self.site.image(tag), "opts": opts}}


@pytest.fixture
def fleet(site: Site, tmp_path: Path) -> Fleet:
    return Fleet(site, tmp_path)


def ok(done: Done) -> str:
    assert done.ok, done.output
    return done.output


def test_a_replacement_deletes_the_old_item_first(fleet: Fleet) -> None:
    fleet.site.push("1"), fleet.site.push("2")
    fleet.want(["docker"], single=fleet.image("a", "1"))
    ok(fleet.stack.up())
    before = fleet.item("a")
    assert before
    said = ok(fleet.stack.up("--replace", fleet.stack.resource()["urn"]))
    assert "1 agent already had it" in said
    replaced = fleet.item("a")
    assert replaced
    assert replaced["id"] != before["id"]
    # The engine alone would not see which property of a dynamic resource has changed.
    fleet.want(["docker"], single=fleet.image("a", "2", replace_on_changes=["x86"]))
    preview = ok(fleet.stack.preview("--diff"))
    assert "+-1 to replace" in preview
    assert preview.count("1 of 1 agent to update: docker (301 kB of 7.35 MB)") == 1, preview
    ok(fleet.stack.up())
    again = fleet.item("a")
    assert again
    assert again["id"] != replaced["id"]
    assert "to replace" not in ok(fleet.stack.preview())


def test_options_that_keep_what_is_there(fleet: Fleet) -> None:
    fleet.site.push("1"), fleet.site.push("2")
    both = {**fleet.image("a", "1", protect=True), **fleet.image("b", "1", depends_on=["a"], protect=True)}
    fleet.want([fleet.site.agent("docker", password="is not used")], single=both)
    created = ok(fleet.stack.up("--diff"))
    # One agent's secret hides no more than itself.
    assert f'host            : "{fleet.site.host("docker").address}"' in created
    assert "password: [secret]" in created
    assert "is not used" not in created

    # Ignored changes; a change of one resource only.
    held = fleet.image("a", "2", ignore_changes=["x86"], protect=True)
    fleet.want(
        [fleet.site.agent("docker", password="is not used")], single={**held, **fleet.image("b", "2", protect=True)}
    )
    preview = ok(fleet.stack.preview("--diff", "--refresh"))
    assert "~ 1 to update" in preview
    assert "is not used" not in preview
    target = next(urn for urn in _urns(fleet.stack) if urn.endswith("::b"))
    ok(fleet.stack.up("--target", target))
    assert fleet.item("b")["images"][0]["containerImage"] == fleet.site.image("2")  # type: ignore[index]

    # Protected ones are not deleted. Renamed in the state, or by an alias, they stay the same.
    assert "because it is protected" in fleet.stack.destroy().output
    moved = {"b2": fleet.image("b", "2", retain_on_delete=True)["b"]}
    ok(fleet.stack.pulumi("state", "rename", target, "b2", "--yes"))
    renamed = {"a2": fleet.image("a", "1", aliases=[{"name": "a"}])["a"]}
    fleet.want([fleet.site.agent("docker", password="is not used")], single={**renamed, **moved})
    ids = [fleet.item(name)["id"] for name in "ab"]  # type: ignore[index]
    assert "3 unchanged" in ok(fleet.stack.up("--refresh"))

    # What is retained stays on the Controller, and can only be taken over again.
    ok(fleet.stack.destroy())
    assert fleet.item("a") is None
    assert fleet.item("b")["id"] == ids[1]  # type: ignore[index]
    fleet.want(["docker"], single=fleet.image("b", "2", import_=str(ids[1])))
    assert "set adopt=True, and pulumi up takes the catalog item over" in fleet.stack.preview().output


def test_ctrl_c_ends_at_once_and_the_next_up_goes_on(fleet: Fleet) -> None:
    site = fleet.site
    site.push("1")
    single = fleet.image("a", "1")
    single["a"]["max_unavailable"] = 1
    fleet.want(["docker"], single=single)
    host = site.host("docker")
    host.set_rate("8mbit")
    try:
        before = site.received("docker")["docker"]
        with fleet.stack.begin("up", "--yes", "--skip-preview") as running:
            while site.received("docker")["docker"] < before + 1_000_000:
                assert running.poll() is None
                time.sleep(0.05)
            # As a terminal does: to all that the command has started and that is in its group.
            os.killpg(running.pid, signal.SIGINT)
            said = running.communicate()[0].decode()
        assert running.returncode
        first = site.received("docker")["docker"] - before
        sent = r"docker: [\d.]+ MB of at most 7\.\d+ MB had been sent: "
        assert re.search(f"{sent}pulumi was interrupted. Run pulumi up again: it resumes where it stopped", said), said
        assert "Traceback" not in said
        assert "pending_operations" not in fleet.stack.state()
        assert fleet.item("a") is None, "an interrupted agent is none that may be left out"
        before = site.received("docker")["docker"]
        ok(fleet.stack.up())
        rest = site.received("docker")["docker"] - before
        size = fleet.stack.resource()["outputs"]["images"]["x86"]["size"]
        # It would have taken 6 more seconds for the whole; and what had arrived was not sent again.
        assert first < size * 0.75, said
        assert rest < size - first / 2
        assert site.holds("docker", "1")
    finally:
        host.set_rate(None)


def _urns(stack: Stack) -> list[str]:
    return [each["urn"] for each in stack.resources()]


# ---- sets ----------------------------------------------------------------------------------------------


def test_a_set_opens_one_connection_for_each_agent(fleet: Fleet) -> None:
    site, hosts = fleet.site, ("docker", "podman")
    images = {f"image-{n}": {"x86": site.push(str(n)), "name": f"{site.repository}-{n}"} for n in range(1, 6)}
    fleet.want(list(hosts), images=images)
    logins, received = {name: site.logins(name) for name in hosts}, site.received(*hosts)
    said = ok(fleet.stack.up())
    assert {name: site.logins(name) - logins[name] for name in hosts} == dict.fromkeys(hosts, 1), said
    for name in hosts:
        assert all(site.holds(name, str(n)) for n in range(1, 6))
    ids = fleet.stack.outputs()["catalog_item_ids"]
    assert ids == {f"image-{n}": site.items()[f"{site.repository}-{n}"]["id"] for n in range(1, 6)}
    # The layers that all of them have are sent once: 7.3 MB, and then 0.3 MB for each.
    assert all(site.received(name)[name] - received[name] < 10_000_000 for name in hosts)
    # A refresh asks five times over one connection, too.
    logins = {name: site.logins(name) for name in hosts}
    ok(fleet.stack.refresh())
    assert {name: site.logins(name) - logins[name] for name in hosts} == dict.fromkeys(hosts, 1)
    assert ok(fleet.stack.up("--expect-no-changes"))

    # One image fails: the others go on, and the next up does what is left.
    images["image-2"]["x86"], images["image-3"]["x86"] = site.push("6"), site.push("7")
    site.lose_layer("6")
    fleet.want(list(hosts), images=images)
    up = fleet.stack.up("--continue-on-error")
    assert not up.ok
    assert site.items()[f"{site.repository}-3"]["images"][0]["containerImage"] == site.image("7")
    assert all(site.holds(name, "7") for name in hosts)
    site.push("6")
    said = ok(fleet.stack.up())
    assert "2 agents" in said
    assert site.items()[f"{site.repository}-2"]["images"][0]["containerImage"] == site.image("6")
    ok(fleet.stack.destroy())
    assert not any(name.startswith(site.repository) for name in site.items())
