"""The Controller adapter: who uses an item, and what the writing of its images does to them. In all dialects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.controller import ControllerStandIn
from pulumi_iofog.adapters.controller.controller import Controller
from pulumi_iofog.adapters.controller.dialect import Dialect
from pulumi_iofog.adapters.http import Backoff
from pulumi_iofog.errors import ControllerError, ItemInUse, NameTaken
from pulumi_iofog.inputs.catalog import Microservice
from pulumi_iofog.inputs.spec import CatalogItem, ControllerSettings

CASES = Path(__file__).parents[2] / "cases" / "controller"
ITEM = CatalogItem("gateway", "Offline image bundle gateway", (("arm", "gateway:1.4"), ("x86", "gateway:1.4")))
NEWER = replace(ITEM, images=(("x86", "gateway:1.5"),))


@pytest.fixture(params=["3.0.4", "3.7.3", "3.9.0"])
def stand_in(request: pytest.FixtureRequest) -> Iterator[ControllerStandIn]:
    with ControllerStandIn(request.param) as stand_in:
        yield stand_in


@pytest.fixture
def controller(stand_in: ControllerStandIn) -> Iterator[Controller]:
    controller = Controller(
        ControllerSettings(stand_in.endpoint, stand_in.email, stand_in.password), backoff=Backoff(first=0)
    )
    yield controller
    controller.close()


@pytest.fixture
def item_id(controller: Controller, stand_in: ControllerStandIn) -> int:
    """An item with a running and a stopped microservice, and another with one of its own."""
    door = stand_in.side_door
    for agent in ("edge-1", "edge-2"):
        door.set_agent(agent)
    item_id, other = controller.create_item(ITEM), controller.create_item(replace(ITEM, name="other"))
    door.run(item_id, "edge-2", "writer", status="STOPPED")
    door.run(item_id, "edge-1", "reader")
    door.run(other, "edge-1", "other")
    return item_id


def recorded(dialect: str, step: str) -> Any:
    """What a real Controller has answered."""
    lines = (CASES / f"recorded-{dialect}.jsonl").read_text().splitlines()
    return next(entry["response"]["body"] for entry in map(json.loads, lines) if entry["step"] == step)


# ---- who uses an item -------------------------------------------------------------------------------


def test_who_uses_an_item(controller: Controller, item_id: int) -> None:
    reader, writer = controller.microservices(item_id)
    assert replace(reader, uuid="") == Microservice("app-1/reader", "edge-1", running=True)
    assert replace(writer, uuid="") == Microservice("app-1/writer", "edge-2", running=False)
    assert controller.microservices(9999) == ()


@pytest.mark.parametrize(("dialect", "item_id"), [("3.0.4", 18), ("3.7.3", 6)])
def test_who_uses_an_item_by_what_real_ones_have_said(dialect: str, item_id: int) -> None:
    with ControllerStandIn(dialect) as stand_in:
        controller = Controller(ControllerSettings(stand_in.endpoint, stand_in.email, stand_in.password))
        controller.agents()
        stand_in.answer_next(recorded(dialect, "microservices of the application"))
        stand_in.answer_next(recorded(dialect, "agents"))
        (found,) = controller.microservices(item_id)
        said = recorded(dialect, "microservices of the application")["microservices"][0]
        assert found == Microservice("app-1/ms-1", "edge-1", running=False, uuid=said["uuid"])
        controller.close()


def test_one_microservice_alone_is_rebuilt_where_the_controller_can(
    controller: Controller, stand_in: ControllerStandIn, item_id: int
) -> None:
    reader, writer = controller.microservices(item_id)
    can = not stand_in.api.old
    assert controller.rebuild(writer) is can
    assert stand_in.side_door.rebuilds() == {reader.name: False, writer.name: can, "app-1/other": False}
    if can:
        assert controller.rebuild(replace(writer, uuid="gone")), "what is gone needs no starting"
    stand_in.answer_next({"name": "ValidationError", "message": "not now"}, status=400)
    with pytest.raises(ControllerError, match="rebuilding app-1/writer: HTTP status 400: ValidationError not now"):
        controller.rebuild(writer)


# ---- writing images ---------------------------------------------------------------------------------


def test_images_that_stay_the_same_are_written_where_their_content_does_not(
    controller: Controller, stand_in: ControllerStandIn, item_id: int
) -> None:
    door = stand_in.side_door
    controller.update_item(item_id, ITEM)
    assert not any(door.rebuilds().values())
    if stand_in.api.old:
        with pytest.raises(ItemInUse, match=r"still use it: app-1/reader on edge-1\. Stopping them is enough\.$"):
            controller.update_item(item_id, ITEM, rewrite=True)
        return
    controller.update_item(item_id, ITEM, rewrite=True)
    assert door.rebuilds() == {"app-1/writer": True, "app-1/reader": True, "app-1/other": False}
    assert controller.get_item(item_id) == ITEM


def test_rewriting_drops_what_is_not_wanted(controller: Controller, stand_in: ControllerStandIn) -> None:
    item_id = controller.create_item(ITEM)
    controller.update_item(item_id, NEWER, rewrite=True)
    assert controller.get_item(item_id) == NEWER
    controller.update_item(item_id, replace(NEWER, description="new words"), rewrite=True)
    assert controller.get_item(item_id) == replace(NEWER, description="new words")


def test_what_a_controller_does_is_what_its_rules_say(
    controller: Controller, stand_in: ControllerStandIn, item_id: int
) -> None:
    if controller.catalog_rules().frozen:
        with pytest.raises(ItemInUse):
            controller.update_item(item_id, NEWER)
        (reader, _) = (uuid for uuid, each in _of(stand_in, item_id))
        stand_in.side_door.report(reader, "STOPPED")
        controller.update_item(item_id, NEWER)
        assert not any(stand_in.side_door.rebuilds().values())
    else:
        controller.update_item(item_id, NEWER)
        assert stand_in.side_door.rebuilds()["app-1/reader"]
    assert controller.get_item(item_id) == NEWER


def _of(stand_in: ControllerStandIn, item_id: int) -> list[tuple[str, Any]]:
    """The item's microservices by uuid, the running ones first."""
    found = [each for each in stand_in.api.state["microservices"].items() if each[1]["catalogItemId"] == item_id]
    return sorted(found, key=lambda each: str(each[1]["status"]["status"]))


