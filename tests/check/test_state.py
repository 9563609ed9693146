"""What a check decides, written into properties and read back: once a verb."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_mock import MockerFixture

from pulumi_iofog.check import properties, state
from pulumi_iofog.check.diff import MISSING, Changes, Placement
from pulumi_iofog.check.resolve import Resolution
from pulumi_iofog.check.state import last_recorded, recorded
from pulumi_iofog.errors import InputError
from pulumi_iofog.inputs.reader import UNKNOWN
from pulumi_iofog.inputs.spec import NO_CONTROLLER, Agent, CatalogItem, parse
from pulumi_iofog.oci.image import AMD64, ARM64
from pulumi_iofog.provider import provider
from tests.images import make_image

AMD = make_image({"app": b"amd64"}, platform=AMD64).image.pin
ARM = make_image({"app": b"arm64"}, platform=ARM64).image.pin
INPUTS: dict[str, Any] = {
    "name": "gateway",
    "x86": "registry.example/app:1",
    "arm": "registry.example/app:1",
    "agents": ["a", {"name": "b", "host": "b.example"}, "c"],
    "agent_secrets": {"b": {"password": "hidden"}},
}


def checked(*, found_endpoint: str = "https://c.example", **changes: Any) -> dict[str, Any]:
    """INPUTS as a check passes them on."""
    inputs = {**INPUTS, **changes}
    spec = state.parse_inputs(inputs)
    found = Resolution(
        endpoint=found_endpoint,
        agents=tuple(Agent(agent.name, host=agent.host or f"{agent.name}.found") for agent in spec.agents),
        pins={"x86": AMD, "arm": ARM},
        digests={"a": AMD.image_id, "b": ARM.image_id, "c": None},
        catalog={"x86": AMD.reference.catalog_name, "arm": ARM.reference.catalog_name},
        top_digests={},
        warnings=(),
    )
    return properties.checked(inputs, spec, found)


def test_what_a_check_decides_is_what_the_next_verb_reads() -> None:
    new = recorded(checked())
    assert new.pins == {"x86": AMD, "arm": ARM}
    assert new.desired.placements == {
        "a": Placement(Agent("a", host="a.found"), AMD.image_id, "registry.example/app:1"),
        "b": Placement(Agent("b", host="b.example", password="hidden"), ARM.image_id, "registry.example/app:1"),
        "c": Placement(Agent("c", host="c.found"), None, None),
    }
    images = (("arm", "registry.example/app:1"), ("x86", "registry.example/app:1"))
    assert new.desired.item == CatalogItem("gateway", "Offline image bundle gateway", images)
    assert (new.desired.endpoint, new.desired.pending) == ("https://c.example", frozenset())
    assert tuple(placement.agent for placement in new.desired.placements.values()) == new.spec.agents
    assert "hidden" not in repr(new)


def test_each_agent_has_its_image() -> None:
    new = recorded(checked())
    assert [(new.arch_of(name), new.pin_of(name)) for name in ("a", "b", "c", "nobody")] == [
        ("x86", AMD),
        ("arm", ARM),
        (None, None),
        (None, None),
    ]
    lost = recorded({**checked(), "agent_digests": {"a": MISSING, "b": ARM.image_id}})
    assert (lost.pin_of("a"), lost.pin_of("b")) == (None, ARM)


def test_an_agent_has_an_earlier_image_only_where_it_was() -> None:
    old = recorded(checked())
    assert old.pin_at(Placement(Agent("b", host="b.example", user="other"), None, None)) == ARM
    assert old.pin_at(Placement(Agent("b", host="elsewhere.example"), None, None)) is None
    assert old.pin_at(Placement(Agent("new", host="b.example"), None, None)) is None


def test_changes_are_those_since_the_last_run() -> None:
    new = recorded(checked())
    assert new.changes_since(None) == Changes(("a", "b", "c"), (), True, False, ("a", "b", "c"))
    # What is not known yet may be anything.
    assert new.changes_since(new) == Changes(("c",), (), False, False)
    pending = {**checked(), "pending_agents": ["a", "b"]}
    assert new.changes_since(recorded(pending)) == Changes(("a", "b", "c"), (), False, False)
    due = recorded({**pending, "rebuild_due": ["b"]})
    assert new.changes_since(due) == Changes(("a", "b", "c"), (), False, False, ("b",))


def test_what_is_not_known_yet_is_nothing_yet() -> None:
    new = recorded(checked(x86=UNKNOWN, description=UNKNOWN))
    assert (new.pins, new.desired.item) == ({}, None)
    assert recorded({**checked(), "images": {"x86": {"reference": "a:1"}, "arm": 7}}).pins == {}


def test_no_state_is_none() -> None:
    assert last_recorded({}) is None
    with pytest.raises(InputError):
        recorded({})


def test_a_newer_versions_state_is_read_as_far_as_it_is_known_and_a_program_is_not() -> None:
    """Fields, values and types that this version does not have."""
    newer: dict[str, Any] = {
        **checked(),
        "auth": {"token": "t"},
        "riscv64": "ipfs://Bafy",
        "pull_policy": "weekly",
        "rollout": {"canary": 1},
        "transfer_pool": "many",
    }
    newer["agents"] = [{**agent, "tunnel": 1} for agent in newer["agents"]]
    newer["agents"][0]["engine"] = "nerdctl"
    old = recorded(newer)
    assert old == recorded(checked())
    assert (old.spec.pull_policy, old.spec.transfer_pool, old.spec.agents[1].password) == ("always", 2, "hidden")
    assert {"rollout", "pull_policy"} <= state.inputs_of(newer).keys()
    with pytest.raises(InputError) as caught:
        state.parse_inputs(state.own_inputs(newer))
    paths = {failure.path for failure in caught.value.failures}
    assert {"agents[0].engine", "agents[2].tunnel", "auth.token", "riscv64", "rollout", "transfer_pool"} <= paths


def test_without_a_controller_there_is_nothing_of_an_item() -> None:
    props = checked(found_endpoint=NO_CONTROLLER, controller=False)
    assert props["controller"] is False
    assert "catalog_item" not in props
    props["agent_digests"] = dict.fromkeys("abc", AMD.image_id)
    new = recorded(props)
    assert (new.desired.item, new.desired.endpoint, new.spec.registers) == (None, NO_CONTROLLER, False)
    olds = {**props, "pending_agents": [], "engines": {}}
    assert not provider.diff("gateway", olds, props).changes
    assert provider.update("gateway", olds, props).outs == olds
    with_one = {**checked(), "agent_digests": dict.fromkeys("abc", AMD.image_id)}
    for before, after in ((olds, with_one), ({**with_one, "catalog_item_id": 7}, props)):
        found = provider.diff("gateway" if before is olds else "7", before, after)
        assert (found.changes, found.replaces, found.delete_before_replace) == (True, ["controller"], True)


def test_how_often_pruning_was_turned_off_is_an_input() -> None:
    spec = state.parse_inputs(INPUTS)
    found = Resolution(None, spec.agents, {}, {}, {}, {}, (), turned_off={"a": 2})
    props = properties.checked(INPUTS, spec, found)
    assert props["pruning_turned_off"] == {"a": 2}
    assert "pruning_turned_off" not in state.own_inputs(props)
    assert recorded({**props, "pruning_turned_off": {"a": 2.0}}).turned_off == {"a": 2}


def test_differences_are_named_as_deep_as_they_go() -> None:
    before = {
        "agents": [{"name": "a", "port": 22}, {"name": "b"}],
        "agent_digests": {"e-1": "1", "e-2": "2"},
        "x86": "1",
    }
    after = {
        "agents": [{"name": "a", "port": 23}],
        "agent_digests": {"e-1": "1", "e-2": "3", 'o"h': "4"},
        "arm": UNKNOWN,
    }
    assert dict(properties.differences(before, after)) == {
        "agents[0].port": "update",
        "agents[1]": "delete",
        'agent_digests["e-2"]': "update",
        'agent_digests["o\\"h"]': "add",
        "x86": "delete",
        "arm": "add",
    }
    assert dict(properties.differences(before, before)) == {}


def test_what_a_refresh_finds_is_a_line_each() -> None:
    props = {**checked(), "agent_digests": {"a": AMD.image_id, "b": ARM.image_id, "c": MISSING}}
    last, item = recorded(props), props["catalog_item"]
    assert state.drift(last, props) == ["c does not hold its image: the next pulumi up brings it"]
    found = {**props, "agent_digests": dict.fromkeys("abc", MISSING), "catalog_item": {**item, "description": "other"}}
    assert state.drift(last, found) == [
        "a does not hold registry.example/app:1: the next pulumi up brings it",
        "b does not hold registry.example/app:1: the next pulumi up brings it",
        "c does not hold its image: the next pulumi up brings it",
        "the catalog item gateway was changed: the next pulumi up changes it back",
    ]


def test_an_agent_that_lacks_its_image_is_named_by_every_refresh() -> None:
    agents = [{"name": "a", "arch": "x86"}, {"name": "b", "arch": "arm"}, "c"]
    props = {**checked(agents=agents), "agent_digests": dict.fromkeys("abc", MISSING)}
    last = recorded(props)
    assert [last.pin_for(name) for name in "abc"] == [AMD, ARM, None]
    assert [last.pin_of(name) for name in "abc"] == [None, None, None]
    assert state.drift(last, props) == [
        "a does not hold registry.example/app:1: the next pulumi up brings it",
        "b does not hold registry.example/app:1: the next pulumi up brings it",
        "c does not hold its image: the next pulumi up brings it",
    ]
    only = recorded({**props, "images": {"arm": props["images"]["arm"]}})
    assert [only.pin_for(name) for name in "abc"] == [None, ARM, ARM]


def test_a_verb_reads_its_properties_once(mocker: MockerFixture) -> None:
    olds = {**checked(), "catalog_item_id": 7, "pending_agents": [], "engines": {}}
    olds["agent_digests"] = dict.fromkeys("abc", AMD.image_id)
    news = state.inputs_of(olds)
    spied = mocker.patch.object(state, "parse", side_effect=parse)
    assert not provider.diff("7", olds, news).changes
    assert spied.call_count == 2
    assert provider.update("7", olds, news).outs == olds
    assert spied.call_count == 4
