"""Who is affected, and what is sent: the decisions that preview and run share."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import pytest

from pulumi_iofog.check.diff import (
    MISSING,
    Changes,
    Desired,
    Estimate,
    Placement,
    compare,
    estimate,
    reasons,
    summary,
)
from pulumi_iofog.inputs.spec import NO_CONTROLLER, Agent, CatalogItem
from tests.images import make_image

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
ITEM = CatalogItem("g", "Offline image bundle g", (("x86", "r/app:1"),))


def placed(name: str, image_id: str | None = ONE, full_name: str = "r/app:1", **agent: object) -> Placement:
    return Placement(Agent(name, host=f"{name}.example", **agent), image_id, full_name)  # type: ignore[arg-type]


def desired(
    *placements: Placement,
    item: CatalogItem | None = ITEM,
    image_ids: Collection[str] = (),
    pending: tuple[str, ...] = (),
    due: tuple[str, ...] = (),
) -> Desired:
    named = {p.agent.name: p for p in placements}
    return Desired(named, item, "https://c.example", frozenset(image_ids), frozenset(pending), frozenset(due))


OLD = desired(placed("a"), placed("b"))


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        pytest.param(OLD, Changes((), (), False, False), id="nothing"),
        pytest.param(
            desired(placed("a", TWO), placed("b")), Changes(("a",), (), False, False, ("a",)), id="another image"
        ),
        pytest.param(
            desired(placed("a"), placed("b"), placed("c")),
            Changes(("c",), (), False, False),
            id="agent added",
        ),
        pytest.param(desired(placed("a")), Changes((), ("b",), False, False), id="agent removed"),
        pytest.param(
            desired(placed("a", user="u", password="p", private_key="k"), placed("b")),
            Changes((), (), False, False),
            id="credentials",
        ),
        pytest.param(
            desired(placed("a", port=2222), placed("b")), Changes(("a",), (), False, False), id="another port"
        ),
        pytest.param(desired(placed("a", port=22), placed("b")), Changes((), (), False, False), id="port written out"),
        pytest.param(
            desired(placed("a", full_name="r/app:2"), placed("b")),
            Changes(("a",), (), False, False),
            id="the same image by another name",
        ),
        pytest.param(desired(placed("a", None), placed("b")), Changes(("a",), (), False, False), id="not known yet"),
        pytest.param(
            desired(placed("a"), placed("b"), item=dataclasses.replace(ITEM, description="d")),
            Changes((), (), True, False),
            id="description",
        ),
        pytest.param(
            dataclasses.replace(OLD, endpoint="https://other.example"),
            Changes((), (), False, True),
            id="another Controller",
        ),
        pytest.param(dataclasses.replace(OLD, endpoint=None), Changes((), (), False, False), id="Controller unknown"),
    ],
)
def test_compare(new: Desired, expected: Changes) -> None:
    assert compare(OLD, new) == expected


def test_the_first_time_all_agents_are_affected() -> None:
    assert compare(None, OLD) == Changes(("a", "b"), (), True, False, ("a", "b"))


def test_pending_and_missing_agents_are_visited_again() -> None:
    assert compare(dataclasses.replace(OLD, pending=frozenset({"b"})), OLD).agents == ("b",)
    assert compare(desired(placed("a", MISSING), placed("b")), OLD).agents == ("a",)


@pytest.mark.parametrize(
    ("old", "new", "content"),
    [
        pytest.param(desired(placed("a", MISSING), image_ids={ONE}), ONE, (), id="lost, and given back"),
        pytest.param(desired(placed("a", MISSING), image_ids={ONE}), TWO, ("a",), id="lost, and given another"),
        pytest.param(desired(placed("a"), pending=("a",)), ONE, (), id="it never had one"),
        pytest.param(desired(placed("a"), pending=("a",), due=("a",)), ONE, ("a",), id="it has an older one"),
        pytest.param(
            desired(placed("a", MISSING), image_ids={ONE}, pending=("a",), due=("a",)),
            ONE,
            ("a",),
            id="it has an older one, also after a refresh",
        ),
        pytest.param(desired(placed("b")), ONE, (), id="a new agent"),
        pytest.param(desired(placed("a")), None, (), id="not known yet"),
        pytest.param(desired(placed("a", port=2222)), ONE, (), id="the same elsewhere"),
    ],
)
def test_where_microservices_may_run_older_content(old: Desired, new: str | None, content: tuple[str, ...]) -> None:
    changes = compare(old, desired(placed("a", new)))
    assert (changes.agents, changes.content) == (("a",), content)


def test_a_rebuild_that_is_owed_wants_no_visit_and_is_no_difference_by_itself() -> None:
    """The agent holds the content, but ``rebuild`` was False when it came."""
    changes = compare(dataclasses.replace(OLD, rebuild_due=frozenset({"a", "gone"})), OLD)
    assert changes == Changes((), (), False, False, ("a",))
    assert not changes


def test_without_a_controller_there_is_no_item() -> None:
    without = dataclasses.replace(OLD, item=None, endpoint=NO_CONTROLLER)
    assert compare(None, without) == Changes(("a", "b"), (), False, False, ("a", "b"))
    assert compare(without, without) == Changes((), (), False, False)
    assert compare(without, OLD).endpoint
    assert compare(OLD, without).endpoint


V1 = make_image({"base": b"b" * 5000}, {"app": b"1"})
V2 = make_image({"base": b"b" * 5000}, {"app": b"2"})
V3 = make_image({"base": b"c" * 5000}, {"app": b"1"})


def test_the_estimate_leaves_out_what_the_old_image_has() -> None:
    old, new = V1.image.manifest, V2.image.manifest
    assert estimate("a", new, None) == Estimate("a", new.size, new.size)
    assert estimate("a", new, old) == Estimate("a", new.config.size + new.layers[1].size, new.size)
    assert estimate("a", None, old) == Estimate("a")


def test_small_layers_above_another_one_may_be_wanted_again() -> None:
    old, new = V1.image.manifest, V3.image.manifest
    assert estimate("a", new, old).send == new.size


def test_the_estimate_for_large_layers_is_a_bound() -> None:
    old, new = V1.image.manifest, V2.image.manifest
    large = dataclasses.replace(new.layers[1], size=1_000_000)
    assert estimate("a", dataclasses.replace(new, layers=(new.layers[0], large)), old).bound


@pytest.mark.parametrize(
    ("changes", "estimates", "line"),
    [
        (
            Changes(("edge-1", "edge-7"), (), False, False),
            [Estimate(name, 14_200_000, 238_000_000, bound=True) for name in ("edge-1", "edge-7")],
            "2 of 12 agents to update: edge-1, edge-7 (14.2 MB of 238 MB each, at most)",
        ),
        (
            Changes(("edge-1",), (), True, False),
            [Estimate("edge-1", 238_000_000, 238_000_000)],
            "1 of 12 agents to update: edge-1 (238 MB)",
        ),
        (
            Changes(("edge-1", "vm"), (), True, False),
            [Estimate("edge-1", 1000, 2000), Estimate("vm", None, None)],
            "2 of 12 agents to update: edge-1 (1.00 kB of 2.00 kB), vm (not known yet)",
        ),
        (Changes((), (), True, False), [], "no agent to update, only the catalog item"),
        (Changes((), ("edge-9",), False, False), [], "no longer managed: edge-9"),
        (Changes((), (), False, False), [], "nothing to send: only settings change"),
    ],
)
def test_summary(changes: Changes, estimates: list[Estimate], line: str) -> None:
    assert summary(changes, 12, estimates) == line


def test_another_socket_and_an_item_that_comes_or_goes_are_told() -> None:
    def with_agents(**fields: str) -> Desired:
        placements = {
            name: dataclasses.replace(each, agent=dataclasses.replace(each.agent, **fields))  # type: ignore[arg-type]
            for name, each in OLD.placements.items()
        }
        return dataclasses.replace(OLD, placements=placements)

    assert reasons(OLD, OLD) == []
    one, two = with_agents(engine="docker", engine_socket="/run/a.sock"), with_agents(engine="docker")
    assert reasons(one, two) == ["a, b: engine socket changed: /run/a.sock → not set"]
    assert reasons(one, with_agents(engine="podman")) == ["a, b: engine changed: docker → podman"]
    assert reasons(OLD, with_agents(host="elsewhere", engine="podman")) == []
    without = dataclasses.replace(OLD, item=None, endpoint=NO_CONTROLLER)
    assert OLD.item
    assert reasons(without, OLD) == [f"the catalog item {OLD.item.name} will be created at {OLD.endpoint}"]
    assert reasons(OLD, without) == [f"the catalog item {OLD.item.name} will be deleted at {OLD.endpoint}"]
    assert summary(compare(OLD, without), 2, [], "more") == "nothing to send; more"


def test_the_summary_says_what_more_there_is_to_say() -> None:
    assert summary(Changes((), (), True, False), 12, [], "more") == "no agent to update, only the catalog item; more"
