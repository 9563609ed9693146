"""The story of one check: where the agents are, what the references mean, who must hold what.

    resolve
    ├── offers      what each reference offers in its registry or archive (platforms.py)
    ├── agents      each agent's host (addresses.py) and engine (engines.py)
    ├── choices     which of the images each agent gets
    ├── pins        the platform manifests, each pinned by its digest
    ├── catalog     the images of the catalog item
    └── item        whether the Controller takes that, and what it does to microservices (catalog.py)

Reads manifests only, and moves no blob; an agent is asked only for an architecture that nothing else
tells. What may be asked is in lookups.py. All failures are gathered, then raised as one InputError. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from pulumi_iofog.check.addresses import ControllerAgents, locate
from pulumi_iofog.check.asking import Asking
from pulumi_iofog.check.catalog import ItemPlan, Wanted, plan_change, plan_new
from pulumi_iofog.check.diff import Desired, Placement, compare
from pulumi_iofog.check.engines import differences, with_engine
from pulumi_iofog.check.lookups import Controller, Lookups
from pulumi_iofog.check.platforms import (
    PLATFORMS,
    Offer,
    PinnedOffer,
    arguments,
    candidates,
    find_offer,
    move_of,
)
from pulumi_iofog.check.platforms import pin as pin_offer
from pulumi_iofog.check.pruning import catalog_name, misspelt, removals
from pulumi_iofog.check.state import Recorded
from pulumi_iofog.errors import Failure, Failures, InputError, IofogError, NameTaken
from pulumi_iofog.inputs.iofogctl_namespace import Namespace
from pulumi_iofog.inputs.spec import Agent, Arch, CatalogItem, EngineName, Spec
from pulumi_iofog.oci.image import Digest, Pin, Reference

PROBES_AT_ONCE = 8
EVERYWHERE: tuple[Arch, ...] = ("x86", "arm")
"""Architectures that every Controller has in its catalog; the others came with 3.8."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a check has found out.

    Attributes:
        endpoint: the Controller's; None while it is not known yet.
        agents: with their hosts, where those are known.
        digests: agent → its image's id; None while that is not known yet.
        catalog: architecture → the name that the catalog item has for it.
        top_digests: reference → digest of the index or manifest that it led to, if it was looked up.
        warnings: what the user should know of, a line each: a tag that has moved since the preview, an engine
            that is not the agent's by the Controller's record.
        item: what becomes of the catalog item; None if nothing does, or nobody can know now.
    """

    endpoint: str | None
    agents: tuple[Agent, ...]
    pins: Mapping[Arch, Pin]
    digests: Mapping[str, Digest | None]
    catalog: Mapping[Arch, str]
    top_digests: Mapping[str, Digest]
    warnings: tuple[str, ...]
    item: ItemPlan | None = None


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
    check = _Check(spec, last, lookups, endpoint, asking, ControllerAgents(asking), failures)
    offers = check.offers()
    agents = check.agents()
    chosen = check.choices(agents, offers)
    pins = check.pins(offers, chosen)
    catalog = check.catalog(offers, pins, agents, chosen)
    item = check.item(check.desired(agents, chosen, pins, catalog if len(offers) == len(spec.references) else None))
    failures.raise_if_any()
    looked_up = [offer for offer in offers if not isinstance(offer, PinnedOffer)]
    return Resolution(
        endpoint=endpoint,
        agents=agents,
        pins=pins,
        digests={name: pins[arch].image_id if arch else None for name, arch in chosen.items()},
        catalog=catalog,
        top_digests={offer.argument.reference.text: offer.top_digest for offer in looked_up},
        warnings=(*(line for offer in offers if (line := move_of(offer))), *check.warnings(pins, agents, chosen)),
        item=item,
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
        for arch, pin in pins.items():
            yield from misspelt(pin.reference, _engines(agents, chosen, arch))
        known = [each for agent in self.spec.agents if (each := self.controller.get(agent.name))]
        if removals(known, (), self.spec.agent_pruning):
            yield from removals(known, self._using(), self.spec.agent_pruning)

    def _using(self) -> set[str | None]:
        """The agents that have a microservice of the item."""
        last = self.last.desired.item if self.last else None

        def ask(controller: Controller) -> set[str | None]:
            found = controller.find_item(last.name if last else self.spec.name)
            return {each.agent for each in controller.microservices(found.item_id)} if found else set()

        return self.asking.ask(ask) or set()

    # ---- choices ------------------------------------------------------------------------------------

    def choices(self, agents: Sequence[Agent], offers: Sequence[Offer]) -> dict[str, Arch | None]:
        """Which image each agent gets; None where that cannot be known yet."""
        chosen: dict[str, Arch | None] = {agent.name: None for agent in agents}
        if len(offers) < len(self.spec.references) or self.spec.unknown_arches:
            return chosen
        offered = [(offer.argument.arch, arch) for offer in offers for arch in candidates(offer)]
        to_ask = []
        for agent in agents:
            possible, why = self._possible(agent, offered)
            if not possible:
                self.failures.add(f"{self.spec.paths[agent.name]}.arch", why)
            elif len(possible) == 1:
                chosen[agent.name] = possible[0]
            elif self._can_be_asked(agent):
                to_ask.append(agent)
        chosen.update(self._by_asking(to_ask, [arch for _, arch in offered]))
        return chosen

    def _possible(self, agent: Agent, offered: Sequence[tuple[Arch, Arch]]) -> tuple[list[Arch], str]:
        """The images that may be for the agent, by all that is known without asking it; and if there are none, why.

        Args:
            offered: the argument, and the architecture that it has an image for.
        """
        every = [arch for _, arch in offered]
        if agent.arch:
            # What arm= offers may be for 32 bits only; where it has both, the one for 64 bits comes first.
            own = [arch for argument, arch in offered if agent.arch in (argument, arch)]
            return own[:1], f"is {agent.arch}, but there is no {agent.arch}= image"
        if len(every) == 1:
            return every, ""
        before = self._arch_before(agent)
        if before and before in every:
            return [before], ""
        known = self.controller.get(agent.name)
        if known and known.arches:
            says = known.arches[0]
            own = [arch for arch in every if arch in known.arches]
            return own, f"the Controller says {says}, but there is no {says}= image"
        return every, ""

    def _arch_before(self, agent: Agent) -> Arch | None:
        """What the state says of the same host."""
        if self.last is None:
            return None
        before = self.last.desired.placements.get(agent.name)
        return self.last.arch_of(agent.name) if before and before.agent.host == agent.host else None

    def _can_be_asked(self, agent: Agent) -> bool:
        return bool(agent.host) and not any(p.startswith(self.spec.paths[agent.name]) for p in self.spec.unknown)

    def _by_asking(self, agents: Sequence[Agent], offered: Sequence[Arch]) -> Iterator[tuple[str, Arch]]:
        with ThreadPoolExecutor(PROBES_AT_ONCE) as pool:
            probes = [(agent, pool.submit(self.lookups.probe, agent)) for agent in agents]
        for agent, probe in probes:
            path = f"{self.spec.paths[agent.name]}.arch"
            try:
                platform = probe.result()
            except IofogError as problem:
                self.failures.add("", f"{path}: cannot be detected, so set arch=. {problem}")
                continue
            arch = next((arch for arch in offered if PLATFORMS[arch].runs(platform)), None)
            if arch:
                yield agent.name, arch
            else:
                there = ", ".join(str(PLATFORMS[arch]) for arch in offered)
                self.failures.add(path, f"agent {agent.name} runs {platform}; the images are for {there}")

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
        images = tuple(sorted((catalog or {}).items()))
        item = CatalogItem(spec.name, spec.description, images) if known else None
        return Desired(placements, item, self.endpoint)

    def item(self, new: Desired) -> ItemPlan | None:
        """What becomes of the item. The Controller is not asked where nothing does."""
        spec = self.spec
        last = self.last.desired if self.last and self.last.desired.endpoint == new.endpoint else None
        changes = compare(last, new)
        if not (changes.item or changes.content) or (last and not last.item):
            return None
        name = None if "name" in spec.unknown else spec.name
        wanted = Wanted(name, new.item, changes.content, spec.rebuild, spec.adopt, self.lookups.resource)

        def plan(controller: Controller) -> ItemPlan:
            try:
                if last is None or last.item is None:
                    return plan_new(controller, wanted, partial(self.lookups.made_by, self.endpoint))
                # Its id is an output, of which a check is told nothing.
                return plan_change(controller, wanted, controller.find_item(last.item.name), last.item.name)
            except NameTaken as problem:
                raise InputError([Failure("name", str(problem))]) from None

        return self.asking.ask(plan)


def _engines(agents: Sequence[Agent], chosen: Mapping[str, Arch | None], *arches: Arch) -> dict[str, EngineName | None]:
    """Agent → engine, of those that get an image for one of the architectures."""
    return {agent.name: agent.engine for agent in agents if chosen[agent.name] in arches}
