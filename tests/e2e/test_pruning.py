"""The ioFog agent's own pruning: what it takes is found and brought again, what it would take is told before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab import Host
from lab.controller_process import EMAIL, PASSWORD
from lab.engines.edgelet import Edgelet
from lab.stack import Done, Stack
from pulumi_iofog.check.pruning import is_removed
from tests.e2e.site import Site

OPTIONS = Path(__file__).parent / "options"
ENGINES = ("docker", "docker29", "podman", "edgelet")


def prune(host: Host, used: set[str]) -> None:
    """What the agent does on that host; ``used``: the images of its configured microservices."""
    if isinstance(host.engine, Edgelet):
        host.engine.schedule_prune(host, hours=1, used=sorted(used))
        return
    cli = host.engine.cli
    ids = " ".join(set(host.run(f"{cli} image ls --all --quiet --no-trunc").split()))
    rows = host.run(f"{cli} image inspect --format '{{{{.Id}}}} {{{{json .RepoTags}}}}' {ids}") if ids else ""
    for row in rows.splitlines():
        id_, _, names = row.partition(" ")
        if is_removed(json.loads(names), used):
            host.run(f"{cli} image rm --force {id_}")


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_pruned_is_brought_again(site: Site, name: str) -> None:
    """And what one of its microservices uses stays, under the spelling that the catalog item has."""
    image = site.push("1", "latest").removesuffix(":latest")
    site.want([name], x86=image)
    up = site.stack.up()
    assert up.ok, up.output
    spelling = site.items()[site.repository]["images"][0]["containerImage"]
    assert spelling == f"{image}:latest"

    prune(site.host(name), {spelling})
    assert site.holds(name, "latest")
    prune(site.host(name), {image})
    assert not site.holds(name, "latest"), "a name without a tag is no match"

    assert site.stack.refresh().ok
    assert f'~ {name}: "missing" => "sha256:' in site.stack.preview("--diff").output
    up = site.stack.up()
    assert up.ok, up.output
    assert site.holds(name, "latest")


def test_an_agent_that_will_prune_the_image_is_told_and_can_be_kept_from_it(site: Site) -> None:
    name = f"{site.repository[:20]}-agent"
    uuid = site.controller.set_agent(name, dockerPruningFrequency=6, daemonStatus="RUNNING")
    agent = site.agent("docker", name=name)
    site.want([agent], x86=site.push("1"))
    said = f"{name}: the ioFog agent removes images that no microservice uses, every 6 hours; create the microservice"
    assert said in site.stack.preview().output
    assert site.stack.up().ok
    assert hours(site, uuid) == 6, "never without being asked"

    site.want([agent], x86=site.image("1"), agent_pruning="ignore")
    assert said not in site.stack.preview().output

    site.want([agent], x86=site.image("1"), agent_pruning="configure")
    preview = site.stack.preview()
    assert f"{name}: the ioFog agent's pruning (every 6 hours) will be turned off until destroy" in preview.output
    assert hours(site, uuid) == 6
    assert site.stack.up().ok
    assert (hours(site, uuid), site.stack.resource()["outputs"]["pruning_before"]) == (0, {name: 6})
    assert site.stack.up().ok, "and nothing more"
    assert site.stack.resource()["outputs"]["pruning_before"] == {name: 6}

    assert site.stack.destroy().ok
    assert hours(site, uuid) == 6


def test_what_is_set_by_hand_afterwards_is_a_difference_and_undone(site: Site) -> None:
    """And it is turned off also where the update leaves an agent pending."""
    name = f"{site.repository[:20]}-agent"
    uuid = site.controller.set_agent(name, dockerPruningFrequency=6, daemonStatus="RUNNING")
    away = site.agent("podman", name=f"{name}-away", port=9)
    site.want([site.agent("docker", name=name), away], x86=site.push("1"), agent_pruning="configure", max_unavailable=1)
    up = site.stack.up()
    assert f"1 agent pending: {name}-away" in up.output, up.output
    assert hours(site, uuid) == 0

    site.want([site.agent("docker", name=name)], x86=site.image("1"), agent_pruning="configure")
    assert site.stack.up().ok
    assert site.stack.preview("--expect-no-changes").ok
    before = site.visits("docker")
    for count in (2, 3):
        site.controller.set_agent(name, dockerPruningFrequency=6, daemonStatus="RUNNING")
        preview = site.stack.preview("--diff")
        assert f"{name}: {count - 1} => {count}" in preview.output, preview.output
        assert f"{name}: the ioFog agent's pruning (every 6 hours) will be turned off" in preview.output
        assert site.stack.up().ok
        assert hours(site, uuid) == 0
    assert site.stack.preview("--expect-no-changes").ok
    assert site.visits("docker") == before

    assert site.stack.destroy().ok
    assert hours(site, uuid) == 6


def test_the_last_of_two_resources_puts_back_what_the_first_has_turned_off(site: Site, tmp_path: Path) -> None:
    name = f"{site.repository[:20]}-agent"
    uuid = site.controller.set_agent(name, dockerPruningFrequency=6, daemonStatus="RUNNING")
    stack = Stack(OPTIONS, tmp_path / "two")
    stack.configure(
        {"iofog:endpoint": site.controller.endpoint, "iofog:email": EMAIL}, secrets={"iofog:password": PASSWORD}
    )
    shared = {"agents": [site.agent("docker", name=name)], "x86": site.push("1"), "agent_pruning": "configure"}
    names = [f"{site.repository}-{each}" for each in ("first", "second")]

    def want(*wanted: str) -> Done:
        stack.configure({"options:shared": shared, "options:single": {each: {} for each in wanted}})
        return stack.up()

    for wanted, expected in ((names[:1], 0), (names, 0), (names[1:], 0), ([], 6)):
        up = want(*wanted)
        assert up.ok, up.output
        assert hours(site, uuid) == expected
        assert (f"{name}: the ioFog agent's pruning stays turned off for" in up.output) is (wanted == names[1:])


def test_a_microservice_that_uses_the_image_is_a_reason_to_say_nothing(site: Site) -> None:
    name = f"{site.repository[:20]}-agent"
    site.controller.set_agent(name, dockerPruningFrequency=6, daemonStatus="RUNNING")
    site.want([site.agent("docker", name=name)], x86=site.push("1"))
    assert site.stack.up().ok
    site.controller.run(site.items()[site.repository]["id"], name)
    assert "removes images that no microservice uses" not in site.stack.preview().output


def hours(site: Site, uuid: str) -> int:
    return int(site.controller.state()["agents"][uuid]["dockerPruningFrequency"])
