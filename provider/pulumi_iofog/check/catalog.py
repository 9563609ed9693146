"""What becomes of the catalog item, and of the microservices that use it: the decision that preview and run share.

    plan_new        for a resource that has no item yet: is the name free, or may its item be taken over
    plan_change     for one that has: is a new name free
    └── decide      are the images written, what does the Controller do then, does it allow that

The Controller's word counts for microservices: an agent never looks whether the content of an image has
changed, and starts anew only what is marked for it. Newer Controllers set the mark on all microservices of an
item whose images are written, or on one of them; older ones refuse to write them while one is running. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pulumi_iofog import text
from pulumi_iofog.check.owner import marked_for
from pulumi_iofog.errors import ControllerError, ItemInUse, NameTaken
from pulumi_iofog.inputs.catalog import CatalogRules, FoundItem, Microservice
from pulumi_iofog.inputs.spec import CatalogItem


class Catalog(Protocol):
    """The Controller, as far as this decision asks it."""

    @property
    def endpoint(self) -> str: ...
    def catalog_rules(self) -> CatalogRules: ...
    def find_item(self, name: str) -> FoundItem | None: ...
    def microservices(self, item_id: int) -> Sequence[Microservice]: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a resource wants of its item.

    Attributes:
        name: the item's; None while it is not known.
        item: all of it; None while something in it is not known.
        content: the agents that get other content than the last run has brought them.
        settled: those whose microservices run what they are to run.
        rebuild: have microservices started anew from other content, also where no name has changed.
        adopt: take over an item that is there, whoever has made it.
        mark: of the resource, as its own items have it (owner.py); None where nobody knows it.
    """

    name: str | None
    item: CatalogItem | None
    content: tuple[str, ...]
    rebuild: bool
    adopt: bool
    mark: str | None = None
    settled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemPlan:
    """What becomes of the item besides the obvious.

    Attributes:
        taken: the item to take over; None where one is made, or the resource has its own.
        rewrite_for: the agents with other content; once one of them holds it, the item's images are written, also
            if they stay the same.
        rebuilt: the microservices that the Controller will have rebuilt then.
        singly: they are rebuilt one by one, and the item's others go on.
        renamed: they are rebuilt since the item names another image, which ``rebuild`` cannot prevent.
        left: the running ones that go on with older content, as ``rebuild`` is False.
        owed: the agents with other content that nothing is written for, as ``rebuild`` is False.
    """

    taken: int | None = None
    rewrite_for: tuple[str, ...] = ()
    rebuilt: tuple[Microservice, ...] = ()
    renamed: bool = False
    left: tuple[Microservice, ...] = ()
    owed: tuple[str, ...] = ()
    singly: bool = False

    def sparing(self, agents: Collection[str]) -> ItemPlan:
        """The same without a rebuild on those agents, where nothing new could be started."""
        rest = tuple(each for each in self.rebuilt if each.agent not in agents)
        if self.renamed or len(rest) == len(self.rebuilt):
            return self
        return replace(self, rebuilt=rest, singly=True)

    def lines(self) -> list[str]:
        """What a preview and an update say of it."""
        if self.rebuilt:
            why = " as the item names another image" if self.renamed else self._again()
            return [f"the Controller will rebuild {_those(self.rebuilt)}{why}"]
        if self.left:
            return [f"rebuild=False leaves {_those(self.left)} running with older content"]
        return []

    def _again(self) -> str:
        """That some are rebuilt on agents that are not the resource's, as all of an item are with its images."""
        content = set(self.rewrite_for)
        agents = dict.fromkeys(each.agent for each in self.rebuilt if each.agent and each.agent not in content)
        if self.singly or not agents:
            return ""
        return f": all that use the item, also on {text.listing(list(agents))} without new content"


def plan_new(catalog: Catalog, wanted: Wanted, replaced: int | None = None) -> ItemPlan:
    """For a resource that has no item, as far as anybody has said. One with its mark was made by a run of which nobody
    has learned any more, and is taken over.

    Args:
        replaced: the item of the resource that this one replaces, which is deleted before the new one is made.

    Raises:
        NameTaken: there is an item of that name which may not be taken over.
        ItemInUse: as ``decide``.
        ControllerError: the Controller cannot be asked.
    """
    if wanted.name is None:
        return ItemPlan()
    found, rules = catalog.find_item(wanted.name), catalog.catalog_rules()
    if found and found.item_id == replaced and not wanted.adopt:
        return ItemPlan()
    if problem := _name_taken(catalog.endpoint, wanted, found, rules):
        raise problem
    return decide(catalog, found, wanted, taken=True) if found else ItemPlan()


