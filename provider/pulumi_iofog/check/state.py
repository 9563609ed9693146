"""What was decided, as plain values in a resource's inputs and outputs, and back. Pure.

``check`` adds ``images``, ``agent_digests`` and ``catalog_item`` to the inputs, so that a preview shows
what changes in them, and fills ``agents`` and ``controller.endpoint``. Secrets of agents are apart, in
``agent_secrets``, as the engine would hide all agents otherwise (program/args.py). The outputs are all inputs and
``catalog_item_id`` and ``pending_agents``: refresh and destroy are given nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi_iofog.check.diff import Desired, Placement
from pulumi_iofog.errors import InputError
from pulumi_iofog.inputs.reader import UNKNOWN
from pulumi_iofog.inputs.spec import ARCHES, Arch, CatalogItem, Spec, parse
from pulumi_iofog.oci.image import Pin, Platform, Reference, parse_digest

OUTPUTS_ONLY = ("catalog_item_id", "pending_agents")
COMPUTED = ("images", "agent_digests", "catalog_item")


def inputs_of(props: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs among a resource's properties."""
    return {k: v for k, v in props.items() if k not in OUTPUTS_ONLY and not k.startswith("__")}


def spec_of(props: Mapping[str, Any]) -> Spec:
    """The user's part of inputs that ``check`` has passed."""
    return parse_inputs({k: v for k, v in inputs_of(props).items() if k not in COMPUTED})


def parse_inputs(inputs: Mapping[str, Any]) -> Spec:
    """The user's inputs, each agent with its secrets again. Raises InputError with every failure."""
    inputs = dict(inputs)
    secrets, agents = inputs.pop("agent_secrets", None), inputs.get("agents")
    if isinstance(secrets, Mapping) and isinstance(agents, list):
        inputs["agents"] = [_with_secrets(agent, index, secrets) for index, agent in enumerate(agents)]
    return parse(inputs)


def _with_secrets(agent: Any, index: int, secrets: Mapping[str, Any]) -> Any:
    if not isinstance(agent, Mapping):
        return agent
    own = secrets.get(f"#{index}") or secrets.get(str(agent.get("name")))
    return {**agent, **own} if isinstance(own, Mapping) else agent


def pins_to_props(pins: Mapping[Arch, Pin]) -> dict[str, Any]:
    """The ``images`` output."""
    return {
        key: {
            "reference": pin.reference.text,
            "digest": pin.manifest_digest,
            "image_id": pin.image_id,
            "platform": str(pin.platform),
            "size": pin.size,
        }
        for key, pin in pins.items()
    }


def pins_of(props: Mapping[str, Any]) -> dict[Arch, Pin]:
    """The ``images`` of inputs or outputs; empty where they are not known or not readable."""
    images = props.get("images")
    if not isinstance(images, Mapping):
        return {}
    return {arch: pin for arch in ARCHES if (pin := pin_of(images.get(arch)))}


def pin_of(value: Any) -> Pin | None:
    """One entry of ``images``; None if it is not one."""
    try:
        return Pin(
            Reference.parse(value["reference"]),
            parse_digest(value["digest"]),
            parse_digest(value["image_id"]),
            Platform.parse(value["platform"]),
            int(value["size"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def item_to_props(item: CatalogItem) -> dict[str, Any]:
    """The ``catalog_item`` that ``check`` computes and a refresh compares."""
    return {
        "name": item.name,
        "description": item.description,
        "registry_id": item.registry_id,
        "images": dict(item.images),
    }


def item_of(props: Mapping[str, Any]) -> CatalogItem | None:
    """The ``catalog_item`` of inputs or outputs; None while something in it is not known."""
    value = props.get("catalog_item")
    if not isinstance(value, Mapping) or not isinstance(value.get("images"), Mapping):
        return None
    if any(part is UNKNOWN for part in (*value.values(), *value["images"].values())):
        return None
    images = tuple(sorted((str(k), str(v)) for k, v in value["images"].items()))
    return CatalogItem(str(value["name"]), str(value["description"]), images, int(value["registry_id"]))


def desired(props: Mapping[str, Any]) -> Desired | None:
    """What checked inputs, or the outputs of an earlier run, say; None if they cannot be read."""
    try:
        spec = spec_of(props)
    except InputError:
        return None
    digests = props.get("agent_digests")
    digests = digests if isinstance(digests, Mapping) else {}
    pins = pins_of(props).values()
    placements = {}
    for agent in spec.agents:
        digest = digests.get(agent.name)
        known = digest if isinstance(digest, str) else None
        pin = next((p for p in pins if p.image_id == known), None)
        placements[agent.name] = Placement(agent, known, pin.reference.full_name if pin else None)
    return Desired(
        placements=placements,
        item=item_of(props),
        endpoint=spec.controller.endpoint if spec.controller else None,
        pending=frozenset(props.get("pending_agents") or ()),
    )