@pytest.mark.parametrize(
    ("version", "frozen"),
    [("3.0.4", True), ("3.5.6", True), ("3.5.7", False), ("3.5.10", False), ("3.7.3", False), ("3.9.0-beta1", False)],
)
def test_from_which_version_on_microservices_are_rebuilt(version: str, frozen: bool) -> None:
    assert Dialect.of(version).rules.frozen is frozen


# ---- the Controller's own items ---------------------------------------------------------------------


def test_system_items_are_told_from_others(controller: Controller, stand_in: ControllerStandIn) -> None:
    controller.create_item(ITEM)
    ours = controller.find_item("gateway")
    assert ours
    assert not ours.system
    found, rules = controller.find_item("Router"), controller.catalog_rules()
    if stand_in.api.old:
        assert (found, "Router" in rules.reserved) == (None, True)
        for name in rules.reserved:
            with pytest.raises(NameTaken, match=r"Duplicate name .*\. Choose another name=\.$"):
                controller.create_item(replace(ITEM, name=name))
    else:
        assert found
        assert (found.item_id, found.system, rules.reserved) == (1, True, frozenset())
        with pytest.raises(NameTaken, match=r"Duplicate name 'Router'\. Choose another name=\.$"):
            controller.create_item(replace(ITEM, name="Router"))


@pytest.mark.parametrize("dialect", ["3.0.4", "3.7.3"])
def test_what_came_with_a_real_one_is_its_own(dialect: str) -> None:
    rules = Dialect.of(dialect)
    installed = recorded(dialect, "catalog as installed")["catalogItems"]
    assert all(rules.is_system(item) for item in installed)
    assert not rules.is_system(recorded(dialect, "get item"))
