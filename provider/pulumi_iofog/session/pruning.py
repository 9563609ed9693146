"""The agents' own pruning, turned off on the Controller while a resource wants that, and put back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.check.pruning import KeptOff, PruningChange, PruningStep, keep_off, put_back
from pulumi_iofog.errors import IofogError
from pulumi_iofog.inputs.catalog import KnownAgent

if TYPE_CHECKING:
    from pulumi_iofog.adapters.controller.controller import Controller


def change_pruning(
    controller: Controller, cache: Store, resource: str, wanted: Collection[str], before: Mapping[str, int]
) -> PruningChange:
    """Have some agents remove no unused images, and all others do as before.

    Which resources want the same of an agent is known as far as this machine has seen them, by records of the cache.

    Args:
        resource: its URN.
        wanted: the agents that are not to prune, by name.
        before: agent → hours after which it pruned, where earlier runs have turned that off.
    """
    change = PruningChange({}, {}, [])
    if not wanted and not before:
        return change
    known = {agent.name: agent for agent in controller.agents()}
    for name in dict.fromkeys((*wanted, *before)):
        mine = before.get(name)
        agent = known.get(name)
        if agent is None or agent.pruning_hours is None:
            # Not to be had now: what is known of it is kept.
            change.before.update({name: mine} if mine is not None and name in wanted else {})
            continue
        try:
            step = _change(controller, cache, agent, mine, resource, keep=name in wanted)
        except IofogError as problem:
            change.errors[name] = f"{name}: {problem}"
            change.before.update({name: mine} if mine is not None else {})
            continue
        if step.before is not None:
            change.before[name] = step.before
        elif step.kept.resources:
            others = ", ".join(sorted(step.kept.resources))
            change.kept.append(f"{name}: the ioFog agent's pruning stays turned off for {others}")
    return change


def _change(
    controller: Controller, cache: Store, agent: KnownAgent, mine: int | None, resource: str, *, keep: bool
) -> PruningStep:
    key, now = f"pruning of {agent.uuid} at {controller.endpoint}", agent.pruning_hours or 0
    with cache.turn(key):
        kept = _kept(cache, key)
        step = keep_off(now, mine, kept, resource) if keep else put_back(now, mine or 0, kept, resource)
        if step.hours is not None:
            controller.set_pruning(agent.uuid, step.hours)
        if step.kept.resources:
            cache.records.put(key, {"resources": sorted(step.kept.resources), "hours": step.kept.hours})
        else:
            cache.records.remove(key)
    return step


def _kept(cache: Store, key: str) -> KeptOff:
    found = cache.records.get(key, float("inf")) or {}
    return KeptOff(frozenset(found.get("resources", ())), int(found.get("hours", 0)))
