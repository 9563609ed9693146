"""A resource's properties: Pulumi's unknowns into ours and back, and what a check adds to the inputs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

from pulumi.output import Unknown
from pulumi.runtime import rpc

from pulumi_iofog.check import state
from pulumi_iofog.check.resolve import Resolution
from pulumi_iofog.inputs.reader import UNKNOWN
from pulumi_iofog.inputs.spec import AGENT_SECRETS, Spec, agent_inputs

Props = dict[str, Any]
"""By their names, as Pulumi hands them over."""


def from_pulumi(value: Any) -> Any:
    """Pulumi's two kinds of unknown become ours."""
    return _each(value, lambda one: UNKNOWN if isinstance(one, Unknown) or one == rpc.UNKNOWN else one)


def to_pulumi(value: Any) -> Any:
    """Ours becomes the one that Pulumi sends."""
    return _each(value, lambda one: rpc.UNKNOWN if one is UNKNOWN else one)


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same mappings and lists, of changed values."""
    if isinstance(value, Mapping):
        return {key: _each(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_each(item, change) for item in value]
    return change(value)


def checked(inputs: Props, spec: Spec, found: Resolution) -> Props:
    """The inputs with what a check adds: hosts of agents, endpoint, images, digests, catalog item."""
    props = dict(inputs)
    props["agents"] = _filled_agents(inputs.get("agents"), spec, found)
    if found.endpoint:
        props["controller"] = {**(inputs.get("controller") or {}), "endpoint": found.endpoint}
    images = {arch: state.pin_to_props(pin) for arch, pin in found.pins.items()}
    props["images"] = UNKNOWN if spec.unknown_arches else images
    digests = {name: UNKNOWN if digest is None else digest for name, digest in found.digests.items()}
    props["agent_digests"] = digests if spec.agents_known else UNKNOWN
    if spec.registers:
        props["catalog_item"] = _item(spec, found)
    if found.turned_off:
        props["pruning_turned_off"] = dict(found.turned_off)
    return props


def _item(spec: Spec, found: Resolution) -> Props:
    """The catalog item, as far as it is known."""
    return {
        "name": UNKNOWN if "name" in spec.unknown else spec.name,
        "description": UNKNOWN if {"name", "description"} & spec.unknown else spec.description,
        "registry_id": 2,
        "images": {**found.catalog, **dict.fromkeys(spec.unknown_arches, UNKNOWN)},
    }


def _filled_agents(given: Any, spec: Spec, found: Resolution) -> Any:
    """Agents as dicts, with what was found out; unknowns and secrets stay where they are."""
    if not isinstance(given, list):
        return given
    by_path = {spec.paths[agent.name]: agent for agent in found.agents}
    filled = []
    for index, item in enumerate(given):
        agent = by_path.get(f"agents[{index}]")
        own = item if isinstance(item, dict) else {}
        found_out = {k: v for k, v in agent_inputs(agent).items() if k not in AGENT_SECRETS} if agent else {}
        filled.append({**found_out, **own} if agent else item)
    return filled


def changed(olds: Props, news: Props) -> set[str]:
    """The inputs that differ."""
    before, after = state.inputs_of(olds), state.inputs_of(news)
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each path at which two values differ, as deep as can be, in Pulumi's notation: ``agent_digests["edge-1"]``; with
    ``add``, ``delete`` or ``update``."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            yield from _difference(before.get(key, ABSENT), after.get(key, ABSENT), _inside(path, key))
    elif isinstance(before, list) and isinstance(after, list):
        for index, (old, new) in enumerate(zip_longest(before, after, fillvalue=ABSENT)):
            yield from _difference(old, new, f"{path}[{index}]")
    elif before != after:
        yield path, "update"


ABSENT = object()


def _difference(before: Any, after: Any, path: str) -> Iterator[tuple[str, str]]:
    if before is ABSENT or after is ABSENT:
        yield path, "add" if before is ABSENT else "delete"
    else:
        yield from differences(before, after, path)


def _inside(path: str, key: str) -> str:
    if re.fullmatch(r"[A-Za-z_]\w*", key):
        return f"{path}.{key}" if path else key
    return f"{path}[{json.dumps(key, ensure_ascii=False)}]"


def chosen(changed: set[str], paths: Any) -> set[str]:
    """The changed properties that ``replace_on_changes`` names, by their first part; ``*`` is all."""
    named = {re.split(r"[.\[]", str(path))[0] for path in paths or ()}
    return changed if "*" in named else changed & named
