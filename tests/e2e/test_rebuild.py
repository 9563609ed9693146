"""Other content under the same name reaches microservices; what a Controller forbids is said by the preview."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from lab.stack import Done
from tests.e2e.site import Site
from tests.e2e.test_catalog import Hand

MARKED = "the Controller will rebuild 1 microservice"


def ok(done: Done) -> str:
    assert done.ok, done.output
    return done.output


@dataclass
class Plant:
    """A microservice of the site's own, and a tag that moves.

    Its agent is known to the Controller only: a record under a host's name would be all tests'.
    """

    site: Site
    uuid: str = ""

    def __post_init__(self) -> None:
        name = self.site.repository[-24:].strip("-")
        self.agent, self.application = f"agent-{name}", f"plant-{name}"
        self.site.controller.set_agent(self.agent)

    @property
    def reader(self) -> str:
        return f"{self.application}/reader"

    @property
    def fetched(self) -> list[str]:
        """What the agent is told to start anew, once."""
        return self.site.controller.fetch(self.agent)

    def run(self) -> None:
        item_id = self.site.items()[self.site.repository]["id"]
        controller = self.site.controller
        self.uuid = controller.run(item_id, self.agent, name="reader", application=self.application)

    def move(self, version: str) -> str:
        """The tag's reference, which from now on means that version."""
        return self.site.push(version, "latest")

    @property
    def marked(self) -> bool:
        return self.site.controller.rebuilds()[self.reader]


@pytest.fixture
def plant(site: Site) -> Plant:
    """Version 1 is there, and a microservice of it is running."""
    plant = Plant(site)
    site.want(["docker"], x86=plant.move("1"))
    ok(site.stack.up())
    plant.run()
    return plant


@pytest.mark.parametrize("dialect", ["3.7.3", "3.9.0"])
def test_a_tag_that_moved_reaches_a_running_microservice(site: Site, plant: Plant) -> None:
    item = site.items()[site.repository]
    plant.move("2")
    line = f"{MARKED} ({plant.reader} on {plant.agent})"
    assert line in ok(site.stack.preview())
    assert not plant.marked
    assert line in ok(site.stack.up())
    assert plant.marked
    assert site.items()[site.repository] == item
    assert plant.fetched == [plant.reader]
    # Once.
    ok(site.stack.up("--expect-no-changes"))
    assert not plant.marked

    # Nobody restarts anything for an agent that is new.
    site.want(["docker", "podman"], x86=site.image("latest"))
    assert MARKED not in ok(site.stack.up())
    assert not plant.marked

    # Another name: the Controller would do so by itself.
    site.want(["docker", "podman"], x86=site.push("3"), rebuild=False)
    line += " as the item names another image"
    assert line in ok(site.stack.preview())
    assert line in ok(site.stack.up())
    assert plant.marked


def test_rebuild_false_leaves_running_microservices_alone(site: Site, plant: Plant) -> None:
    site.want(["docker"], x86=plant.move("2"), rebuild=False)
    line = f"rebuild=False leaves 1 microservice ({plant.reader} on {plant.agent}) running with older content"
    assert line in ok(site.stack.preview())
    said = ok(site.stack.up())
    assert line in said
    assert "1 agent updated; " in said
    assert not plant.marked

    # What has come meanwhile is started once that is wanted, though nothing is to be sent.
    site.want(["docker"], x86=site.image("latest"), rebuild=False, description="other words")
    assert "running with older content" in ok(site.stack.up())
    before = site.visits("docker")
    site.want(["docker"], x86=site.image("latest"), description="other words")
    assert MARKED in ok(site.stack.preview())
    assert not plant.marked
    assert MARKED in ok(site.stack.up())
    assert plant.fetched == [plant.reader]
    assert site.visits("docker") == before
    ok(site.stack.up("--expect-no-changes"))
    assert not plant.marked


@pytest.mark.parametrize("dialect", ["3.0.4"])
def test_a_running_microservice_that_forbids_it_is_seen_by_the_preview(site: Site, plant: Plant) -> None:
    plant.move("2")
    before = site.visits("docker")
    refused = (
        "Controller 3.0.4 does not do that while microservices of it are running:"
        f" {plant.reader} on {plant.agent}. Stopping them is enough."
    )
    for done in (site.stack.preview(), site.stack.up()):
        assert not done.ok
        assert refused in done.output
        assert "<nil>" not in done.output
    assert site.visits("docker") == before

    # Another name is forbidden as well, also with rebuild=False. Stopping it is enough.
    site.want(["docker"], x86=site.push("3"), rebuild=False)
    assert refused in site.stack.preview().output
    site.want(["docker"], x86=site.image("latest"))
    site.controller.report(plant.uuid, "STOPPED")
    assert "1 agent updated; " in ok(site.stack.up())

    # Or it may go on with what it runs.
    plant.move("4")
    site.controller.report(plant.uuid, "RUNNING")
    site.want(["docker"], x86=site.image("latest"), rebuild=False)
    assert "rebuild=False leaves 1 microservice" in ok(site.stack.up())


