"""What becomes of the catalog item and its microservices, with a Controller of canned answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from pulumi_iofog.check.catalog import ItemPlan, Wanted, plan_change, plan_new
from pulumi_iofog.check.owner import mark_of, marked_for
from pulumi_iofog.errors import ControllerError, ItemInUse, NameTaken
from pulumi_iofog.inputs.catalog import CatalogRules, FoundItem, Microservice
from pulumi_iofog.inputs.spec import CatalogItem

ITEM = CatalogItem("gateway", "Offline image bundle gateway", (("arm", "gateway:1"), ("x86", "gateway:1")))
NEWER = dataclasses.replace(ITEM, images=(("x86", "gateway:2"),))
OWN = FoundItem(17, ITEM)
REBUILDS = CatalogRules("3.7.3", ("x86", "arm"), frozen=False)
FREEZES = CatalogRules("3.0.4", ("x86", "arm"), frozen=True, reserved=frozenset({"Router"}))
READER = Microservice("plant/reader", "edge-1", running=True)
WRITER = Microservice("plant/writer", None, running=False)
WANTED = Wanted("gateway", ITEM, content=("edge-1",), rebuild=True, adopt=False)


@dataclass
class Canned:
    """A Controller, and what it was asked."""

    items: Sequence[FoundItem] = (OWN,)
    users: Sequence[Microservice] = (READER, WRITER)
    rules: CatalogRules = REBUILDS
    endpoint: str = "https://c"
    asked: list[str] = field(default_factory=list)

    def catalog_rules(self) -> CatalogRules:
        return self.rules

    def find_item(self, name: str) -> FoundItem | None:
        return next((found for found in self.items if found.item.name == name), None)

    def microservices(self, item_id: int) -> Sequence[Microservice]:
        self.asked.append(f"users of {item_id}")
        return self.users


def change(catalog: Canned, wanted: Wanted = WANTED) -> ItemPlan:
    return plan_change(catalog, wanted, OWN, "gateway")


def refusal(catalog: Canned, wanted: Wanted, *, new: bool = True) -> ControllerError:
    with pytest.raises(ControllerError) as caught:
        plan_new(catalog, wanted) if new else change(catalog, wanted)
    return caught.value


# ---- other content ------------------------------------------------------------------------------------


def test_other_content_under_the_same_name_is_rebuilt() -> None:
    plan = change(Canned())
    assert plan == ItemPlan(rewrite_for=("edge-1",), rebuilt=(READER, WRITER))
    assert plan.lines() == ["the Controller will rebuild 2 microservices (plant/reader on edge-1, plant/writer)"]


def test_the_images_are_written_also_where_nobody_uses_them_yet() -> None:
    """A microservice may be made between this question and the end of the update."""
    plan = change(Canned(users=()))
    assert plan == ItemPlan(rewrite_for=("edge-1",))
    assert plan.lines() == []


def test_rebuild_false_leaves_running_ones_alone_and_says_so() -> None:
    plan = change(Canned(), dataclasses.replace(WANTED, rebuild=False))
    assert plan == ItemPlan(left=(READER,), owed=("edge-1",))
    assert plan.lines() == ["rebuild=False leaves 1 microservice (plant/reader on edge-1) running with older content"]
    stopped = change(Canned(users=[WRITER]), dataclasses.replace(WANTED, rebuild=False))
    assert (stopped.lines(), stopped.owed) == ([], ("edge-1",))
    assert change(Canned(users=()), dataclasses.replace(WANTED, rebuild=False)) == ItemPlan(), "nobody is owed anything"


def test_who_is_rebuilt_for_nothing_is_said() -> None:
    """The Controller rebuilds all microservices of an item, also those whose agents have the content already."""
    others = [Microservice("plant/other", agent, running=True) for agent in ("edge-2", "edge-3", "edge-2")]
    (line,) = change(Canned(users=[READER, *others, WRITER])).lines()
    assert line.startswith(
        "the Controller will rebuild 5 microservices (plant/reader on edge-1, plant/other on edge-2,"
    )
    assert line.endswith("): all that use the item, also on edge-2, edge-3 without new content")


def test_those_that_run_the_content_already_are_spared() -> None:
    """The agent was pending, and gets later what the others have."""
    others = [Microservice("plant/other", agent, running=True) for agent in ("edge-2", "edge-3")]
    plan = change(Canned(users=[READER, *others, WRITER]), dataclasses.replace(WANTED, settled=("edge-2", "edge-3")))
    assert plan == ItemPlan(rewrite_for=("edge-1",), rebuilt=(READER, WRITER), singly=True)
    assert plan.lines() == ["the Controller will rebuild 2 microservices (plant/reader on edge-1, plant/writer)"]
    everyone = change(Canned(users=[READER, WRITER]), dataclasses.replace(WANTED, settled=("edge-2", "edge-3")))
    assert not everyone.singly, "nobody is to be spared"
    renamed = dataclasses.replace(WANTED, settled=("edge-2",), item=NEWER)
    assert change(Canned(users=[READER, *others]), renamed).rebuilt == (READER, *others)


def test_those_whose_agent_has_not_got_the_content_are_spared_too() -> None:
    plan = change(Canned(), dataclasses.replace(WANTED, content=("edge-1", "edge-2")))
    assert plan.sparing(["edge-2"]) is plan
    assert plan.sparing(["edge-1"]) == dataclasses.replace(plan, rebuilt=(WRITER,), singly=True)


@pytest.mark.parametrize("rebuild", [True, False])
def test_another_name_is_rebuilt_in_any_case(rebuild: bool) -> None:
    plan = change(Canned(users=[READER]), dataclasses.replace(WANTED, item=NEWER, rebuild=rebuild))
    assert plan == ItemPlan(rewrite_for=("edge-1",) if rebuild else (), rebuilt=(READER,), renamed=True)
    assert plan.lines() == [
        "the Controller will rebuild 1 microservice (plant/reader on edge-1) as the item names another image"
    ]


@pytest.mark.parametrize("item", [ITEM, dataclasses.replace(ITEM, images=ITEM.images[::-1]), None])
def test_who_uses_it_is_not_asked_where_nothing_happens_to_them(item: CatalogItem | None) -> None:
    catalog = Canned()
    words = dataclasses.replace(item, description="other words") if item else None
    assert change(catalog, dataclasses.replace(WANTED, item=words, content=())) == ItemPlan()
    assert catalog.asked == []


# ---- a running microservice that forbids it -----------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "hint"),
    [
        (ITEM, "Stopping them is enough. Or set rebuild=False, and they go on with the older content."),
        (NEWER, "Stopping them is enough."),
    ],
)
def test_a_running_microservice_forbids_it_on_older_controllers(item: CatalogItem, hint: str) -> None:
    problem = refusal(Canned(rules=FREEZES), dataclasses.replace(WANTED, item=item), new=False)
    assert isinstance(problem, ItemInUse)
    assert str(problem) == (
        "https://c: writing the images of catalog item 17: Controller 3.0.4 does not do that while microservices of"
        f" it are running: plant/reader on edge-1. {hint}"
    )


def test_names_are_compared_letter_by_letter() -> None:
    """As the Controller does (catalog-service.js, _checkForDuplicateName; its SQLite tells capitals from others)."""
    router = dataclasses.replace(WANTED, name="router", item=dataclasses.replace(ITEM, name="router"))
    assert plan_new(Canned(items=(), rules=FREEZES), router) == ItemPlan()
    listed = FoundItem(1, dataclasses.replace(ITEM, name="Router"), system=True)
    assert plan_new(Canned(items=[listed]), router) == ItemPlan()
    capital = dataclasses.replace(router, name="Router")
    assert isinstance(refusal(Canned(items=(), rules=FREEZES), capital), NameTaken)
    assert isinstance(refusal(Canned(items=[listed]), capital), NameTaken)


def test_stopping_it_is_enough() -> None:
    assert change(Canned(rules=FREEZES, users=[WRITER])) == ItemPlan(rewrite_for=("edge-1",))


def test_rebuild_false_is_enough_too_where_no_name_changes() -> None:
    wanted = dataclasses.replace(WANTED, rebuild=False)
    assert change(Canned(rules=FREEZES), wanted) == ItemPlan(left=(READER,), owed=("edge-1",))
    refusal(Canned(rules=FREEZES), dataclasses.replace(wanted, item=NEWER), new=False)


# ---- the name -----------------------------------------------------------------------------------------


def test_a_new_name_is_free() -> None:
    catalog = Canned(items=())
    assert plan_new(catalog, WANTED) == ItemPlan()
    assert plan_new(catalog, dataclasses.replace(WANTED, adopt=True)) == ItemPlan()
    assert plan_new(catalog, dataclasses.replace(WANTED, name=None)) == ItemPlan()
    assert catalog.asked == []


def test_a_name_that_is_taken() -> None:
    problem = refusal(Canned(), WANTED)
    assert isinstance(problem, NameTaken)
    assert str(problem) == (
        "https://c: registering the catalog item gateway: catalog item 17 has that name already, and this stack did"
        " not make it. Set adopt=True to take it over, or choose another name=."
    )


def test_an_item_is_taken_over_with_its_microservices() -> None:
    plan = plan_new(Canned(), dataclasses.replace(WANTED, adopt=True))
    assert plan == ItemPlan(17, ("edge-1",), (READER, WRITER))
    left = plan_new(Canned(), dataclasses.replace(WANTED, adopt=True, rebuild=False))
    assert left == ItemPlan(17, left=(READER,), owed=("edge-1",))
    assert isinstance(refusal(Canned(rules=FREEZES), dataclasses.replace(WANTED, adopt=True)), ItemInUse)


@pytest.mark.parametrize("adopt", [True, False])
def test_a_system_item_cannot_be_taken_over(adopt: bool) -> None:
    router = FoundItem(1, dataclasses.replace(ITEM, name="Router"), system=True)
    wanted = dataclasses.replace(WANTED, name="Router", adopt=adopt)
    listed, unlisted = (refusal(catalog, wanted) for catalog in (Canned([router]), Canned([], rules=FREEZES)))
    assert listed.why == "catalog item 1 has that name already, and is the Controller's own, not to be taken over"
    assert unlisted.why == "Controller 3.0.4 keeps that name for a system item, which it does not list"
    for problem in (listed, unlisted):
        assert isinstance(problem, NameTaken)
        assert problem.hint == "Choose another name=."


@pytest.mark.parametrize("adopt", [True, False])
def test_an_item_that_is_there_gets_no_name_that_is_taken(adopt: bool) -> None:
    other = FoundItem(18, dataclasses.replace(ITEM, name="other"))
    wanted = dataclasses.replace(WANTED, name="other", item=other.item, adopt=adopt)
    problem = refusal(Canned([OWN, other]), wanted, new=False)
    assert problem.why == "catalog item 18 has that name already, and this resource has one of its own"
    assert problem.hint == "Choose another name=."
    assert change(Canned(), wanted).rewrite_for == ("edge-1",)


def test_an_item_renamed_by_hand_is_still_the_resources_own() -> None:
    by_hand = FoundItem(17, dataclasses.replace(ITEM, name="by hand"))
    assert plan_change(Canned([by_hand]), WANTED, by_hand, "gateway").rewrite_for == ("edge-1",)
    assert plan_change(Canned([]), WANTED, None, "gateway") == ItemPlan()


def test_of_a_replacement_the_old_item_goes_first() -> None:
    assert plan_new(Canned(), WANTED, 17) == ItemPlan()
    with pytest.raises(NameTaken):
        plan_new(Canned(), WANTED, 16)


# ---- its own -------------------------------------------------------------------------------------------

URN = "urn:pulumi:prod::plant::pulumi-python:dynamic/iofog:OfflineImage::gateway"
MARK = mark_of("https://api.example", "team", URN)
MARKED = dataclasses.replace(WANTED, mark=MARK)


def test_a_mark_says_whose_it_is() -> None:
    assert MARK.startswith("pulumi-iofog plant/prod/gateway ")
    assert marked_for(MARK) == "plant/prod/gateway"
    assert [marked_for(other) for other in (None, "", "Eclipse ioFog", "pulumi-iofog x")] == [None] * 4


def test_what_an_interrupted_run_has_made_is_taken_over() -> None:
    made = dataclasses.replace(OWN, publisher=MARK)
    assert plan_new(Canned([made], users=()), MARKED).taken == 17


@pytest.mark.parametrize(
    ("mark", "why", "hint"),
    [
        (None, "this stack did not make it", "Set adopt=True to take it over"),
        ("Eclipse ioFog", "this stack did not make it", "Set adopt=True to take it over"),
        (mark_of("https://api.example", "team", URN.replace("gateway", "door")), "for plant/prod/door", "an alias"),
        (mark_of("https://api.example", "others", URN), "backends", "adopt=True"),
        (mark_of("s3://bucket", "team", URN), "plant/prod/gateway with another parent, or in another", "adopt=True"),
    ],
)
def test_what_another_stack_has_made_is_not(mark: str | None, why: str, hint: str) -> None:
    others = Canned([dataclasses.replace(OWN, publisher=mark)])
    problem = refusal(others, MARKED)
    assert isinstance(problem, NameTaken)
    assert why in problem.why
    assert hint in problem.hint
    assert plan_new(others, dataclasses.replace(MARKED, adopt=True)).taken == 17


def test_a_resource_without_a_mark_takes_nothing() -> None:
    for publisher in (None, MARK):
        refusal(Canned([dataclasses.replace(OWN, publisher=publisher)]), WANTED)
