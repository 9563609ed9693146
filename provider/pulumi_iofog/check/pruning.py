"""What the ioFog agent's own pruning does to an image that it is brought. Pure.

The agent removes images that nobody uses: every so many hours, every half hour while its disk is over 80 % full, and
on demand. So one that is brought ahead of its microservice may be gone when that comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pulumi_iofog import text
from pulumi_iofog.inputs.catalog import KnownAgent
from pulumi_iofog.inputs.spec import AgentPruning, EngineName
from pulumi_iofog.oci.image import Reference

UNPROVISIONED_HOURS = 1
"""What an agent keeps to until it has joined the Controller."""


@dataclass(frozen=True, slots=True)
class KeptOff:
    """Who keeps one agent's pruning turned off, as far as this machine remembers.

    Attributes:
        resources: by their URNs.
        hours: what the last of them puts back; left by those that are gone.
    """

    resources: frozenset[str] = frozenset()
    hours: int = 0


@dataclass(frozen=True, slots=True)
class PruningStep:
    """What one resource does about one agent's pruning.

    Attributes:
        hours: to be set; None to leave it as it is.
        before: for the resource's state: the hours that were set before, 0 if it was off already. None once the
            resource has nothing more to do with it.
        kept: who keeps it turned off then.
    """

    hours: int | None
    before: int | None
    kept: KeptOff


def keep_off(now: int, before: int | None, kept: KeptOff, resource: str) -> PruningStep:
    """Turn it off, also again: what somebody has set since is what will be put back.

    Args:
        now: the hours that are set now.
        before: what the resource's state says.
    """
    kept = KeptOff(kept.resources | {resource}, kept.hours)
    return PruningStep(0 if now else None, now or before or 0, kept)


def put_back(now: int, before: int, kept: KeptOff, resource: str) -> PruningStep:
    """Put back what was set before, unless others still keep it off: the last of them does it then. What somebody
    has set since stays."""
    rest, hours = kept.resources - {resource}, before or kept.hours
    if rest:
        return PruningStep(None, None, KeptOff(rest, hours))
    return PruningStep(hours if hours and not now else None, None, KeptOff())


@dataclass(frozen=True, slots=True)
class PruningChange:
    """What has become of the agents' pruning.

    Attributes:
        before: agent → hours after which it pruned before it was turned off; 0 if it was off already.
        errors: agent → why it could not be changed.
        kept: a line for each agent whose pruning stays off for other resources.
    """

    before: dict[str, int]
    errors: dict[str, str]
    kept: list[str]


def turned_off(agents: Iterable[KnownAgent], before: Mapping[str, int]) -> dict[str, int]:
    """Agent → how often its pruning has been turned off, this time included: so what was set by hand meanwhile is a
    difference that a preview shows, and an update undoes.

    Args:
        agents: whose pruning is to be off, as the Controller knows them.
        before: the same by the state.
    """
    counts = {agent.name: before.get(agent.name, 0) + bool(agent.pruning_hours) for agent in agents}
    return {name: count for name, count in counts.items() if count}


def is_removed(names: Sequence[str], used: Collection[str]) -> bool:
    """Whether the agent's pruning removes an image that no running container outside ioFog uses.

    Args:
        names: of the image, in the order in which the engine lists them.
        used: the images of the agent's configured microservices, as the catalog has them.

    Only the first name counts, letter by letter (the agent's DockerPruningManager and DockerUtil.getUnusedImages,
    tried with its own classes: a name without a tag, another domain or a second name in front are no match).
    """
    return not names or names[0] not in used


def catalog_name(reference: Reference, engines: Collection[EngineName | None]) -> str:
    """The spelling of the catalog item that equals what these engines list first, as far as one can: podman lists
    Docker Hub's images with their domain, Docker without."""
    return reference.full_name if engines and set(engines) == {"podman"} else reference.catalog_name


def misspelt(
    reference: Reference, engines: Mapping[str, EngineName | None], agents: Iterable[KnownAgent], mode: AgentPruning
) -> list[str]:
    """Lines where the agents of one image need two spellings.

    Args:
        engines: agent → engine, of those that get the image.
        agents: as the Controller knows them.
    """
    name = catalog_name(reference, set(engines.values()))
    others = [agent for agent, engine in engines.items() if engine == "podman" and name != reference.full_name]
    off = {agent.name for agent in agents if agent.provisioned and (mode == "configure" or agent.pruning_hours == 0)}
    groups = {
        "removes it there although a microservice uses it": [agent for agent in others if agent not in off],
        "takes it for unused; it is turned off there, but runs on request and while the disk is nearly full": [
            agent for agent in others if agent in off
        ],
    }
    return [
        f"{text.listing(names)}: podman lists {name} as {reference.full_name}, so the ioFog agent's pruning {what}."
        " Use a reference with a registry's name for all agents"
        for what, names in groups.items()
        if names and mode != "ignore"
    ]


def removals(agents: Iterable[KnownAgent], using: Collection[str | None], mode: AgentPruning) -> list[str]:
    """A line for each frequency at which agents will remove the image before a microservice uses it, or would if
    that were not turned off.

    Args:
        agents: that get it, as the Controller knows them.
        using: names of those on which a microservice of the item is configured.
    """
    groups: dict[tuple[int, bool], list[str]] = {}
    agents = list(agents)
    new = [agent.name for agent in agents if _is_off_once_joined(agent, mode) and agent.name not in using]
    for agent in agents:
        if agent.name in new:
            continue
        turned_off = mode == "configure" and bool(agent.pruning_hours)
        hours = agent.pruning_hours if agent.provisioned or turned_off else UNPROVISIONED_HOURS
        if hours and (turned_off or agent.name not in using):
            groups.setdefault((hours, turned_off), []).append(agent.name)
    lines = [_line(names, *key) for key, names in sorted(groups.items())]
    if new:
        lines.append(
            f"{text.listing(new)}: not joined to the Controller yet, and until then the ioFog agent removes images that"
            " no microservice uses, every hour; its record there turns that off once it has joined. Then run pulumi"
            " refresh, and pulumi up if the image is gone"
        )
    return [] if mode == "ignore" else lines


def _is_off_once_joined(agent: KnownAgent, mode: AgentPruning) -> bool:
    """Whether there is no more to be set, but the agent has not heard of it."""
    return not agent.provisioned and (agent.pruning_hours == 0 or (mode == "configure" and not agent.pruning_hours))


def _line(names: Sequence[str], hours: int, turned_off: bool) -> str:
    often = "every hour" if hours == 1 else f"every {hours} hours"
    if turned_off:
        return f"{text.listing(names)}: the ioFog agent's pruning ({often}) will be turned off until destroy"
    return (
        f"{text.listing(names)}: the ioFog agent removes images that no microservice uses, {often}; create the"
        ' microservice before that, or set agent_pruning="configure", which turns that off (or "ignore")'
    )
