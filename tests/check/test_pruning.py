"""What the ioFog agent's pruning does to images, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pulumi_iofog.check.pruning import (
    KeptOff,
    PruningStep,
    catalog_name,
    is_removed,
    keep_off,
    misspelt,
    put_back,
    removals,
    turned_off,
)
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
    mixed: Mapping[str, EngineName | None] = {"a": "docker", "b": "podman", "c": "podman", "d": "podman"}
    agents = [known("a", 1), known("b", 1), known("c", 0)]
    listed = "podman lists gateway:1.4 as docker.io/library/gateway:1.4, so the ioFog agent's pruning"
    hint = "Use a reference with a registry's name for all agents"
    off = "takes it for unused; it is turned off there, but runs on request and while the disk is nearly full"
    assert misspelt(HUB, mixed, agents, "warn") == [
        f"b, d: {listed} removes it there although a microservice uses it. {hint}",
        f"c: {listed} {off}. {hint}",
    ]
    assert misspelt(HUB, {"a": "docker", "b": "podman"}, agents, "configure") == [f"b: {listed} {off}. {hint}"]
    assert misspelt(HUB, mixed, agents, "ignore") == []
    assert misspelt(OWN, mixed, agents, "warn") == []
    assert misspelt(HUB, {"a": "podman", "b": "podman"}, agents, "warn") == []


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
    for mode in ("configure", "warn"):
        (line,) = removals([known("new", 0, provisioned=False)], (), mode)
        assert line.startswith("new: not joined to the Controller yet, and until then the ioFog agent removes images")
        assert "agent_pruning" not in line, "it is set already"
    (line,) = removals([known("new", 24, provisioned=False)], (), "warn")
    assert line.startswith("new: the ioFog agent removes images that no microservice uses, every hour;")
    assert removals([known("new", 0, provisioned=False)], (), "ignore") == []


def test_what_is_set_by_hand_is_a_difference_each_time() -> None:
    agents = [known("a", 1), known("b", 0), known("c", None)]
    first = turned_off(agents, {})
    assert first == {"a": 1}
    assert turned_off([known("a", 0), known("b", 0)], first) == first, "settled"
    assert turned_off([known("a", 1), known("b", 6)], first) == {"a": 2, "b": 1}


NOBODY, OTHER = KeptOff(), KeptOff(frozenset({"other"}))


@pytest.mark.parametrize(
    ("now", "before", "hours", "kept_in_mind"),
    [(6, None, 0, 6), (0, None, None, 0), (0, 6, None, 6), (2, 6, 0, 2)],
    ids=["turned off", "off already", "settled", "set by hand since"],
)
def test_pruning_is_kept_off_and_what_was_set_last_kept_in_mind(
    now: int, before: int | None, hours: int | None, kept_in_mind: int
) -> None:
    assert keep_off(now, before, NOBODY, "me") == PruningStep(hours, kept_in_mind, KeptOff(frozenset({"me"})))


def test_pruning_is_put_back_by_the_last_who_wanted_it_off() -> None:
    """Of two resources, whichever goes first."""
    first = keep_off(6, None, NOBODY, "first")
    second = keep_off(0, None, first.kept, "second")
    assert (first.before, second.before) == (6, 0)

    gone = put_back(0, 6, second.kept, "first")
    assert gone == PruningStep(None, None, KeptOff(frozenset({"second"}), 6))
    assert put_back(0, 0, gone.kept, "second") == PruningStep(6, None, NOBODY)

    gone = put_back(0, 0, second.kept, "second")
    assert put_back(0, 6, gone.kept, "first") == PruningStep(6, None, NOBODY)


def test_what_somebody_has_set_meanwhile_is_not_overwritten() -> None:
    assert put_back(2, 6, NOBODY, "me") == PruningStep(None, None, NOBODY)
    assert put_back(0, 6, OTHER, "me").hours is None
