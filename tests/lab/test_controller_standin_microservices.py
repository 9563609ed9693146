"""The stand-in's microservices: who uses an item, whether it runs, and whether it is to be started anew.

Lists are recorded. ``rebuild`` is told to agents only (and so in no recording), and is held to the
Controllers' public sources: src/services/catalog-service.js and agent-service.js of 3.0.4 and 3.7.3.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from lab.controller_process import EMAIL, PASSWORD, ControllerProcess
from lab.shell import CommandFailed
from tests.lab.client import DIALECTS, Client, client, refusal

NEW = ("3.7.3", "3.9.0")
FROZEN = "Can't update catalog item images for item used for running microservices"


def _images(user: Client, *names: str) -> list[dict[str, Any]]:
    key = user.stand_in.api.dialect.arch_said
    return [{"containerImage": name, key: number} for number, name in enumerate(names, start=1)]


def _patch(user: Client, item: int | str, **body: Any) -> requests.Response:
    return user.ask("PATCH", f"/catalog/microservices/{item}", body)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_one_of_them_can_be_marked_alone_by_newer_ones(dialect: str) -> None:
    """By the source of the Controllers since Keycloak signs their users in (src/routes/microservices.js)."""
    with client(dialect) as user:
        item, door = user.item(), user.stand_in.side_door
        user.agent("edge-1")
        uuid = door.run(item, "edge-1", "reader", "app-1")
        door.run(item, "edge-1", "writer", "app-1")
        answer = user.ask("PATCH", f"/microservices/{uuid}/rebuild")
        assert answer.status_code == (204 if dialect in NEW else 404)
        assert door.rebuilds() == {"app-1/reader": dialect in NEW, "app-1/writer": False}
        if dialect in NEW:
            answer = user.ask("PATCH", "/microservices/gone/rebuild")
            assert refusal(answer) == (404, "NotFoundError", "Invalid microservice UUID 'gone'")


# ---- who uses an item -------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_microservices_are_listed_with_their_item_agent_and_status(dialect: str) -> None:
    with client(dialect) as user:
        item, door = user.item(), user.stand_in.side_door
        agents = {name: user.agent(name) for name in ("edge-2", "edge-1")}
        door.run(item, "edge-2", "writer", "app-2", "STOPPED")
        door.run(item, "edge-1", "reader", "app-1")
        listed = user.ask("GET", "/microservices").json()["microservices"]
        told = [tuple(each[key] for key in ("application", "name", "catalogItemId", "iofogUuid")) for each in listed]
        assert told == [("app-1", "reader", item, agents["edge-1"]), ("app-2", "writer", item, agents["edge-2"])]
        assert [each["status"]["status"] for each in listed] == ["RUNNING", "STOPPED"]
        assert not [each for each in listed if "rebuild" in each]
        assert user.ask("GET", "/microservices?application=app-2").json()["microservices"] == listed[1:]
        assert user.ask("GET", "/microservices?application=app-3").status_code == 500
        assert [fog["name"] for fog in user.ask("GET", "/iofog-list").json()["fogs"]] == ["edge-1", "edge-2"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_microservice_needs_its_place(dialect: str) -> None:
    with client(dialect) as user:
        answer = user.ask("POST", "/microservices", {"name": "ms-1"})
        assert refusal(answer) == (400, "ValidationError", "Required field 'application' is missing")
        answer = user.ask("POST", "/application", {})
        assert refusal(answer) == (400, "ValidationError", "Required field 'name' is missing")


# ---- new images for microservices that are there ----------------------------------------------------


@pytest.mark.parametrize("dialect", NEW)
@pytest.mark.parametrize("status", ["RUNNING", "STOPPED", "QUEUED"])
def test_newer_ones_have_microservices_started_anew(dialect: str, status: str) -> None:
    """For every ``images``, also for those that are there already; for those of the item, on every agent; once."""
    with client(dialect) as user:
        item, other, door = user.item(), user.item("other"), user.stand_in.side_door
        for agent in ("edge-1", "edge-2"):
            user.agent(agent)
            door.run(item, agent, f"on-{agent}", status=status)
        door.run(other, "edge-1", "other")
        none = {"app-1/on-edge-1": False, "app-1/on-edge-2": False, "app-1/other": False}
        assert door.rebuilds() == none
        assert _patch(user, item, description="new words").status_code == 204
        assert door.rebuilds() == none
        for images in (_images(user, "gateway:2"), _images(user, "gateway:2"), []):
            assert _patch(user, item, images=images).status_code == 204
            assert door.rebuilds() == {**none, "app-1/on-edge-1": True, "app-1/on-edge-2": True}
            assert [door.fetch(agent) for agent in ("edge-1", "edge-2")] == [["app-1/on-edge-1"], ["app-1/on-edge-2"]]
            assert door.fetch("edge-1") == []
            assert door.rebuilds() == none
        assert user.ask("GET", f"/catalog/microservices/{item}").json()["images"][0]["containerImage"] == "gateway:2"


def test_3_0_4_freezes_images_while_they_run() -> None:
    with client("3.0.4") as user:
        item, other, door = user.item(), user.item("other"), user.stand_in.side_door
        user.agent()
        uuid = door.run(item, "edge-1")
        before = user.ask("GET", f"/catalog/microservices/{item}").json()
        for images in (_images(user, "gateway:2"), _images(user, "gateway:1"), []):
            answer = _patch(user, item, name="renamed", images=images)
            assert refusal(answer) == (400, "ValidationError", FROZEN)
        assert user.ask("GET", f"/catalog/microservices/{item}").json() == before
        assert _patch(user, other, images=_images(user, "other:2")).status_code == 204
        assert _patch(user, item, description="new words").status_code == 204
        for number, status in enumerate(("QUEUED", "PULLING", "STARTING", "STOPPING", "STOPPED", "FAILED")):
            door.report(uuid, status)
            assert _patch(user, item, images=_images(user, f"gateway:{number}")).status_code == 204
        door.report(uuid, "RUNNING")
        assert _patch(user, item, images=_images(user, "gateway:9")).status_code == 400
        assert door.rebuilds() == {"app-1/ms-1": False}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_item_is_changed_in_all_that_is_said_and_in_nothing_else(dialect: str) -> None:
    with client(dialect) as user:
        item = user.item()
        said = {"name": "renamed", "description": "new words", "registryId": 1}
        assert _patch(user, item, **said, images=_images(user, "gateway:2", "gateway:2-arm")).status_code == 204
        shown = user.ask("GET", f"/catalog/microservices/{item}").json()
        assert said.items() <= shown.items()
        assert shown["images"] == _images(user, "gateway:2", "gateway:2-arm")
        assert _patch(user, item, images=_images(user, "gateway:3")).status_code == 204
        then = user.ask("GET", f"/catalog/microservices/{item}").json()
        assert then == {**shown, "images": _images(user, "gateway:3", "gateway:2-arm")}


# ---- items that are not for changing ----------------------------------------------------------------


@pytest.mark.parametrize("dialect", NEW)
def test_system_items_are_listed_and_refused(dialect: str) -> None:
    with client(dialect) as user:
        items = user.ask("GET", "/catalog/microservices").json()["catalogItems"]
        router = next(item for item in items if item["name"] == "Router")
        assert (router["id"], router["category"]) == (1, "SYSTEM")
        answer = _patch(user, 1, name="Router", images=_images(user, "router:mine"))
        why = "Catalog item id 1 is system and can't be updated"
        assert refusal(answer) == (400, "ValidationError", why)
        assert user.ask("GET", "/catalog/microservices/1").json() == router
        answer = user.ask("DELETE", "/catalog/microservices/1")
        assert refusal(answer) == (500, "ValidationError", why.replace("updated", "deleted"))


def test_3_0_4_hides_system_items_and_keeps_their_names() -> None:
    with client("3.0.4") as user:
        items = user.ask("GET", "/catalog/microservices").json()["catalogItems"]
        assert not {"SYSTEM"} & {item["category"] for item in items}
        for name in ("Router", "Proxy", "RESTBlue"):
            assert name not in [item["name"] for item in items]
            body = {"name": name, "registryId": 2, "images": _images(user, "router:mine")}
            answer = user.ask("POST", "/catalog/microservices", body)
            assert refusal(answer) == (409, "DuplicatePropertyError", f"Duplicate name '{name}'")
        assert refusal(_patch(user, 1, description="x")) == (404, "NotFoundError", "Invalid catalog item id '1'")


@pytest.mark.parametrize("dialect", ["3.0.4", "3.7.3"])
def test_before_3_8_nobody_looks_whose_item_it_is_where_only_images_change(dialect: str) -> None:
    """By the source: an item's owner and category are looked at with its other fields only."""
    with client(dialect) as user:
        installed = user.ask("GET", "/catalog/microservices").json()["catalogItems"][0]["id"]
        assert _patch(user, installed, description="x").status_code in (400, 404)
        assert _patch(user, installed, images=_images(user, "mine:1")).status_code == 204
        shown = user.ask("GET", f"/catalog/microservices/{installed}").json()
        assert shown["images"][0]["containerImage"] == "mine:1"
        for nowhere in ("9999", "no-number"):
            answer = _patch(user, nowhere, images=_images(user, "mine:1"))
            assert refusal(answer)[:2] == (500, "SequelizeForeignKeyConstraintError")


