"""The catalog item, when others have their hands on it too."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from lab.controller_process import EMAIL, PASSWORD, ControllerProcess
from tests.e2e.site import Site


class Hand:
    """Somebody else who works with the Controller."""

    def __init__(self, controller: ControllerProcess) -> None:
        self._base = f"{controller.endpoint}/api/v3"
        self._headers: dict[str, str] = {}
        token = self.call("POST", "/user/login", {"email": EMAIL, "password": PASSWORD})["accessToken"]
        self._kind = "arch" if controller.dialect == "3.9.0" else "fogType"
        self._headers = {"Authorization": token if controller.dialect == "3.0.4" else f"Bearer {token}"}

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = requests.request(method, self._base + path, json=body, headers=self._headers, timeout=10)
        answer.raise_for_status()
        return dict(answer.json()) if answer.content else {}

    def use(self, item_id: int, name: str, agent: str) -> None:
        """Run a microservice of the item on an agent of that name."""
        uuid = self.call("POST", "/iofog", {"name": agent, self._kind: 1})["uuid"]
        self.call("POST", "/application", {"name": name, "isActivated": False})
        body = {"name": "reader", "application": name, "catalogItemId": item_id, "iofogUuid": uuid, "config": "{}"}
        self.call("POST", "/microservices", body)


@pytest.mark.parametrize("dialect", ["3.0.4", "3.7.3"])
def test_an_item_changed_or_deleted_by_hand_is_found_and_repaired(site: Site) -> None:
    site.want(["docker"], x86=site.push("1"))
    assert site.stack.up().ok
    hand, item = Hand(site.controller), site.items()[site.repository]

    hand.call("PATCH", f"/catalog/microservices/{item['id']}", {"description": "changed by hand"})
    assert site.stack.refresh().ok
    preview = site.stack.preview("--diff")
    assert '"changed by hand" => "Offline image bundle' in preview.output, preview.output
    assert "no agent to update, only the catalog item" in preview.output
    before = site.visits("docker")
    assert site.stack.up().ok
    assert site.items()[site.repository]["description"] == item["description"]
    assert site.visits("docker") == before

    hand.call("DELETE", f"/catalog/microservices/{item['id']}")
    assert site.stack.refresh().ok
    up = site.stack.up()
    assert up.ok, up.output
    assert "1 agent already had it" in up.output
    assert site.items()[site.repository]["id"] != item["id"]


def test_a_name_that_is_taken_is_refused_before_a_byte_is_sent(site: Site) -> None:
    hand = Hand(site.controller)
    body = {"name": site.repository, "registryId": 2, "images": [{"containerImage": "theirs:1", "fogTypeId": 1}]}
    item_id = hand.call("POST", "/catalog/microservices", body)["id"]
    image = site.push("1")
    site.want(["docker"], x86=image)
    before = site.visits("docker")
    up = site.stack.up()
    assert not up.ok
    assert f"catalog item {item_id} has that name already, and this stack did not make it" in up.output
    assert "Set adopt=True to take it over" in up.output
    assert site.visits("docker") == before

    site.want(["docker"], x86=image, adopt=True)
    up = site.stack.up()
    assert up.ok, up.output
    assert site.stack.outputs()["catalog_item_id"] == item_id
    assert site.items()[site.repository]["images"][0]["containerImage"] == image


@pytest.mark.parametrize("dialect", ["3.0.4", "3.9.0"])
def test_an_item_in_use_is_not_deleted_and_its_users_are_named(site: Site) -> None:
    site.want(["docker"], x86=site.push("1"))
    assert site.stack.up().ok
    application = f"plant-{site.repository[-12:]}"
    Hand(site.controller).use(site.stack.outputs()["catalog_item_id"], application, f"agent-{application}")
    destroy = site.stack.destroy()
    assert not destroy.ok
    assert f"microservices still use it: {application}/reader on agent-{application}" in destroy.output
    assert "Traceback" not in destroy.output
    Hand(site.controller).call("DELETE", f"/application/{application}")
    assert site.stack.destroy().ok
    assert site.repository not in site.items()


def test_another_controller_gets_an_item_of_its_own(site: Site, controllers: dict[str, ControllerProcess]) -> None:
    site.want(["docker"], x86=site.push("1"))
    assert site.stack.up().ok
    site.stack.configure({"iofog:endpoint": controllers["3.0.4"].endpoint})
    up = site.stack.up()
    assert up.ok, up.output
    assert "1 agent already had it" in up.output
    assert site.repository in {item["name"] for item in controllers["3.0.4"].state()["items"].values()}
    assert site.repository not in site.items(), "the old Controller's is deleted"
