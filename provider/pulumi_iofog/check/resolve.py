"""The story of one check: where the agents are, what the references mean, who must hold what.

    resolve
    ├── offers      what each reference offers in its registry or archive (platforms.py)
    ├── agents      each agent's host (addresses.py) and engine (engines.py)
    ├── choices     which of the images each agent gets (choices.py)
    ├── pins        the platform manifests, each pinned by its digest
    ├── catalog     the images of the catalog item
    ├── keys        whether the private keys are there of those who will be visited
    └── item        whether the Controller takes that, and what it does to microservices (catalog.py)

Reads manifests only, and moves no blob; an agent is asked only for an architecture that nothing else
tells. What may be asked is in lookups.py. All failures are gathered, then raised as one InputError. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from pulumi_iofog.check.addresses import ControllerAgents, locate
from pulumi_iofog.check.asking import Asking
from pulumi_iofog.check.catalog import ItemPlan, Wanted, plan_change, plan_new
from pulumi_iofog.check.choices import Choices
from pulumi_iofog.check.diff import Desired, Placement, compare
from pulumi_iofog.check.engines import differences, with_engine
from pulumi_iofog.check.lookups import Controller, Lookups
from pulumi_iofog.check.platforms import (
    Offer,
    PinnedOffer,
    arguments,
    candidates,
    find_offer,
    notes_of,
    second_best,
)
from pulumi_iofog.check.platforms import pin as pin_offer
from pulumi_iofog.check.pruning import catalog_name, misspelt, removals, turned_off
from pulumi_iofog.check.state import Recorded
from pulumi_iofog.errors import Failure, Failures, InputError, NameTaken
from pulumi_iofog.inputs.catalog import KnownAgent
from pulumi_iofog.inputs.iofogctl_namespace import Namespace
from pulumi_iofog.inputs.spec import Agent, Arch, CatalogItem, EngineName, Spec
from pulumi_iofog.oci.image import Digest, Pin, Reference

EVERYWHERE: tuple[Arch, ...] = ("x86", "arm")
"""Architectures that every Controller has in its catalog; the others came with 3.8."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a check has found out.

    Attributes:
        endpoint: the Controller's; None while it is not known yet, NO_CONTROLLER where there is to be none.
        agents: with their hosts, where those are known.
        digests: agent → its image's id; None while that is not known yet.
        catalog: architecture → the name that the catalog item has for it.
        top_digests: reference → digest of the index or manifest that it led to, if it was looked up.
        warnings: what the user should know of, a line each: a tag that has moved since the preview, an engine
            that is not the agent's by the Controller's record.
        item: what becomes of the catalog item; None if nothing does, or nobody can know now.
        turned_off: agent → how often its pruning has been turned off, after this run.
    """

    endpoint: str | None
    agents: tuple[Agent, ...]
    pins: Mapping[Arch, Pin]
    digests: Mapping[str, Digest | None]
    catalog: Mapping[Arch, str]
    top_digests: Mapping[str, Digest]
    warnings: tuple[str, ...]
    item: ItemPlan | None = None
    turned_off: Mapping[str, int] = field(default_factory=dict)


def resolve(spec: Spec, last: Recorded | None, lookups: Lookups) -> Resolution:
    """Find out all that can be known now.

    Args:
        last: what the last run has recorded, if there was one.

    Raises:
        InputError: with every failure.
    """
    failures = Failures()
    asking = Asking(lookups.controller, failures)
    endpoint = failures.attempt("controller", lookups.endpoint)
    check = _Check(spec, last, lookups, endpoint, asking, ControllerAgents(asking, there=spec.registers), failures)
    offers = check.offers()
    agents = check.agents()
    chosen = Choices(spec, last, lookups, check.controller, failures).choose(agents, offers)
    pins = check.pins(offers, chosen)
    catalog = check.catalog(offers, pins, agents, chosen)
    desired = check.desired(agents, chosen, pins, catalog if len(offers) == len(spec.references) else None)
    check.keys(desired)
    item = check.item(desired)
    failures.raise_if_any()
    looked_up = [offer for offer in offers if not isinstance(offer, PinnedOffer)]
    return Resolution(
        endpoint=endpoint,
        agents=agents,
        pins=pins,
        digests={name: pins[arch].image_id if arch else None for name, arch in chosen.items()},
        catalog=catalog,
        top_digests={offer.argument.reference.text: offer.top_digest for offer in looked_up},
        warnings=(*(line for offer in offers for line in notes_of(offer)), *check.warnings(pins, agents, chosen)),
        item=item,
        turned_off=check.turned_off(),
    )


@dataclass(frozen=True, slots=True)
class _Check:
    """The steps of one check. Each goes on with what it can, so that later ones find their failures too."""

    spec: Spec
    last: Recorded | None
    lookups: Lookups
    endpoint: str | None
    asking: Asking
    controller: ControllerAgents
    failures: Failures

    def offers(self) -> list[Offer]:
        """What the references offer; those that failed are missing."""
        earlier = self.last.pins if self.last else {}
        offers = []
        for argument in arguments(self.spec):
            find = partial(find_offer, argument, self.spec, earlier, self.lookups)
            if found := self.failures.attempt(argument.arch, find):
                offers.append(found)
        return offers

    def agents(self) -> tuple[Agent, ...]:
        """The agents, with their hosts and engines."""
        namespace = self.failures.attempt("namespace", self.lookups.namespace) or Namespace()
        return tuple(self._agent(agent, namespace) for agent in self.spec.agents)

    def _agent(self, agent: Agent, namespace: Namespace) -> Agent:
        path = self.spec.paths[agent.name]
        agent = locate(agent, self.spec, namespace, self.controller, self.lookups.ssh_host, self.failures)
        if {f"{path}.engine", f"{path}.engine_socket"} & self.spec.unknown:
            return agent
        return with_engine(agent, self.controller.get(agent.name), path, self.failures)

    def warnings(
        self, pins: Mapping[Arch, Pin], agents: Sequence[Agent], chosen: Mapping[str, Arch | None]
    ) -> Iterator[str]:
        """What the user should know of, a line each."""
        for agent in self.spec.agents:
            yield from differences(agent, self.controller.get(agent.name))
        known, mode = self._known(), self.spec.agent_pruning
        for arch, pin in pins.items():
            yield from second_best(arch, pin)
            yield from misspelt(pin.reference, _engines(agents, chosen, arch), known, mode)
        if removals(known, (), mode):
            yield from removals(known, self._using(), mode)

    def turned_off(self) -> Mapping[str, int]:
        """Of which agents the pruning is turned off, and how often that has been done."""
        before = self.last.turned_off if self.last else {}
        if self.spec.agent_pruning != "configure":
            return {}
        unheard = {agent.name for agent in self.spec.agents} - {agent.name for agent in self._known()}
        kept = {name: count for name, count in before.items() if name in unheard}
        return {**kept, **turned_off(self._known(), before)}

    def _known(self) -> list[KnownAgent]:
        """Those of the agents that the Controller knows."""
        return [each for agent in self.spec.agents if (each := self.controller.get(agent.name))]

    def _using(self) -> set[str | None]:
        """The agents that have a microservice of the item."""
        last = self.last.desired.item if self.last else None

        def ask(controller: Controller) -> set[str | None]:
            found = controller.find_item(last.name if last else self.spec.name)
            return {each.agent for each in controller.microservices(found.item_id)} if found else set()

        return self.asking.ask(ask) or set()

    def keys(self, new: Desired) -> None:
        """Fail what names a private key that cannot be read, of agents that will be visited: a machine that only looks
        need not have it."""
        for name in compare(self.last.desired if self.last else None, new).agents:
            agent = new.placements[name].agent
            file = None if agent.private_key else agent.private_key_file
            if file and (problem := self.lookups.key_problem(file)):
                self.failures.add(f"{self.spec.paths[name]}.private_key_file", f"{file} cannot be read: {problem}")

    # ---- pins, catalog ------------------------------------------------------------------------------

    def pins(self, offers: Sequence[Offer], chosen: Mapping[str, Arch | None]) -> dict[Arch, Pin]:
        """The image of each architecture that an agent runs, and at least one of each reference."""
        used = set(chosen.values())
        pins: dict[Arch, Pin] = {}
        for offer in offers:
            first, *others = candidates(offer)
            for arch in (first, *(arch for arch in others if arch in used)):
                find = partial(pin_offer, offer, arch, self.lookups.manifests)
                if found := self.failures.attempt(offer.argument.arch, find):
                    pins[arch] = found
        return pins

    def catalog(
        self,
        offers: Sequence[Offer],
        pins: Mapping[Arch, Pin],
        agents: Sequence[Agent],
        chosen: Mapping[str, Arch | None],
    ) -> dict[Arch, str]:
        """The item's images. Where ``arm=`` serves 32-bit agents, ``armv7`` is one of them if the catalog has it."""

        def name(reference: Reference, *arches: Arch) -> str:
            return catalog_name(reference, set(_engines(agents, chosen, *arches).values()))

        catalog = {offer.argument.arch: name(offer.argument.reference, *offer.argument.arches) for offer in offers}
        borrowed = "armv7" in pins and "armv7" not in catalog
        newer = [arch for arch in catalog if arch not in EVERYWHERE]
        if not (newer or borrowed):
            return catalog
        rules = self.asking.ask(lambda controller: controller.catalog_rules())
        if rules is None:
            return catalog
        for arch in newer:
            if arch not in rules.arches:
                why = f"the catalog of Controller {rules.version} has no {arch}: it came with 3.8. Omit {arch}="
                self.failures.add(arch, why)
        if borrowed and "armv7" in rules.arches:
            catalog["armv7"] = name(pins["armv7"].reference, "armv7")
            if "arm" not in pins:
                # The older catalogs' ARM may have 32 bits, but here it is linux/arm64.
                del catalog["arm"]
        return catalog

    # ---- the catalog item -----------------------------------------------------------------------------

    def desired(
        self,
        agents: Sequence[Agent],
        chosen: Mapping[str, Arch | None],
        pins: Mapping[Arch, Pin],
        catalog: Mapping[Arch, str] | None,
    ) -> Desired:
        """What is wanted, as it will be in the state; ``catalog`` is None while it is not known."""
        spec, placements = self.spec, {}
        for agent in agents:
            arch = chosen[agent.name]
            pin = pins.get(arch) if arch else None
            names = (pin.image_id, pin.reference.full_name) if pin else (None, None)
            placements[agent.name] = Placement(agent, *names)
        known = catalog is not None and not {"name", "description", *spec.unknown_arches} & spec.unknown
        known = known and spec.registers
        images = tuple(sorted((catalog or {}).items()))
        item = CatalogItem(spec.name, spec.description, images) if known else None
        return Desired(placements, item, self.endpoint)

    def item(self, new: Desired) -> ItemPlan | None:
        """What becomes of the item. The Controller is not asked where nothing does."""
        spec = self.spec
        last = self.last.desired if self.last and self.last.desired.endpoint == new.endpoint else None
        changes = compare(last, new)
        if not spec.registers or not (changes.item or changes.content) or (last and not last.item):
            return None
        name = None if "name" in spec.unknown else spec.name
        settled = changes.settled(new)
        wanted = Wanted(name, new.item, changes.content, spec.rebuild, spec.adopt, self.lookups.mark, settled)

        def plan(controller: Controller) -> ItemPlan:
            try:
                if last is None or last.item is None:
                    return plan_new(controller, wanted, self.lookups.replaced(self.endpoint))
                # Its id is an output, of which a check is told nothing.
                return plan_change(controller, wanted, controller.find_item(last.item.name), last.item.name)
            except NameTaken as problem:
                raise InputError([Failure("name", str(problem))]) from None

        return self.asking.ask(plan)


def _engines(agents: Sequence[Agent], chosen: Mapping[str, Arch | None], *arches: Arch) -> dict[str, EngineName | None]:
    """Agent → engine, of those that get an image for one of the architectures."""
    return {agent.name: agent.engine for agent in agents if chosen[agent.name] in arches}
