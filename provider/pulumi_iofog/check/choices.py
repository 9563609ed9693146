"""Which of the images each agent gets, by its architecture. An agent is asked only where nothing else tells. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pulumi_iofog.check.addresses import ControllerAgents
from pulumi_iofog.check.lookups import Lookups
from pulumi_iofog.check.platforms import Offer, candidates, platform_for
from pulumi_iofog.check.state import Recorded
from pulumi_iofog.errors import Failures, IofogError
from pulumi_iofog.inputs.spec import Agent, Arch, Spec
from pulumi_iofog.oci.image import Platform

PROBES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Choices:
    """Chooses with what the user, the state and the Controller say; failures are noted by property."""

    spec: Spec
    last: Recorded | None
    lookups: Lookups
    controller: ControllerAgents
    failures: Failures

    def choose(self, agents: Sequence[Agent], offers: Sequence[Offer]) -> dict[str, Arch | None]:
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
        made_for = {
            arch: platform for offer in offers for arch in candidates(offer) if (platform := platform_for(offer, arch))
        }
        chosen.update(self._by_asking(to_ask, made_for))
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
            if not own and "arm" in known.arches:
                # A 64-bit ARM mostly runs what was made for 32 bits too.
                own = [arch for arch in every if arch == "armv7"]
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

    def _by_asking(self, agents: Sequence[Agent], offered: Mapping[Arch, Platform]) -> Iterator[tuple[str, Arch]]:
        with ThreadPoolExecutor(PROBES_AT_ONCE) as pool:
            probes = [(agent, pool.submit(self.lookups.probe, agent)) for agent in agents]
        for agent, probe in probes:
            path = f"{self.spec.paths[agent.name]}.arch"
            try:
                platform = probe.result()
            except IofogError as problem:
                self.failures.add("", f"{path}: cannot be detected, so set arch=. {problem}")
                continue
            ranks = [(rank, arch) for arch, image in offered.items() if (rank := platform.rank(image)) is not None]
            if ranks:
                yield agent.name, min(ranks)[1]
            else:
                there = ", ".join(map(str, offered.values()))
                self.failures.add(path, f"agent {agent.name} runs {platform}; the images are for {there}")
