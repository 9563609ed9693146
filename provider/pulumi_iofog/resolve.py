"""The story of one check: where the agents are, what the references mean, who must hold what.

    resolve
    ├── locate      each agent's host, from its own fields, namespace file, Controller, ~/.ssh/config
    ├── offers      what each reference offers in its registry: an index's platforms, or a single one
    ├── platforms   which of them each agent runs
    └── pins        the platform manifests, each pinned by its digest

Reads manifests only, and moves no blob; an agent is asked only for an architecture that nothing else
tells. All failures are collected, then raised as one InputError.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from pulumi_iofog.errors import Failure, InputError, IofogError
from pulumi_iofog.image import (
    AMD64,
    ARM64,
    ARM_V7,
    INDEX_TYPES,
    Blob,
    Digest,
    IndexEntry,
    Manifest,
    Pin,
    Platform,
    Reference,
    parse_config,
    parse_index,
    parse_manifest,
    pick,
    sha256,
    short,
)
from pulumi_iofog.manifest import Namespace
from pulumi_iofog.spec import Agent, Arch, KnownAgent, Spec

T = TypeVar("T")
Key = str
"""A key of the ``images`` output: ``x86``, ``arm``, and ``armv7`` where a 32-bit agent needs it."""

PLATFORMS: Mapping[Arch, tuple[tuple[Key, Platform], ...]] = {
    "x86": (("x86", AMD64),),
    "arm": (("arm", ARM64), ("armv7", ARM_V7)),
}
PROBES_AT_ONCE = 8


class Manifests(Protocol):
    """The registry, as far as a check needs it."""

    def fetch_manifest(self, reference: Reference, target: str | None = None) -> tuple[bytes, str]: ...
    def small_blob(self, reference: Reference, blob: Blob) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What a check reaches for.

    Attributes:
        manifests: the registry, with the local cache before it.
        controller_agents: the Controller's agents; None where the Controller is not known yet.
        namespace: the iofogctl namespace.
        ssh_host: the HostName that ~/.ssh/config has for an alias, or None.
        probe: asks an agent's engine for its platform.
        pinned: the digest that a preview has shown for a reference, to be kept by the update.
        recall: an earlier resolution of a reference for a platform, or None.
    """

    manifests: Manifests
    controller_agents: Callable[[], Sequence[KnownAgent]] | None
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
    pins: Mapping[Key, Pin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a check found out. A digest of None is not known yet."""

    agents: tuple[Agent, ...]
    pins: Mapping[Key, Pin]
    digests: Mapping[str, Digest | None]
    tops: Mapping[str, Digest]
    moved: tuple[str, ...]


@dataclass(slots=True)
class _Offer:
    """What one reference offers: platforms of an index, or one platform's manifest."""

    arch: Arch
    reference: Reference
    top: Digest | None = None
    entries: tuple[IndexEntry, ...] = ()
    single: tuple[Platform, Manifest] | None = None
    pins: dict[Key, Pin] = field(default_factory=dict)

    def has(self, platform: Platform) -> bool:
        if self.pins:
            return any(platform.runs(pin.platform) for pin in self.pins.values())
        if self.single:
            return platform.runs(self.single[0])
        return pick(self.entries, platform) is not None

    def candidates(self) -> list[tuple[Key, Platform]]:
        return [(key, platform) for key, platform in PLATFORMS[self.arch] if self.has(platform)]


def resolve(spec: Spec, earlier: Earlier, tools: Tools) -> Resolution:
    """Find out all that can be known now. Raises InputError with every failure."""
    failures: list[Failure] = []
    moved: list[str] = []
    controller = _Once(tools.controller_agents, failures)
    offers = [
        offer
        for arch, reference in spec.references.items()
        if (offer := _offer(spec, arch, reference, earlier, tools, failures, moved))
    ]
    agents = tuple(_locate(agent, spec, tools, controller, failures) for agent in spec.agents)
    keys = _platforms(agents, spec, offers, earlier, tools, controller, failures)
    wanted = {offer.candidates()[0][0] for offer in offers} | {key for key in keys.values() if key}
    pins: dict[Key, Pin] = {}
    for key in sorted(wanted):
        pin = _attempt(failures, _arch_of(key), lambda key=key: _pin(key, offers, tools))  # type: ignore[misc]
        if pin:
            pins[key] = pin
    if failures:
        raise InputError(failures)
    return Resolution(
        agents=agents,
        pins=pins,
        digests={name: pins[key].image_id if key else None for name, key in keys.items()},
        tops={o.reference.text: o.top for o in offers if o.top},
        moved=tuple(moved),
    )


# ---- locate ----------------------------------------------------------------------------------------


def _locate(agent: Agent, spec: Spec, tools: Tools, controller: _Once, failures: list[Failure]) -> Agent:
    path = spec.paths[agent.name]
    unknown = {p.removeprefix(f"{path}.") for p in spec.unknown if p.startswith(f"{path}.")}
    agent = _fill(agent, tools.namespace.agents.get(agent.name, {}), unknown)
    if agent.host is None and "host" not in unknown:
        known = controller.get(agent.name)
        if known:
            agent = _fill(agent, {"host": known.host, "engine": known.engine}, unknown)
    if agent.host is None and "host" not in unknown:
        agent = _fill(agent, {"host": tools.ssh_host(agent.name)}, unknown)
    if agent.host is None and "host" not in unknown and not controller.failed and not controller.unknown:
        failures.append(
            Failure(
                f"{path}.host",
                f"no host known for agent {agent.name}: give host=, or name it in namespace"
                f" {spec.namespace}'s file, on the Controller, or in ~/.ssh/config",
            )
        )
    return agent


def _fill(agent: Agent, more: Mapping[str, object], unknown: set[str]) -> Agent:
    """The agent, with what it does not say itself taken from elsewhere."""
    new = {k: v for k, v in more.items() if v is not None and getattr(agent, k) is None and k not in unknown}
    return dataclasses.replace(agent, **new)  # type: ignore[arg-type]


class _Once:
    """The Controller's agents, asked for at most once, and only if anybody needs to know."""

    def __init__(self, ask: Callable[[], Sequence[KnownAgent]] | None, failures: list[Failure]) -> None:
        self._ask, self._failures = ask, failures
        self._agents: dict[str, KnownAgent] | None = None
        self.unknown = ask is None
        self.failed = False

    def get(self, name: str) -> KnownAgent | None:
        if self._agents is None:
            self._agents = {}
            before = len(self._failures)
            found = _attempt(self._failures, "controller", self._ask) if self._ask else None
            self._agents = {agent.name: agent for agent in found or ()}
            self.failed = len(self._failures) > before
        return self._agents.get(name)


# ---- offers ----------------------------------------------------------------------------------------


def _offer(
    spec: Spec,
    arch: Arch,
    reference: Reference,
    earlier: Earlier,
    tools: Tools,
    failures: list[Failure],
    moved: list[str],
) -> _Offer | None:
    offer = _Offer(arch, reference)
    if spec.pull_policy != "always":
        offer.pins = _known_pins(arch, reference, earlier, tools)
        if offer.pins:
            return offer
    if spec.pull_policy == "never":
        why = f"pull_policy is never, and {reference} was not resolved before on this machine or in the state"
        failures.append(Failure(arch, why))
        return None
    _attempt(failures, arch, lambda: _ask_registry(offer, tools, moved))
    if not (offer.entries or offer.single):
        if not any(failure.path == arch for failure in failures):
            failures.append(Failure(arch, f"{reference} offers no image that runs anywhere"))
        return None
    if not offer.candidates():
        failures.append(Failure(arch, _wrong_platform(offer)))
        return None
    return offer


def _known_pins(arch: Arch, reference: Reference, earlier: Earlier, tools: Tools) -> dict[Key, Pin]:
    found = {}
    for key, platform in PLATFORMS[arch]:
        pin = earlier.pins.get(key)
        if not pin or pin.reference != reference:
            pin = tools.recall(reference, platform)
        if pin:
            found[key] = pin
    return found


def _ask_registry(offer: _Offer, tools: Tools, moved: list[str]) -> None:
    raw, media_type = tools.manifests.fetch_manifest(offer.reference)
    offer.top = sha256(raw)
    shown = tools.pinned(offer.reference)
    if shown and shown != offer.top:
        moved.append(
            f"{offer.reference} has moved since the preview, from {short(shown)} to {short(offer.top)};"
            " what the preview showed is used. Run pulumi up again for the newer one"
        )
        raw, media_type = tools.manifests.fetch_manifest(offer.reference, shown)
        offer.top = shown
    if media_type in INDEX_TYPES:
        offer.entries = parse_index(raw)
        return
    manifest = parse_manifest(raw, media_type)
    config = tools.manifests.small_blob(offer.reference, manifest.config)
    offer.single = (parse_config(config)[0], manifest)


def _wrong_platform(offer: _Offer) -> str:
    wanted = " or ".join(str(platform) for _, platform in PLATFORMS[offer.arch])
    if offer.single:
        return f"{offer.reference} is for {offer.single[0]} only, not for {wanted}"
    there = ", ".join(sorted({str(entry.platform) for entry in offer.entries}))
    return f"{offer.reference} is not for {wanted}; its index has {there}"


# ---- platforms -------------------------------------------------------------------------------------


def _platforms(
    agents: Sequence[Agent],
    spec: Spec,
    offers: Sequence[_Offer],
    earlier: Earlier,
    tools: Tools,
    controller: _Once,
    failures: list[Failure],
) -> dict[str, Key | None]:
    """Which image each agent gets; None where it cannot be known yet."""
    if len(offers) < len(spec.references) or any(arch in spec.unknown for arch in PLATFORMS):
        return {agent.name: None for agent in agents}
    keys: dict[str, Key | None] = {}
    asked: list[Agent] = []
    for agent in agents:
        choice = _without_asking(agent, offers, earlier, controller)
        if isinstance(choice, Failure):
            failures.append(Failure(f"{spec.paths[agent.name]}.{choice.path}", choice.reason))
        elif choice is not None:
            keys[agent.name] = choice
        elif agent.host and not any(p.startswith(spec.paths[agent.name]) for p in spec.unknown):
            asked.append(agent)
        else:
            keys[agent.name] = None
    keys.update(_by_asking(asked, spec, offers, tools, failures))
    return {agent.name: keys.get(agent.name) for agent in agents}


def _without_asking(
    agent: Agent, offers: Sequence[_Offer], earlier: Earlier, controller: _Once
) -> Key | Failure | None:
    choices = [choice for offer in offers for choice in offer.candidates()]
    if agent.arch:
        # arm without more is 64-bit; a 32-bit agent is found out by leaving arch away.
        mine = [key for key, platform in choices if _arch_of(key) == agent.arch]
        return mine[0] if mine else Failure("arch", f"is {agent.arch}, but there is no {agent.arch}= image")
    if len(choices) == 1:
        return choices[0][0]
    last = earlier.agents.get(agent.name)
    if last and last.host == agent.host:
        for key, pin in earlier.pins.items():
            if pin.image_id == earlier.digests.get(agent.name) and key in dict(choices):
                return key
    known = controller.get(agent.name)
    if known and known.arch:
        mine = [key for key, _ in choices if _arch_of(key) == known.arch]
        if len(mine) == 1:
            return mine[0]
        if not mine:
            return Failure("arch", f"the Controller says {known.arch}, but there is no {known.arch}= image")
    return None


def _by_asking(
    agents: Sequence[Agent],
    spec: Spec,
    offers: Sequence[_Offer],
    tools: Tools,
    failures: list[Failure],
) -> Iterable[tuple[str, Key]]:
    choices = [choice for offer in offers for choice in offer.candidates()]
    with ThreadPoolExecutor(PROBES_AT_ONCE) as pool:
        probes = [(agent, pool.submit(tools.probe, agent)) for agent in agents]
    for agent, probe in probes:
        path = f"{spec.paths[agent.name]}.arch"
        try:
            platform = probe.result()
        except IofogError as problem:
            failures.append(Failure(path, f"cannot be found out, so give arch=. {problem}"))
            continue
        key = next((key for key, offered in choices if offered.runs(platform)), None)
        if key:
            yield agent.name, key
        else:
            there = ", ".join(str(offered) for _, offered in choices)
            failures.append(Failure(path, f"agent {agent.name} runs {platform}; the images are for {there}"))


# ---- pins ------------------------------------------------------------------------------------------


def _pin(key: Key, offers: Sequence[_Offer], tools: Tools) -> Pin:
    offer = next(o for o in offers if o.arch == _arch_of(key))
    if key in offer.pins:
        return offer.pins[key]
    platform = dict(PLATFORMS[offer.arch])[key]
    if offer.single:
        manifest = offer.single[1]
    else:
        entry = pick(offer.entries, platform)
        if entry is None:
            raise ValueError(f"no {platform} in {offer.reference}")
        manifest = parse_manifest(*tools.manifests.fetch_manifest(offer.reference, entry.blob.digest))
    return Pin(offer.reference, manifest.manifest_digest, manifest.config.digest, platform, manifest.size)


def _arch_of(key: Key) -> Arch:
    return "x86" if key == "x86" else "arm"


def _attempt(failures: list[Failure], path: str, act: Callable[[], T]) -> T | None:
    """Run it; an error becomes one of the failures, at that property."""
    try:
        return act()
    except IofogError as problem:
        failures.append(Failure(path, str(problem)))
    except ValueError as problem:
        failures.append(Failure(path, f"the registry's answer cannot be read: {problem}"))
    return None
