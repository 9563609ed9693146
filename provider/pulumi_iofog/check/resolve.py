"""The story of one check: where the agents are, what the references mean, who must hold what.

    resolve
    ├── locate      each agent's host (addresses.py)
    ├── offer       what each reference offers in its registry or archive (platforms.py)
    ├── choose      which of the images each agent runs
    └── pins        the platform manifests, each pinned by its digest

Reads manifests only, and moves no blob; an agent is asked only for an architecture that nothing else
tells. All failures are collected, then raised as one InputError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pulumi_iofog.check.addresses import ControllerAgents, locate
from pulumi_iofog.check.platforms import PLATFORMS, Manifests, Offer, blank_offers, known_pins, look_up
from pulumi_iofog.errors import Failure, InputError, IofogError, attempt
from pulumi_iofog.inputs.iofogctl_namespace import Namespace
from pulumi_iofog.inputs.spec import ARCHES, Agent, Arch, KnownAgent, Spec
from pulumi_iofog.oci.image import Digest, Pin, Platform, Reference

PROBES_AT_ONCE = 8
EVERYWHERE: tuple[Arch, ...] = ("x86", "arm")
"""Architectures that every Controller has in its catalog; the others came with 3.8."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a check reaches for.

    Attributes:
        manifests: the image's source, with the local cache before it.
        controller_agents: the Controller's agents; None where the Controller is not known yet.
        catalog_arches: the architectures that the Controller's catalog has, and its version in words;
            None where the Controller is not known yet.
        namespace: the iofogctl namespace.
        ssh_host: the HostName that ~/.ssh/config has for an alias, or None.
        probe: asks an agent's engine for its platform.
        pinned: the digest that a preview has shown for a reference, to be kept by the update.
        recall: an earlier resolution of a reference for a platform, or None.
    """

    manifests: Manifests
    controller_agents: Callable[[], Sequence[KnownAgent]] | None
    catalog_arches: Callable[[], tuple[Sequence[Arch], str]] | None
    namespace: Namespace
    ssh_host: Callable[[str], str | None]
    probe: Callable[[Agent], Platform]
    pinned: Callable[[Reference], Digest | None]
    recall: Callable[[Reference, Platform], Pin | None]


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the state says of the last run."""

    agents: Mapping[str, Agent] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[Arch, Pin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a check found out. A digest of None is not known yet.

    Attributes:
        catalog: architecture → the name that the catalog item has for it.
    """

    agents: tuple[Agent, ...]
    pins: Mapping[Arch, Pin]
    digests: Mapping[str, Digest | None]
    catalog: Mapping[Arch, str]
    tops: Mapping[str, Digest]
    moved: tuple[str, ...]


def resolve(spec: Spec, earlier: Earlier, tools: Tools) -> Resolution:
    """Find out all that can be known now. Raises InputError with every failure."""
    failures: list[Failure] = []
    moved: list[str] = []
    controller = ControllerAgents(tools.controller_agents, failures)
    unknown = [arch for arch in ARCHES if arch in spec.unknown]
    offers = [
        offer
        for offer in blank_offers(spec.references, unknown)
        if _offer(offer, spec, earlier, tools, failures, moved)
    ]
    agents = tuple(locate(agent, spec, tools.namespace, controller, tools.ssh_host, failures) for agent in spec.agents)
    if len(offers) < len(spec.references) or unknown:
        chosen: Mapping[str, Arch | None] = {agent.name: None for agent in agents}
    else:
        chosen = _choose(agents, spec, offers, earlier, tools, controller, failures)
    wanted = {offer.candidates()[0] for offer in offers} | {arch for arch in chosen.values() if arch}
    pins = _pins(sorted(wanted), offers, tools, failures)
    catalog = _catalog(offers, pins, tools, failures)
    if failures:
        raise InputError(failures)
    return Resolution(
        agents=agents,
        pins=pins,
        digests={name: pins[arch].image_id if arch else None for name, arch in chosen.items()},
        catalog=catalog,
        tops={o.reference.text: o.top for o in offers if o.top},
        moved=tuple(moved),
    )


# ---- offers ----------------------------------------------------------------------------------------


def _offer(offer: Offer, spec: Spec, earlier: Earlier, tools: Tools, failures: list[Failure], moved: list[str]) -> bool:
    """Find out what the reference offers; whether that is of use."""
    if spec.pull_policy != "always":
        offer.pins = known_pins(offer, earlier.pins, tools.recall)
        if offer.pins:
            offer.reference = next(iter(offer.pins.values())).reference
            return True
    if spec.pull_policy == "never":
        why = f"{offer.reference} was not resolved before on this machine or in the state"
        failures.append(Failure(offer.arch, f"pull_policy is never, and {why}"))
        return False
    before = len(failures)
    line = attempt(failures, offer.arch, lambda: look_up(offer, tools.manifests, tools.pinned))
    if line:
        moved.append(line)
    if len(failures) == before and not offer.candidates():
        failures.append(Failure(offer.arch, offer.refusal))
    return len(failures) == before


# ---- choose ----------------------------------------------------------------------------------------


def _choose(
    agents: Sequence[Agent],
    spec: Spec,
    offers: Sequence[Offer],
    earlier: Earlier,
    tools: Tools,
    controller: ControllerAgents,
    failures: list[Failure],
) -> dict[str, Arch | None]:
    """Which image each agent gets; None where it cannot be known yet."""
    choices = [(offer.arch, arch) for offer in offers for arch in offer.candidates()]
    chosen: dict[str, Arch | None] = {}
    asked: list[Agent] = []
    for agent in agents:
        choice = _without_asking(agent, choices, earlier, controller)
        if isinstance(choice, Failure):
            failures.append(Failure(f"{spec.paths[agent.name]}.{choice.path}", choice.reason))
        elif choice is not None:
            chosen[agent.name] = choice
        elif agent.host and not any(p.startswith(spec.paths[agent.name]) for p in spec.unknown):
            asked.append(agent)
    chosen.update(_by_asking(asked, spec, [arch for _, arch in choices], tools, failures))
    return {agent.name: chosen.get(agent.name) for agent in agents}


def _without_asking(
    agent: Agent, offered: Sequence[tuple[Arch, Arch]], earlier: Earlier, controller: ControllerAgents
) -> Arch | Failure | None:
    choices = [arch for _, arch in offered]
    if agent.arch:
        # What arm= offers may be for 32 bits only; where it has both, the one for 64 bits comes first.
        mine = [arch for asked, arch in offered if agent.arch in (asked, arch)]
        return mine[0] if mine else Failure("arch", f"is {agent.arch}, but there is no {agent.arch}= image")
    if len(choices) == 1:
        return choices[0]
    last = earlier.agents.get(agent.name)
    if last and last.host == agent.host:
        for arch, pin in earlier.pins.items():
            if pin.image_id == earlier.digests.get(agent.name) and arch in choices:
                return arch
    known = controller.get(agent.name)
    if known and known.arches:
        mine = [arch for arch in choices if arch in known.arches]
        if not mine:
            says = known.arches[0]
            return Failure("arch", f"the Controller says {says}, but there is no {says}= image")
        return mine[0] if len(mine) == 1 else None
    return None


def _by_asking(
    agents: Sequence[Agent], spec: Spec, choices: Sequence[Arch], tools: Tools, failures: list[Failure]
) -> Iterable[tuple[str, Arch]]:
    with ThreadPoolExecutor(PROBES_AT_ONCE) as pool:
        probes = [(agent, pool.submit(tools.probe, agent)) for agent in agents]
    for agent, probe in probes:
        path = f"{spec.paths[agent.name]}.arch"
        try:
            platform = probe.result()
        except IofogError as problem:
            failures.append(Failure(path, f"cannot be found out, so give arch=. {problem}"))
            continue
        arch = next((arch for arch in choices if PLATFORMS[arch].runs(platform)), None)
        if arch:
            yield agent.name, arch
        else:
            there = ", ".join(str(PLATFORMS[arch]) for arch in choices)
            failures.append(Failure(path, f"agent {agent.name} runs {platform}; the images are for {there}"))


# ---- pins, catalog ---------------------------------------------------------------------------------


def _pins(arches: Sequence[Arch], offers: Sequence[Offer], tools: Tools, failures: list[Failure]) -> dict[Arch, Pin]:
    pins: dict[Arch, Pin] = {}
    for arch in arches:
        offer = next(o for o in offers if arch in o.arches)
        pin = attempt(failures, offer.arch, lambda o=offer, a=arch: o.pin(a, tools.manifests))  # type: ignore[misc]
        if pin:
            pins[arch] = pin
    return pins


def _catalog(
    offers: Sequence[Offer], pins: Mapping[Arch, Pin], tools: Tools, failures: list[Failure]
) -> dict[Arch, str]:
    """The item's images. A 32-bit agent that is served from ``arm=`` is named where the catalog can."""
    catalog = {offer.arch: offer.reference.catalog_name for offer in offers}
    borrowed = "armv7" in pins and "armv7" not in catalog
    newer = [arch for arch in catalog if arch not in EVERYWHERE]
    ask = tools.catalog_arches
    if ask is None or not (newer or borrowed):
        return catalog
    found = attempt(failures, "controller", ask)
    has, version = found or (ARCHES, "")
    failures += [
        Failure(arch, f"the catalog of Controller {version} has no {arch}: it came with 3.8. Leave {arch}= away")
        for arch in newer
        if arch not in has
    ]
    if borrowed and "armv7" in has:
        catalog["armv7"] = pins["armv7"].reference.catalog_name
    return catalog