def plan_change(catalog: Catalog, wanted: Wanted, own: FoundItem | None, own_name: str) -> ItemPlan:
    """For a resource that has an item.

    Args:
        own: its item; None where it cannot be found.
        own_name: the item's, by what the state says.

    Raises: as ``plan_new``.
    """
    if wanted.name not in (None, own_name, own.item.name if own else own_name):
        found = catalog.find_item(wanted.name)
        if problem := _name_taken(catalog.endpoint, wanted, found, catalog.catalog_rules(), has_item=True):
            raise problem
    return decide(catalog, own, wanted) if own else ItemPlan()


def _name_taken(
    endpoint: str,
    wanted: Wanted,
    found: FoundItem | None,
    rules: CatalogRules,
    *,
    has_item: bool = False,
) -> NameTaken | None:
    """Why the name cannot be had, if so."""
    name = wanted.name or ""
    doing, other = f"registering the catalog item {name}", "Choose another name=."
    if found is None:
        if name not in rules.reserved:
            return None
        why = f"Controller {rules.version} keeps that name for a system item, which it does not list"
        return NameTaken(endpoint, doing, why, other)
    if found.system:
        why = f"catalog item {found.item_id} has that name already, and is the Controller's own, not to be taken over"
        return NameTaken(endpoint, doing, why, other)
    if has_item:
        why = f"catalog item {found.item_id} has that name already, and this resource has one of its own"
        return NameTaken(endpoint, doing, why, other)
    if wanted.adopt or (wanted.mark and found.publisher == wanted.mark):
        return None
    if maker := marked_for(found.publisher):
        same = f"If that is this very resource, {ALIAS}, or set adopt=True; else choose another name=."
        why = f"catalog item {found.item_id} has that name already, and was made for {maker}"
        return NameTaken(endpoint, doing, why + _elsewhere(maker, wanted.mark), same)
    why = f"catalog item {found.item_id} has that name already, and this stack did not make it"
    return NameTaken(endpoint, doing, why, "Set adopt=True to take it over, or choose another name=.")


ALIAS = "give it an alias of its old name or parent"


def _elsewhere(maker: str, mark: str | None) -> str:
    """Why a resource of that name is another all the same."""
    return " with another parent, or in another of Pulumi's backends" if maker == marked_for(mark) else ""


def decide(catalog: Catalog, found: FoundItem, wanted: Wanted, *, taken: bool = False) -> ItemPlan:
    """What the change of an item that is there does to its microservices. They are asked for only if it does
    anything to them.

    Args:
        taken: it is taken over; nobody knows what content its agents had.

    Raises:
        ItemInUse: the Controller does not write the images now.
    """
    item_id = found.item_id if taken else None
    content = wanted.content
    renamed = wanted.item is not None and sorted(wanted.item.images) != sorted(found.item.images)
    if not renamed and not content:
        return ItemPlan(item_id)
    users, rules = tuple(catalog.microservices(found.item_id)), catalog.catalog_rules()
    running = tuple(user for user in users if user.running)
    if not renamed and not wanted.rebuild:
        return ItemPlan(item_id, left=running, owed=content if users else ())
    if rules.frozen and running:
        raise _frozen(catalog.endpoint, found, rules, running, renamed=renamed)
    rewrite_for = content if wanted.rebuild else ()
    plan = ItemPlan(item_id, rewrite_for, () if rules.frozen else users, renamed)
    return plan.sparing(wanted.settled)


def _frozen(
    endpoint: str, found: FoundItem, rules: CatalogRules, running: Sequence[Microservice], *, renamed: bool
) -> ControllerError:
    doing = f"writing the images of catalog item {found.item_id}"
    why = f"Controller {rules.version} does not do that while microservices of it are running: "
    hint = "Stopping them is enough."
    if not renamed:
        hint = "Stopping them is enough. Or set rebuild=False, and they go on with the older content."
    return ItemInUse(endpoint, doing, why + text.listing([str(each) for each in running]), hint)


def _those(microservices: Sequence[Microservice]) -> str:
    names = text.listing([str(each) for each in microservices])
    return f"{text.plural(len(microservices), 'microservice')} ({names})"
