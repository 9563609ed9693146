"""One check, as far as the catalog item goes: what is refused beside all else, and when the Controller is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from pulumi_iofog.check.catalog import ItemPlan
from pulumi_iofog.check.state import Recorded
from pulumi_iofog.errors import ControllerError
from pulumi_iofog.inputs.catalog import CatalogRules, FoundItem, KnownAgent, Microservice
from pulumi_iofog.inputs.reader import UNKNOWN
from pulumi_iofog.inputs.spec import NO_CONTROLLER, CatalogItem
from tests.check.test_resolve import AMD, ARM, MARK, World, failures, index, remembered, run
from tests.images import make_image

OTHER = make_image({"app": b"newer"})
OWN = FoundItem(17, CatalogItem("g", "Offline image bundle g", (("x86", "a:1"),)))
READER = Microservice("plant/reader", "e", running=True)
FREEZES = CatalogRules("3.0.4", ("x86", "arm"), frozen=True)
TAKEN = (
    "name: https://c.example: registering the catalog item g: catalog item 17 has that name already, and this stack"
    " did not make it. Set adopt=True to take it over, or choose another name=."
)


def world(*made: Any, **more: Any) -> World:
    """A registry where ``a:1`` is the last of those images, and a Controller with the item and its microservice."""
    return World({"a:1": index(made[-1] if made else AMD)}, **{"items": [OWN], "users": [READER], **more})


def state(**inputs: Any) -> Recorded:
    """After a run that has brought the first image."""
    return remembered(run(World({"a:1": index(AMD)}), x86="a:1"), **inputs)


@pytest.fixture(autouse=True)
def _other_is_in_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.check.test_resolve.MADE", (AMD, ARM, OTHER))


# ---- a resource that has none -------------------------------------------------------------------------


def test_a_taken_name_is_told_with_everything_else() -> None:
    assert failures(world(), x86="a:1") == [TAKEN]
    found = failures(world(), x86="a:1", arm="b:1", agents=["nobody"])
    assert [each.partition(":")[0] for each in found] == ["arm", "agents[0].host", "name"]


def test_an_item_that_may_be_taken_over() -> None:
    assert run(world(), x86="a:1", adopt=True).item == ItemPlan(17, ("e",), (READER,))
    (failure,) = failures(world(rules=FREEZES), x86="a:1", adopt=True)
    assert failure.startswith(": https://c.example: writing the images of catalog item 17: Controller 3.0.4 does not")


def test_of_a_replacement_the_item_is_the_resources_own() -> None:
    assert run(world(replaced=17), x86="a:1").item == ItemPlan()
    assert failures(world(replaced=16), x86="a:1") == [TAKEN]


def test_an_item_with_the_resources_own_mark_is_taken_over_and_no_other() -> None:
    own, others = (dataclasses.replace(OWN, publisher=mark) for mark in (MARK, f"{MARK[:-1]}!"))
    assert run(world(items=[own]), x86="a:1").item == ItemPlan(17, ("e",), (READER,))
    assert failures(world(items=[others]), x86="a:1") == [TAKEN]


def test_what_is_not_known_yet_is_not_looked_at() -> None:
    assert run(world(controller=None), x86="a:1").item is None
    unnamed = world()
    assert run(unnamed, x86="a:1", name=UNKNOWN).item == ItemPlan()
    assert not [asked for asked in unnamed.asked if asked.startswith("item")]
    assert failures(world(), x86=UNKNOWN) == [TAKEN]


# ---- a resource that has one --------------------------------------------------------------------------


def test_where_nothing_changes_the_item_is_not_asked_for() -> None:
    silent = world()
    assert run(silent, state(), x86="a:1").item is None
    agents = [{"name": "e", "host": "h"}, {"name": "new", "host": "h"}]
    assert run(silent, state(), x86="a:1", agents=agents).item is None
    assert {*silent.asked} == {"registry", "controller"}


def test_a_controller_that_cannot_be_asked_is_one_failure() -> None:
    silent = world(controller=ControllerError("https://c.example", "signing in", "Connection refused"))
    for last in (None, state()):
        assert failures(silent, last, x86="a:1") == [": https://c.example: signing in: Connection refused"]


LEFT = ItemPlan(left=(READER,), owed=("e",))


def test_a_tag_that_moved() -> None:
    assert run(world(OTHER), state(), x86="a:1").item == ItemPlan(rewrite_for=("e",), rebuilt=(READER,))
    assert run(world(OTHER), state(), x86="a:1", rebuild=False).item == LEFT
    (failure,) = failures(world(OTHER, rules=FREEZES), state(), x86="a:1")
    assert failure.endswith("plant/reader on e. Stopping them is enough. Or set rebuild=False, and they go on with the"
                            " older content.")  # fmt: skip
    assert run(world(OTHER, rules=FREEZES), state(), x86="a:1", rebuild=False).item == LEFT


def test_what_cannot_be_resolved_is_no_reason_to_blame_the_item() -> None:
    (failure,) = failures(world(rules=FREEZES), state(), x86="b:1")
    assert failure.startswith("x86: b:1: resolving")


def test_another_name_for_it() -> None:
    other = FoundItem(18, dataclasses.replace(OWN.item, name="other"))
    (failure,) = failures(world(items=[OWN, other]), state(), x86="a:1", name="other")
    assert "catalog item 18 has that name already, and this resource has one of its own" in failure
    assert run(world(), state(), x86="a:1", name="other").item == ItemPlan()


def test_an_item_on_another_controller_is_a_new_one() -> None:
    elsewhere = world(endpoint="https://other.example")
    assert failures(elsewhere, state(), x86="a:1") == [TAKEN.replace("//c.", "//other.")]
    assert run(world(endpoint="https://other.example", items=[]), state(), x86="a:1").item == ItemPlan()


# ---- the agents' pruning ------------------------------------------------------------------------------


def pruning(hours: int, last: Recorded | None = None, mode: str = "configure") -> Mapping[str, int]:
    agents = [KnownAgent("e", "uuid", "h", (), "docker", None, hours)]
    return run(world(controller=agents, items=()), last, x86="a:1", agent_pruning=mode).turned_off


def test_pruning_that_was_turned_on_again_is_turned_off_again() -> None:
    assert pruning(6, mode="warn") == {}
    assert pruning(6) == {"e": 1}
    last = dataclasses.replace(state(), turned_off={"e": 1, "gone": 1})
    assert (pruning(0, last), pruning(6, last)) == ({"e": 1}, {"e": 2})
    # A Controller that cannot be asked yet, or that does not know the agent, changes nothing.
    unknown = run(world(controller=None), last, x86="a:1", agent_pruning="configure")
    assert unknown.turned_off == {"e": 1}


# ---- without a Controller -----------------------------------------------------------------------------


def test_without_a_controller_nobody_is_asked_but_the_registry() -> None:
    alone = world(controller=None, endpoint=NO_CONTROLLER)
    found = run(alone, x86="a:1", controller=False)
    assert (found.endpoint, found.item, found.digests) == (NO_CONTROLLER, None, {"e": AMD.image.pin.image_id})
    assert set(alone.asked) == {"registry"}


def test_without_a_controller_an_agent_needs_a_host() -> None:
    alone = world(controller=None, endpoint=NO_CONTROLLER)
    (failure,) = failures(alone, x86="a:1", controller=False, agents=["e"])
    assert failure.startswith("agents[0].host: no host known for agent e")