def test_what_an_interrupted_update_has_sent_is_not_forgotten(site: Site, plant: Plant) -> None:
    """The image has come, but the item could not be written."""
    hand, taken = Hand(site.controller), f"{site.repository}-taken"
    plant.move("2")
    site.want(["docker"], x86=site.image("latest"), name=taken)
    site.host("docker").set_rate("400kbit")
    try:
        before = site.received("docker")["docker"]
        with site.stack.begin("up", "--yes", "--skip-preview") as running:
            while site.received("docker")["docker"] < before + 50_000:
                assert running.poll() is None
                time.sleep(0.05)
            body = {"name": taken, "registryId": 2, "images": [{"containerImage": "theirs:1", "fogTypeId": 1}]}
            theirs = hand.call("POST", "/catalog/microservices", body)["id"]
            said = running.communicate()[0].decode()
    finally:
        site.host("docker").set_rate(None)
    assert running.returncode
    assert f"Duplicate name '{taken}'" in said
    assert site.holds("docker", "latest")
    assert not plant.marked

    assert f"catalog item {theirs} has that name already" in site.stack.preview().output
    hand.call("DELETE", f"/catalog/microservices/{theirs}")
    said = ok(site.stack.up())
    assert "1 agent already had it" in said
    assert MARKED in said
    assert plant.marked


def test_pending_agents_get_their_rebuild_later(site: Site) -> None:
    plant = Plant(site)
    site.want(["docker", "podman"], x86=plant.move("1"), max_unavailable=1)
    ok(site.stack.up())
    plant.run()
    plant.move("2")
    site.host("podman").stop_sshd()
    try:
        said = ok(site.stack.up())
        assert "1 agent updated, 1 agent pending: podman" in said
        assert MARKED in said
        assert plant.fetched == [plant.reader]
        assert site.stack.resource()["outputs"]["rebuild_due"] == ["podman"]
        # None of those that wait for it has got it.
        assert MARKED not in ok(site.stack.up())
        assert not plant.marked
    finally:
        site.host("podman").start_sshd()
    assert MARKED in ok(site.stack.preview())
    assert MARKED in ok(site.stack.up())
    assert plant.marked
    assert "rebuild_due" not in site.stack.resource()["outputs"]


def test_a_pending_agents_rebuild_leaves_out_those_who_are_done(site: Site) -> None:
    names = {host: f"{host}-{site.repository[-20:]}" for host in ("docker", "docker29")}
    agents = [site.agent(host, name=name) for host, name in names.items()]
    for name in names.values():
        site.controller.set_agent(name)
    site.want(agents, x86=site.push("1", "latest"), max_unavailable=1)
    ok(site.stack.up())
    item_id, application = site.items()[site.repository]["id"], f"plant-{site.repository[-20:]}"
    for name in names.values():
        site.controller.run(item_id, name, name=f"on-{name}", application=application)

    def fetched() -> dict[str, list[str]]:
        return {host: site.controller.fetch(name) for host, name in names.items()}

    ours = {host: [f"{application}/on-{name}"] for host, name in names.items()}
    site.push("2", "latest")
    site.host("docker29").stop_sshd()
    try:
        said = ok(site.stack.up())
        assert f"{MARKED} ({ours['docker'][0]} on {names['docker']})" in said
        assert fetched() == {"docker": ours["docker"], "docker29": []}, "one that would start older content goes on"
    finally:
        site.host("docker29").start_sshd()
    line = f"{MARKED} ({ours['docker29'][0]} on {names['docker29']})"
    assert line in ok(site.stack.preview())
    assert line in ok(site.stack.up())
    assert fetched() == {"docker": [], "docker29": ours["docker29"]}
    ok(site.stack.up("--expect-no-changes"))


# ---- before the first byte ----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["3.0.4", "3.7.3"])
def test_a_name_that_cannot_be_had_is_seen_by_the_preview(site: Site, dialect: str) -> None:
    theirs = Hand(site.controller)
    body = {"name": site.repository, "registryId": 2, "images": [{"containerImage": "theirs:1", "fogTypeId": 1}]}
    item_id = theirs.call("POST", "/catalog/microservices", body)["id"]
    image, before = site.push("1"), site.visits("docker")
    site.want(["docker"], x86=image)
    preview = site.stack.preview()
    assert not preview.ok
    assert f"catalog item {item_id} has that name already, and this stack did not make it" in preview.output
    assert "Set adopt=True to take it over" in preview.output

    why = "Controller 3.0.4 keeps that name for a system item, which it does not list"
    if dialect == "3.7.3":
        why = "catalog item 1 has that name already, and is the Controller's own, not to be taken over"
    site.want(["docker"], x86=image, name="Router", adopt=True)
    for done in (site.stack.preview(), site.stack.up()):
        assert not done.ok
        assert f"{why}. Choose another name=." in done.output
        assert "adopt=True" not in done.output
    assert site.visits("docker") == before

    # Taken over, with those that run from it.
    plant = Plant(site)
    plant.run()
    site.want(["docker"], x86=image, adopt=True)
    if dialect == "3.0.4":
        assert "Stopping them is enough." in site.stack.preview().output
        site.controller.report(plant.uuid, "STOPPED")
    assert (MARKED in ok(site.stack.preview())) is (dialect == "3.7.3")
    ok(site.stack.up())
    assert site.stack.outputs()["catalog_item_id"] == item_id


def test_errors_of_controllers_and_agents_are_no_property(site: Site) -> None:
    both = site.push("1")
    site.stack.configure({"iofog:endpoint": "http://127.0.0.1:9"})
    agent = site.agent("docker", port=9)
    site.want([agent], x86=both)
    preview = site.stack.preview()
    assert not preview.ok
    assert "has a problem: http://127.0.0.1:9: signing in: Connection refused. Is the Controller" in preview.output
    assert "<nil>" not in preview.output