def test_3_9_looks_first() -> None:
    with client("3.9.0") as user:
        assert refusal(_patch(user, 1, images=_images(user, "mine:1")))[0] == 400
        assert refusal(_patch(user, 9999, images=_images(user, "mine:1")))[:2] == (404, "NotFoundError")


# ---- the side door ----------------------------------------------------------------------------------


def test_the_side_door_is_not_among_what_was_asked_and_takes_no_fault() -> None:
    with client("3.7.3") as user:
        asked = list(user.stand_in.requests)
        user.stand_in.fail_next(503)
        answer = requests.post(f"{user.stand_in.endpoint}/lab/set_agent", json={"name": "edge-1"}, timeout=5)
        assert answer.json() == {"done": user.stand_in.side_door.set_agent("edge-1")}
        assert user.stand_in.requests == asked
        assert user.ask("GET", "/iofog-list").status_code == 503


def test_the_side_door_of_another_process(tmp_path: Path) -> None:
    controller = ControllerProcess(tmp_path, "3.7.3")
    controller.up()
    try:
        uuid = controller.set_agent("edge-1", containerEngine="lxc", dockerUrl="unix:///run/lxc.sock", fogTypeId=2)
        base = f"{controller.endpoint}/api/v3"
        login = requests.post(f"{base}/user/login", json={"email": EMAIL, "password": PASSWORD}, timeout=5).json()
        headers = {"Authorization": f"Bearer {login['accessToken']}"}
        body = {"name": "g", "registryId": 2, "images": [{"containerImage": "g:1", "fogTypeId": 2}]}
        item = requests.post(f"{base}/catalog/microservices", json=body, headers=headers, timeout=5).json()["id"]
        microservice = controller.run(item, "edge-1", name="reader", status="PULLING")
        controller.report(microservice, "RUNNING")
        assert controller.rebuilds() == {"app-1/reader": False}
        requests.patch(f"{base}/catalog/microservices/{item}", json=body, headers=headers, timeout=5)
        assert controller.rebuilds() == {"app-1/reader": True}
        kept = controller.state()
        assert kept["agents"][uuid].items() >= {"containerEngine": "lxc", "fogTypeId": 2}.items()
        assert kept["microservices"][microservice]["status"]["status"] == "RUNNING"
        assert controller.fetch("edge-1") == ["app-1/reader"]
        for wrong in (lambda: controller.set_agent("edge-1", engine="docker"), lambda: controller.run(item, "edge-9")):
            with pytest.raises(CommandFailed, match=r"3\.7\.3 has no engine|edge-9"):
                wrong()
    finally:
        controller.down()
