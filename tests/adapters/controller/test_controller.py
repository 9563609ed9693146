"""The Controller adapter against the stand-in, over real HTTP, in all dialects: what it does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.controller import ControllerStandIn
from lab.controller.answers import Call
from pulumi_iofog.adapters.controller.controller import Controller
from pulumi_iofog.adapters.http import Backoff
from pulumi_iofog.errors import ControllerError, ControllerLogin, ItemInUse, ItemNotFound, NameTaken
from pulumi_iofog.inputs.catalog import CatalogRules, FoundItem, KnownAgent
from pulumi_iofog.inputs.spec import Arch, CatalogItem, ControllerSettings

ITEM = CatalogItem("gateway", "Offline image bundle gateway", (("arm", "gateway:1.4"), ("x86", "gateway:1.4")))
CATALOG = "/api/v3/catalog/microservices"
LOGIN, REFRESH = "POST /api/v3/user/login", "POST /api/v3/user/refresh"


@pytest.fixture(params=["3.0.4", "3.7.3", "3.9.0"])
def stand_in(request: pytest.FixtureRequest) -> Iterator[ControllerStandIn]:
    with ControllerStandIn(request.param) as stand_in:
        yield stand_in


@pytest.fixture
def controller(stand_in: ControllerStandIn) -> Iterator[Controller]:
    yield from _controller(stand_in)


def _controller(stand_in: ControllerStandIn, **settings: Any) -> Iterator[Controller]:
    given = {"email": stand_in.email, "password": stand_in.password, **settings}
    controller = Controller(ControllerSettings(stand_in.endpoint, **given), backoff=Backoff(first=0))
    yield controller
    controller.close()


def _ask(stand_in: ControllerStandIn, method: str, path: str, body: Any) -> Any:
    """Something done by somebody else, past HTTP."""
    stand_in.api.state["tokens"].append("other")
    answer = stand_in.api.handle(Call(method, path, {}, "other" if stand_in.api.old else "Bearer other", body))
    assert answer.status < 300, answer
    return answer.body


def _add_agent(stand_in: ControllerStandIn, name: str, number: int, host: str, **fields: str) -> str:
    kind = "arch" if stand_in.api.arch_ids else "fogType"
    return str(_ask(stand_in, "POST", "/iofog", {"name": name, kind: number, "host": host, **fields})["uuid"])


def _use(stand_in: ControllerStandIn, item_id: int, status: str = "QUEUED") -> None:
    """A microservice app-1/ms-1 on edge-1 that uses the item."""
    uuid = _add_agent(stand_in, "edge-1", 1, "10.0.0.11")
    _ask(stand_in, "POST", "/application", {"name": "app-1"})
    body = {"name": "ms-1", "application": "app-1", "catalogItemId": item_id, "iofogUuid": uuid}
    new = _ask(stand_in, "POST", "/microservices", body)
    stand_in.api.state["microservices"][new["uuid"]]["status"]["status"] = status


# ---- catalog items ----------------------------------------------------------------------------------


def test_an_item_is_made_found_read_changed_and_deleted(controller: Controller) -> None:
    assert controller.find_item("gateway") is None
    id_ = controller.create_item(ITEM)
    assert controller.find_item("gateway") == FoundItem(id_, ITEM)
    assert controller.get_item(id_) == ITEM
    changed = CatalogItem("gateway-2", "", (("arm", "gateway:1.5"),), registry_id=1)
    controller.update_item(id_, changed)
    assert controller.get_item(id_) == changed
    controller.update_item(id_, ITEM)
    assert controller.get_item(id_) == ITEM
    controller.delete_item(id_)
    assert controller.find_item("gateway") is None
    controller.delete_item(id_)


def test_architectures_without_an_image_are_left_out(controller: Controller) -> None:
    item = replace(ITEM, images=(("x86", "gateway:1.4"),))
    assert controller.get_item(controller.create_item(item)) == item


@pytest.mark.parametrize("images", [ITEM.images, ITEM.images[::-1]])
def test_an_item_that_is_right_is_left_alone(
    controller: Controller, stand_in: ControllerStandIn, images: tuple[tuple[str, str], ...]
) -> None:
    id_ = controller.create_item(ITEM)
    controller.update_item(id_, replace(ITEM, images=images))
    assert not [line for line in stand_in.requests if line.startswith("PATCH")]


def test_a_taken_name_is_said_so(controller: Controller) -> None:
    controller.create_item(ITEM)
    with pytest.raises(NameTaken, match=r"registering .* gateway: Duplicate name 'gateway'\. Set adopt=True"):
        controller.create_item(replace(ITEM, description="another"))
    with pytest.raises(NameTaken):
        controller.create_item(replace(ITEM, name="Router"))
    other = controller.create_item(replace(ITEM, name="other"))
    with pytest.raises(NameTaken):
        controller.update_item(other, ITEM)


def test_an_item_that_is_not_there_is_said_so(controller: Controller) -> None:
    with pytest.raises(ItemNotFound, match="reading catalog item 9999: Invalid catalog item id '9999'"):
        controller.get_item(9999)
    with pytest.raises(ItemNotFound):
        controller.update_item(9999, ITEM)


def test_an_unknown_registry_does_not_look_like_a_lost_item(controller: Controller) -> None:
    id_ = controller.create_item(ITEM)
    for attempt in (
        lambda item: controller.create_item(replace(item, name="other")),
        lambda item: controller.update_item(id_, item),
    ):
        with pytest.raises(ControllerError, match="Invalid registry id '99'") as caught:
            attempt(replace(ITEM, registry_id=99))
        assert type(caught.value) is ControllerError


def test_a_used_item_is_not_deleted_and_its_users_are_named(
    controller: Controller, stand_in: ControllerStandIn
) -> None:
    id_ = controller.create_item(ITEM)
    _use(stand_in, id_)
    with pytest.raises(ItemInUse, match=r"microservices still use it: app-1/ms-1 on edge-1\. First delete them"):
        controller.delete_item(id_)
    _ask(stand_in, "DELETE", "/application/app-1", {})
    controller.delete_item(id_)


def test_a_used_item_is_not_deleted_also_where_its_users_are_not_told(
    controller: Controller, stand_in: ControllerStandIn
) -> None:
    id_ = controller.create_item(ITEM)
    _use(stand_in, id_)
    controller.find_item("gateway")
    stand_in.answer_next({"name": "ValidationError", "message": "item used for running microservices"}, status=500)
    stand_in.fail_next(500)
    with pytest.raises(ItemInUse, match=r"microservices still use it\. .* until their agents have removed them"):
        controller.delete_item(id_)


def test_images_of_running_microservices(controller: Controller, stand_in: ControllerStandIn) -> None:
    """3.0.4 refuses to change them, 3.7.3 restarts the microservices."""
    id_ = controller.create_item(ITEM)
    _use(stand_in, id_, status="RUNNING")
    newer = replace(ITEM, images=(("x86", "gateway:1.5"),))
    if stand_in.api.old:
        with pytest.raises(ItemInUse, match=r"updating .*: app-1/ms-1 on edge-1"):
            controller.update_item(id_, newer)
    else:
        controller.update_item(id_, newer)
        assert controller.get_item(id_) == newer


# ---- agents -----------------------------------------------------------------------------------------


def test_agents_are_listed(controller: Controller, stand_in: ControllerStandIn) -> None:
    assert controller.agents() == ()
    for number, engine in ((1, "docker"), (2, "podman")):
        _add_agent(stand_in, f"edge-{number}", number, f"10.0.0.1{number}", containerEngine=engine)
    first, second = controller.agents()
    told = not stand_in.api.old
    # Before 3.8 an ARM may have 32 bits.
    arm: tuple[Arch, ...] = ("arm",) if stand_in.api.arch_ids else ("arm", "armv7")
    socket = next(text for key, text in stand_in.api.state["agents"][first.uuid].items() if key.endswith("Url"))
    assert socket.startswith("unix:///")
    # Every hour on 3.0, which does not say that an agent has not joined yet; never on newer ones.
    pruning = (1, True) if stand_in.api.old else (0, False)
    assert first == KnownAgent(
        "edge-1", first.uuid, "10.0.0.11", ("x86",), "docker" if told else None, socket, *pruning
    )
    assert second == KnownAgent("edge-2", second.uuid, "10.0.0.12", arm, "podman" if told else None, socket, *pruning)
    assert first.uuid in stand_in.api.state["agents"]


@pytest.mark.parametrize("host", ["", "0.0.0.0", None])
def test_what_the_controller_does_not_know_of_an_agent_is_none(
    controller: Controller, stand_in: ControllerStandIn, host: str | None
) -> None:
    controller.agents()
    body = {"name": "e", "uuid": "u", "host": host, "fogTypeId": 0, "archId": 0, "containerEngine": "", "dockerUrl": 7}
    stand_in.answer_next({"fogs": [body]})
    assert controller.agents() == (KnownAgent("e", "u", None, (), None),)


# ---- architectures ----------------------------------------------------------------------------------

FOUR = replace(ITEM, images=tuple((arch, f"gateway:{arch}") for arch in sorted(("x86", "arm", "riscv64", "armv7"))))


def test_four_architectures_since_3_8() -> None:
    with ControllerStandIn("3.9.0") as stand_in:
        for controller in _controller(stand_in):
            assert controller.catalog_rules() == CatalogRules("3.9.0", ("x86", "arm", "riscv64", "armv7"), frozen=False)
            id_ = controller.create_item(FOUR)
            assert controller.get_item(id_) == FOUR
            kept = stand_in.api.state["items"][str(id_)]["images"]
            assert [image["archId"] for image in kept] == [1, 2, 3, 4]
            fewer = replace(FOUR, images=(("riscv64", "gateway:2"),))
            controller.update_item(id_, fewer)
            assert controller.get_item(id_) == fewer
            controller.update_item(id_, FOUR)
            assert controller.get_item(id_) == FOUR
            for number, name in enumerate(("x86", "arm", "riscv64", "armv7"), start=1):
                _add_agent(stand_in, name, number, "10.0.0.11")
            assert all(agent.arches == (agent.name,) for agent in controller.agents())


@pytest.mark.parametrize("version", ["3.0.4", "3.7.3"])
def test_older_catalogs_refuse_the_newer_architectures_before_anything_is_sent(version: str) -> None:
    with ControllerStandIn(version) as stand_in:
        for controller in _controller(stand_in):
            assert controller.catalog_rules().arches == ("x86", "arm")
            id_ = controller.create_item(ITEM)
            refusal = rf"Controller {version} has no armv7, riscv64 \(added in 3\.8\)"
            with pytest.raises(ControllerError, match=refusal):
                controller.create_item(FOUR)
            with pytest.raises(ControllerError, match=refusal):
                controller.update_item(id_, FOUR)
            assert controller.get_item(id_) == ITEM


# ---- signing in -------------------------------------------------------------------------------------


def test_nothing_is_asked_before_it_is_needed(controller: Controller, stand_in: ControllerStandIn) -> None:
    assert stand_in.requests == []
    controller.agents()
    controller.agents()
    asked = [LOGIN, "GET /api/v3/status", "GET /api/v3/iofog-list", "GET /api/v3/iofog-list"]
    assert stand_in.requests == asked


def test_a_token_is_used_as_it_is(stand_in: ControllerStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    stand_in.api.state["tokens"].append("given")
    for controller in _controller(stand_in, token="given\n", email=None, password=None):
        assert controller.agents() == ()
    assert LOGIN not in stand_in.requests


def test_a_token_that_ran_out_is_renewed_once(controller: Controller, stand_in: ControllerStandIn) -> None:
    controller.agents()
    stand_in.requests.clear()
    stand_in.api.expire_tokens()
    assert controller.agents() == ()
    renewal = LOGIN if stand_in.api.old else REFRESH
    assert stand_in.requests == ["GET /api/v3/iofog-list", renewal, "GET /api/v3/iofog-list"]


def test_where_refreshing_is_refused_the_password_serves() -> None:
    with ControllerStandIn("3.9.0") as stand_in:
        for controller in _controller(stand_in):
            controller.agents()
            stand_in.api.expire_tokens()
            stand_in.api.state["refresh"].clear()
            assert controller.agents() == ()
    assert stand_in.requests[-3:] == [REFRESH, LOGIN, "GET /api/v3/iofog-list"]


def test_a_refused_token_gives_way_to_the_password(stand_in: ControllerStandIn) -> None:
    for controller in _controller(stand_in, token="stale"):
        assert controller.agents() == ()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (
            {"password": "wrong-pass"},
            r"user user@domain\.com was refused: Invalid credentials\. Check email= and password=",
        ),
        ({"email": None}, r"there is no token, and no email with a password\. Set token="),
        ({"email": None, "token": "stale-token"}, "the token was refused, and there is no email with a password"),
        ({"token": "two words"}, "malformed token"),
        ({"token": "zero\u200bwidth"}, "malformed token"),
    ],
)
def test_credentials_that_do_not_serve(stand_in: ControllerStandIn, settings: dict[str, str], why: str) -> None:
    for controller in _controller(stand_in, **settings):
        with pytest.raises(ControllerLogin, match=why) as caught:
            controller.agents()
        for secret in (stand_in.password, "wrong-pass", "stale-token", "two words"):
            assert secret not in str(caught.value)


def test_where_users_may_have_a_second_factor_the_error_says_what_helps(stand_in: ControllerStandIn) -> None:
    for controller in _controller(stand_in, password="wrong-pass"):
        with pytest.raises(ControllerLogin) as caught:
            controller.agents()
        assert ("A user with a second factor needs token=" in str(caught.value)) is stand_in.api.arch_ids


def test_four_threads_sign_in_once(controller: Controller, stand_in: ControllerStandIn) -> None:
    items = [replace(ITEM, name=f"g-{number}") for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(controller.create_item, items))
    stand_in.api.expire_tokens()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(controller.get_item, ids)) == items
    assert [stand_in.requests.count(line) for line in (LOGIN, REFRESH)] == ([2, 0] if stand_in.api.old else [1, 1])
