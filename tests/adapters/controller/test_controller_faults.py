"""The Controller adapter where things go wrong: what is tried again, and what the error says."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.controller import ControllerStandIn
from lab.controller.answers import Call
from pulumi_iofog.adapters.controller.controller import Controller
from pulumi_iofog.adapters.controller.http import normal
from pulumi_iofog.adapters.http import Backoff
from pulumi_iofog.errors import ControllerError, ControllerLogin, NameTaken
from pulumi_iofog.inputs.spec import CatalogItem, ControllerSettings

ITEM = CatalogItem("gateway", "Offline image bundle gateway", (("arm", "gateway:1.4"), ("x86", "gateway:1.4")))
POST = "POST /api/v3/catalog/microservices"


@pytest.fixture(params=["3.0.4", "3.7.3", "3.9.0"])
def stand_in(request: pytest.FixtureRequest) -> Iterator[ControllerStandIn]:
    with ControllerStandIn(request.param) as stand_in:
        yield stand_in


@pytest.fixture
def controller(stand_in: ControllerStandIn) -> Iterator[Controller]:
    """Signed in already, so that the next fault hits the next call."""
    controller = _controller(stand_in)
    controller.agents()
    yield controller
    controller.close()


def _controller(stand_in: ControllerStandIn, *, timeout: tuple[float, float] = (5, 30), **settings: Any) -> Controller:
    given = {"email": stand_in.email, "password": stand_in.password, **settings}
    return Controller(ControllerSettings(stand_in.endpoint, **given), timeout=timeout, backoff=Backoff(first=0))


def _names(stand_in: ControllerStandIn) -> list[str]:
    return [item["name"] for item in stand_in.api.state["items"].values()]


# ---- trying again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [502, 503, 504])
def test_what_passes_by_itself_is_waited_for(controller: Controller, stand_in: ControllerStandIn, status: int) -> None:
    stand_in.fail_next(status, times=3)
    assert controller.agents() == ()


def test_what_does_not_pass_is_given_up(controller: Controller, stand_in: ControllerStandIn) -> None:
    stand_in.fail_next(503, times=4)
    with pytest.raises(ControllerError, match="listing agents: HTTP status 503: Error on purpose"):
        controller.agents()
    stand_in.fail_next(500)
    with pytest.raises(ControllerError, match="HTTP status 500"):
        controller.agents()


@pytest.mark.parametrize("acting", [True, False])
def test_a_lost_answer_is_asked_for_again(controller: Controller, stand_in: ControllerStandIn, acting: bool) -> None:
    id_ = controller.create_item(ITEM)
    for call in (
        lambda: controller.get_item(id_),
        lambda: controller.update_item(id_, replace(ITEM, description="new")),
        lambda: controller.delete_item(id_),
    ):
        stand_in.drop_next(times=3, acting=acting)
        call()
    assert controller.find_item(ITEM.name) is None


@pytest.mark.parametrize("acting", [True, False])
def test_an_item_is_made_once_whatever_is_lost(
    controller: Controller, stand_in: ControllerStandIn, acting: bool
) -> None:
    stand_in.answer_next({"catalogItems": []})  # the look before
    stand_in.drop_next(acting=acting)  # the creation
    stand_in.fail_next(503)  # the look after
    id_ = controller.create_item(ITEM)
    assert controller.get_item(id_) == ITEM
    assert _names(stand_in).count("gateway") == 1
    assert stand_in.requests.count(POST) == (1 if acting else 2)


def test_an_item_made_after_we_looked_is_ours_too(controller: Controller, stand_in: ControllerStandIn) -> None:
    stand_in.answer_next({"catalogItems": []})
    stand_in.drop_next()
    stand_in.answer_next({"catalogItems": []})  # a gateway gave up, but the Controller was still at it
    id_ = controller.create_item(ITEM)
    assert stand_in.requests.count(POST) == 2
    assert controller.get_item(id_) == ITEM


@pytest.mark.parametrize(("description", "earlier"), [("somebody else's", False), (ITEM.description, True)])
def test_somebody_elses_item_is_not_taken_for_ours(
    controller: Controller, stand_in: ControllerStandIn, description: str, earlier: bool
) -> None:
    """Not one that differs, nor one that was there before."""
    kind = "archId" if stand_in.api.arch_ids else "fogTypeId"
    images = [{"containerImage": "gateway:1.4", kind: number} for number in (1, 2)]
    body = {"name": "gateway", "description": description, "registryId": 2, "images": images}
    stand_in.api.state["tokens"].append("other")
    authorization = "other" if stand_in.api.old else "Bearer other"
    stand_in.api.handle(Call("POST", "/catalog/microservices", {}, authorization, body))
    if not earlier:
        stand_in.answer_next({"catalogItems": []})
        stand_in.drop_next(acting=False)
    with pytest.raises(NameTaken):
        controller.create_item(ITEM)
    assert _names(stand_in).count("gateway") == 1


def test_an_item_with_the_same_publisher_is_ours_whenever_it_was_made(
    controller: Controller, stand_in: ControllerStandIn
) -> None:
    """A request of a run that was killed may be carried out after we have looked."""
    id_ = controller.create_item(ITEM, "mark")
    found = controller.find_item(ITEM.name)
    assert found
    assert (found.item_id, found.publisher) == (id_, "mark")
    newer = replace(ITEM, images=(("x86", "gateway:1.5"),))
    stand_in.answer_next({"catalogItems": []})
    assert controller.create_item(newer, "mark") == id_
    assert controller.get_item(id_) == newer
    for other in ("another mark", None):
        with pytest.raises(NameTaken):
            controller.create_item(ITEM, other)


def test_whoever_takes_an_item_over_marks_it(controller: Controller) -> None:
    id_ = controller.create_item(ITEM)
    controller.update_item(id_, ITEM, "mark")
    controller.update_item(id_, replace(ITEM, description="new"))
    found = controller.find_item(ITEM.name)
    assert found
    assert found.publisher == "mark"


def test_a_creation_that_is_never_answered_fails(controller: Controller, stand_in: ControllerStandIn) -> None:
    for _ in range(4):
        stand_in.answer_next({"catalogItems": []})
        stand_in.drop_next(acting=False)
    with pytest.raises(ControllerError, match="registering the catalog item gateway: "):
        controller.create_item(ITEM)
    assert stand_in.requests.count(POST) == 4
    assert "gateway" not in _names(stand_in)


# ---- out of reach -----------------------------------------------------------------------------------


def test_no_answer_in_time(stand_in: ControllerStandIn) -> None:
    controller = _controller(stand_in, timeout=(5, 0.05))
    stand_in.stall_next(times=4)
    with pytest.raises(ControllerError, match=r"signing in: no answer in time\. Is the Controller running"):
        controller.agents()
    controller.close()


def test_nobody_listens() -> None:
    with socket.socket() as taken:  # by nobody who listens
        taken.bind(("127.0.0.1", 0))
        _refused(taken.getsockname()[1])


def _refused(port: int) -> None:
    controller = Controller(
        ControllerSettings(f"u:hidden@127.0.0.1:{port}", "a@b.example", "hidden"), backoff=Backoff(first=0)
    )
    wanted = (
        f"http://127.0.0.1:{port}: signing in: Connection refused. Is the Controller running, and reachable from here?"
    )
    with pytest.raises(ControllerError) as caught:
        controller.agents()
    assert str(caught.value) == wanted
    controller.close()


def test_a_name_that_nobody_knows() -> None:
    controller = Controller(ControllerSettings("https://no-such-host.invalid", token="t"), backoff=Backoff(first=0))
    with pytest.raises(
        ControllerError, match=r"^https://no-such-host\.invalid: asking for its version: [A-Z]"
    ) as caught:
        controller.agents()
    assert "HTTPSConnection" not in str(caught.value)
    controller.close()


@pytest.mark.parametrize(
    ("body", "status", "content_type"),
    [
        ("<html>Welcome to nginx!</html>", 200, "text/html"),
        ("<html>404 Not Found</html>", 404, "text/html"),
        ([], 200, "application/json"),
        ({"something": "else"}, 200, "application/json"),
        ({"fogs": None}, 200, "application/json"),
        ({"fogs": ["edge-1"]}, 200, "application/json"),
    ],
)
def test_something_else_than_a_controller(
    controller: Controller, stand_in: ControllerStandIn, body: Any, status: int, content_type: str
) -> None:
    stand_in.answer_next(body, status=status, content_type=content_type)
    with pytest.raises(ControllerError, match=r"this is not an ioFog Controller\. Check the endpoint"):
        controller.agents()


@pytest.mark.parametrize("body", [{"accessToken": None}, {"versions": {}}, {"versions": {"controller": "dev"}}, []])
def test_something_else_at_sign_in(stand_in: ControllerStandIn, body: Any) -> None:
    controller = _controller(stand_in, token="t" if "versions" in body else None)
    stand_in.answer_next(body)
    with pytest.raises(ControllerError, match="this is not an ioFog Controller"):
        controller.agents()
    controller.close()


def test_a_redirect_is_not_followed(stand_in: ControllerStandIn) -> None:
    controller = _controller(stand_in)
    stand_in.answer_next("https://u:p@controller.example/api/v3/user/login", status=301, content_type="text/plain")
    wanted = r"it redirects to https://controller\.example\. Use that as the endpoint\."
    with pytest.raises(ControllerError, match=wanted):
        controller.agents()
    assert len(stand_in.requests) == 1
    controller.close()


def test_what_the_user_may_not_do(controller: Controller, stand_in: ControllerStandIn) -> None:
    stand_in.answer_next({"error": "Forbidden", "message": "Access denied"}, status=403)
    with pytest.raises(ControllerError, match=r"HTTP status 403: Forbidden Access denied\. Give .* a role") as caught:
        controller.agents()
    assert not isinstance(caught.value, ControllerLogin)


# ---- secrets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500, 503])
def test_no_error_repeats_a_secret(stand_in: ControllerStandIn, status: int, log_file: Path) -> None:
    """Also where the Controller's own words do, at sign-in and later; and no line of the log."""
    controller = _controller(stand_in)
    controller.agents()
    state = stand_in.api.state
    for secret in (stand_in.password, *state["tokens"], *state["refresh"]):
        said = {"name": "ValidationError", "message": f"instance {secret} is bad"}
        for call in (controller.agents, lambda: controller.create_item(ITEM)):
            for _ in range(8):
                stand_in.answer_next(said, status=status)
            with pytest.raises(ControllerError) as caught:
                call()
            assert secret not in f"{caught.value!s}{caught.value!r}{caught.value.args}{log_file.read_text()}"
            stand_in.clear_faults()
    controller.close()
    assert stand_in.password not in repr(controller)
    assert f" request status={status} " in log_file.read_text()


# ---- endpoints --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("https://controller.example", "https://controller.example"),
        ("https://controller.example/api/v3/", "https://controller.example"),
        ("https://controller.example/iofog/api/v3", "https://controller.example/iofog"),
        ("http://10.0.0.1:51121", "http://10.0.0.1:51121"),
        ("http://10.0.0.1", "http://10.0.0.1"),
        ("10.0.0.1", "http://10.0.0.1:51121"),
        (" controller:80/ ", "http://controller:80"),
        ("[2001:db8::1]", "http://[2001:db8::1]:51121"),
        ("https://user:hidden@controller.example?x=1#y", "https://controller.example"),
    ],
)
def test_endpoints_are_read_as_iofogctl_reads_them(given: str, wanted: str) -> None:
    assert normal(given) == wanted


@pytest.mark.parametrize("given", ["", "http://", "ftp://controller.example", "host:hidden", "http://u:hidden@", "//x"])
def test_endpoints_that_are_none(given: str) -> None:
    with pytest.raises(ControllerError, match="the Controller's endpoint: not an http or https URL") as caught:
        Controller(ControllerSettings(given))
    assert "hidden" not in str(caught.value)
