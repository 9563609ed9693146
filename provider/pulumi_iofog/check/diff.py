"""Decisions, as pure functions of values: preview and run share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pulumi_iofog import text
from pulumi_iofog.inputs.spec import NO_CONTROLLER, Agent, CatalogItem
from pulumi_iofog.oci.image import Descriptor, Manifest
from pulumi_iofog.transfer.planner import SMALL

MISSING = "missing"
"""In ``agent_digests`` after a refresh: the agent does not hold the image."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One agent, and what it must hold. ``image_id`` and ``name`` are None while they are not known yet;
    ``name`` is the image's full name in the agent's engine."""

    agent: Agent
    image_id: str | None
    name: str | None

    def same_place(self, other: Placement) -> bool:
        """Whether both are the same engine on the same host. The way in (user, keys) may differ."""
        return _place(self.agent) == _place(other.agent)


def _place(agent: Agent) -> tuple[object, ...]:
    return agent.host, agent.port or 22, agent.engine, agent.engine_socket


@dataclass(frozen=True, slots=True)
class Desired:
    """What a resource wants, or what its state says of an earlier run.

    Attributes:
        image_ids: of all its images, whichever agents have them.
        pending: agents that did not get it.
        rebuild_due: those whose microservices may run older content still: they were pending, or ``rebuild`` was
            False.
        endpoint: of the Controller; None while it is not known, NO_CONTROLLER where there is to be none.
    """

    placements: Mapping[str, Placement]
    item: CatalogItem | None
    endpoint: str | None
    image_ids: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()
    rebuild_due: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Changes:
    """From old to new: whom to visit, and what becomes of the catalog item.

    Attributes:
        item: its name, description or images' names change.
        content: the agents where microservices may be running older content, once they hold the new one.
    """

    agents: tuple[str, ...]
    removed: tuple[str, ...]
    item: bool
    endpoint: bool
    content: tuple[str, ...] = ()

    def settled(self, new: Desired) -> tuple[str, ...]:
        """The agents whose microservices run what they are to run."""
        return tuple(name for name in new.placements if name not in self.content)

    def __bool__(self) -> bool:
        return bool(self.agents or self.removed or self.item or self.endpoint)


def compare(old: Desired | None, new: Desired) -> Changes:
    """Which agents must be visited to get from old to new; all of them if there is no old."""
    if old is None:
        return Changes(tuple(new.placements), (), new.endpoint != NO_CONTROLLER, False, tuple(new.placements))
    agents = tuple(
        name
        for name, placement in new.placements.items()
        if name in old.pending or _differs(old.placements.get(name), placement)
    )
    return Changes(
        agents=agents,
        removed=tuple(name for name in old.placements if name not in new.placements),
        item=old.item != new.item,
        endpoint=new.endpoint is not None and old.endpoint != new.endpoint,
        content=tuple(
            name
            for name, placement in new.placements.items()
            if name in old.rebuild_due or (name in agents and _other_content(old, placement))
        ),
    )


def _other_content(old: Desired, new: Placement) -> bool:
    """Whether microservices may be running an older image there. Not on an agent that is new, or that gets back
    what it has lost."""
    before = old.placements.get(new.agent.name)
    if before is None or new.image_id is None or before.image_id == new.image_id:
        return False
    return before.image_id != MISSING or new.image_id not in old.image_ids


def _differs(old: Placement | None, new: Placement) -> bool:
    if old is None or new.image_id is None or not old.same_place(new):
        return True
    return (old.image_id, old.name) != (new.image_id, new.name)


def reasons(old: Desired, new: Desired) -> list[str]:
    """A line for what an update does for a reason that neither images nor digests show: another engine or socket, and
    an item that comes or goes with its Controller."""
    groups: dict[str, list[str]] = {}
    for name, placement in new.placements.items():
        before = old.placements.get(name)
        if before and not before.same_place(placement) and (why := _other_engine(before.agent, placement.agent)):
            groups.setdefault(why, []).append(name)
    lines = [f"{text.listing(names)}: {why}" for why, names in groups.items()]
    if new.endpoint is None or old.endpoint == new.endpoint:
        return lines
    if old.item and old.endpoint != NO_CONTROLLER:
        lines.append(f"the catalog item {old.item.name} will be deleted at {old.endpoint}")
    if new.item and new.endpoint != NO_CONTROLLER:
        lines.append(f"the catalog item {new.item.name} will be created at {new.endpoint}")
    return lines


def _other_engine(old: Agent, new: Agent) -> str:
    """``engine socket changed: A → B``; nothing if it is the host that has changed."""
    if (old.host, old.port or 22) != (new.host, new.port or 22):
        return ""
    what, before, after = "engine", old.engine, new.engine
    if before == after:
        what, before, after = "engine socket", old.engine_socket, new.engine_socket  # type: ignore[assignment]
    return f"{what} changed: {before or 'not set'} → {after or 'not set'}"


@dataclass(frozen=True, slots=True)
class Estimate:
    """One agent's part of a preview, in bytes; None while the image is not known.

    Attributes:
        bound: ``send`` is an upper bound: the agent may hold more of the layers, and large ones may travel as
            a delta or re-encoded, which only the rollout finds out.
    """

    agent: str
    send: int | None = None
    total: int | None = None
    bound: bool = False


def estimate(agent: str, new: Manifest | None, old: Manifest | None) -> Estimate:
    """What an agent that holds at least the old image is sent for the new one."""
    if new is None:
        return Estimate(agent)
    held = {blob.digest for blob in old.layers} if old else set()
    first = next((index for index, blob in enumerate(new.layers) if blob.digest not in held), len(new.layers))
    # Above the first layer that differs, Docker's classic store wants small ones again too.
    sent = [
        blob
        for index, blob in enumerate(new.layers)
        if blob.digest not in held or (index > first and blob.size < SMALL)
    ]
    send = new.config.size + sum(blob.size for blob in _unique(sent))
    return Estimate(agent, min(send, new.size), new.size, any(blob.size >= SMALL for blob in sent))


def summary(changes: Changes, agents: int, estimates: Sequence[Estimate], *more: str) -> str:
    """The preview's line: ``2 of 12 agents to update: edge-1, edge-7 (14.2 MB of 238 MB each, at most)``, and what
    more there is to say."""
    parts = []
    if changes.agents:
        head = f"{len(changes.agents)} of {text.plural(agents, 'agent')} to update: "
        parts.append(head + ", ".join(_group(estimates)))
    if changes.removed:
        parts.append(f"no longer managed: {text.listing(changes.removed)}")
    if not changes.agents and changes.item:
        parts.append("no agent to update, only the catalog item" if not changes.endpoint else "nothing to send")
    return "; ".join([*parts, *more]) or "nothing to send: only settings change"


def _group(estimates: Sequence[Estimate]) -> list[str]:
    groups: dict[tuple[int | None, int | None, bool], list[str]] = {}
    for each in estimates:
        groups.setdefault((each.send, each.total, each.bound), []).append(each.agent)
    lines = []
    for (send, total, bound), names in groups.items():
        if send is None or total is None:
            amount = "not known yet"
        else:
            amount = text.size(send) if send >= total else f"{text.size(send)} of {text.size(total)}"
            amount += " each" if len(names) > 1 else ""
            amount += ", at most" if bound else ""
        lines.append(f"{text.listing(names)} ({amount})")
    return lines


def _unique(blobs: Sequence[Descriptor]) -> list[Descriptor]:
    return list({blob.digest: blob for blob in blobs}.values())
