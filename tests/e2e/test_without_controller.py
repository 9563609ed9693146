"""controller=False: images on hosts, and no catalog item; and what becomes of that when a Controller comes."""

from __future__ import annotations

import pytest

from lab import proof
from lab.stack import Done
from tests.e2e.site import Site


def ok(done: Done) -> str:
    assert done.ok, done.output
    return done.output


@pytest.fixture
def alone(site: Site) -> Site:
    """A site whose Controller cannot be reached."""
    site.stack.configure({"iofog:endpoint": "http://127.0.0.1:9"})
    return site


def test_an_image_is_brought_proven_refreshed_and_removed(alone: Site) -> None:
    site, agents = alone, ["docker", "podman"]
    site.want(agents, x86=site.push("1"), controller=False, prune=True)
    assert "2 of 2 agents to update: docker, podman" in ok(site.stack.preview())
    assert "2 agents updated" in ok(site.stack.up())
    assert all(site.holds(name, "1") for name in agents)
    resource = site.stack.resource()
    assert resource["id"] == "gateway"
    assert "catalog_item_id" not in resource["outputs"]
    assert "catalog_item" not in resource["inputs"]
    ok(site.stack.up("--expect-no-changes"))

    site.want(agents, x86=site.push("2"), controller=False, prune=True)
    assert "2 of 2 agents to update: docker, podman" in ok(site.stack.preview())
    ok(site.stack.up())
    assert all(site.holds(name, "2") for name in agents)

    proof.empty(site.host("podman"))
    for _ in range(2):
        said = ok(site.stack.refresh())
        assert f"podman does not hold {site.image('2')}: the next pulumi up brings it" in said
        assert "docker does not hold" not in said
    assert "1 of 2 agents to update: podman" in ok(site.stack.preview())
    assert "1 agent updated" in ok(site.stack.up())
    ok(site.stack.destroy())
    assert not any(site.holds(name, "2") for name in agents)


def test_a_controller_that_comes_or_goes_replaces_the_resource_and_sends_nothing(site: Site) -> None:
    image = site.push("1")
    site.want(["docker"], x86=image, controller=False)
    ok(site.stack.up())
    site.want(["docker"], x86=image)
    said = ok(site.stack.preview())
    assert "replace" in said
    assert f"nothing to send; the catalog item {site.repository} will be created at http" in said
    assert "1 agent already had it" in ok(site.stack.up())
    item = site.items()[site.repository]
    assert site.stack.resource()["id"] == str(item["id"])
    assert site.stack.outputs()["catalog_item_id"] == item["id"]

    site.want(["docker"], x86=image, controller=False)
    said = ok(site.stack.preview())
    assert "replace" in said
    assert f"nothing to send; the catalog item {site.repository} will be deleted at http" in said
    assert "1 agent already had it" in ok(site.stack.up())
    assert site.repository not in site.items()
    assert site.stack.resource()["id"] == "gateway"
    ok(site.stack.destroy())
    assert site.holds("docker", "1")


def test_an_agents_name_alone_needs_a_host_from_somewhere(alone: Site) -> None:
    alone.want([{"name": "nowhere", "host": None}], x86=alone.push("1"), controller=False)
    said = alone.stack.preview().output
    assert "agents[0].host" in said
    assert "no host known for agent nowhere" in said
