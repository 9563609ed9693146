"""What the ioFog agent's pruning does to images, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pulumi_iofog.check.pruning import catalog_name, is_removed, misspelt, removals, to_turn_off
from pulumi_iofog.inputs.catalog import KnownAgent
from pulumi_iofog.inputs.spec import EngineName
from pulumi_iofog.oci.image import Reference

HUB, OWN = Reference.parse("gateway:1.4"), Reference.parse("registry.example/gateway:1.4")


def known(name: str, hours: int | None, *, provisioned: bool = True) -> KnownAgent:
    return KnownAgent(name, f"uuid-{name}", "h", (), "docker", None, hours, provisioned)


@pytest.mark.parametrize(
    ("names", "used", "removed"),
    [
        (["gateway:1.4"], {"gateway:1.4"}, False),
        (["gateway:latest"], {"gateway"}, True),
        (["docker.io/library/gateway:1.4"], {"gateway:1.4"}, True),
        (["another:1", "gateway:1.4"], {"gateway:1.4"}, True),
        ([], {"gateway:1.4"}, True),
        (["gateway:1.4"], set(), True),
    ],
)
def test_only_an_images_first_name_saves_it_letter_by_letter(names: list[str], used: set[str], removed: bool) -> None:
    assert is_removed(names, used) == removed


@pytest.mark.parametrize(
    ("written", "docker", "podman"),
    [
        ("gateway:1.4", "gateway:1.4", "docker.io/library/gateway:1.4"),
        ("gateway", "gateway:latest", "docker.io/library/gateway:latest"),
        ("docker.io/library/gateway:1.4", "gateway:1.4", "docker.io/library/gateway:1.4"),
        ("team/gateway:1.4", "team/gateway:1.4", "docker.io/team/gateway:1.4"),
        ("registry.example/gateway", "registry.example/gateway:latest", "registry.example/gateway:latest"),
        ("localhost/gateway:1", "localhost/gateway:1", "localhost/gateway:1"),
    ],
)
def test_the_item_is_spelt_as_the_engine_lists_the_image(written: str, docker: str, podman: str) -> None:
    reference = Reference.parse(written)
    assert [catalog_name(reference, engines) for engines in (["docker"], ["docker", None], [])] == [docker] * 3
    assert catalog_name(reference, ["podman", "podman"]) == podman


def test_a_short_name_cannot_be_spelt_for_docker_and_podman_at_once() -> None:
    mixed: Mapping[str, EngineName | None] = {"a": "docker", "b": "podman"}
    assert misspelt(HUB, mixed) == [
        "b: podman lists gateway:1.4 as docker.io/library/gateway:1.4, so the ioFog agent's pruning removes it there"
        " although a microservice uses it. Use a reference with a registry's name for all agents"
    ]
    assert misspelt(OWN, mixed) == misspelt(HUB, {"a": "podman", "b": "podman"}) == []


def test_agents_that_will_remove_the_image_are_named_with_when_and_what_to_do() -> None:
    agents = [known("a", 1), known("b", 0), known("c", 1), known("d", 24), known("e", None), known("used", 1)]
    said = "the ioFog agent removes images that no microservice uses"
    hint = 'create the microservice before that, or set agent_pruning="configure", which turns that off (or "ignore")'
    assert removals(agents, {"used"}, "warn") == [
        f"a, c: {said}, every hour; {hint}",
        f"d: {said}, every 24 hours; {hint}",
    ]
    assert removals(agents, {"used"}, "ignore") == []
    assert removals(agents, {"used"}, "configure") == [
        "a, c, used: the ioFog agent's pruning (every hour) will be turned off until destroy",
        "d: the ioFog agent's pruning (every 24 hours) will be turned off until destroy",
    ]


def test_an_agent_that_has_not_joined_yet_prunes_every_hour_whatever_its_record_says() -> None:
    (line,) = removals([known("new", 0, provisioned=False)], (), "configure")
    assert line.startswith("new: the ioFog agent removes images that no microservice uses, every hour;")


def test_what_is_turned_off_is_noted_once() -> None:
    agents = [known("a", 1), known("b", 0), known("c", 6), known("d", None)]
    assert to_turn_off(agents, {}) == {"a": 1, "c": 6}
    assert to_turn_off(agents, {"c": 2}) == {"a": 1}
