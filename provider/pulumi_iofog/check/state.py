"""What a check has decided, as plain values in a resource's inputs and outputs, and back. Pure.

``check`` adds ``images``, ``agent_digests`` and ``catalog_item`` to the inputs, so that a preview shows
what changes in them, and fills in ``agents`` and ``controller.endpoint``. Secrets of agents are apart, in
``agent_secrets``, as the engine would hide all agents otherwise (program/args.py). The outputs are all inputs,
``catalog_item_id``, ``pending_agents`` and ``engines``: refresh and destroy are given nothing else. While
microservices may still run older content than their agents hold, or are to hold, there is ``rebuild_due`` too. With
``agent_pruning="configure"`` the inputs have ``pruning_turned_off``, the outputs ``pruning_before``.

Each verb reads its properties once, into a Recorded. A program's inputs are read strictly; what has passed a check or
is in the state leniently, as a newer version may have written it, which must not keep anybody from a refresh or a
destroy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pulumi_iofog.check.diff import MISSING, Changes, Desired, Placement, compare
from pulumi_iofog.errors import Failure, InputError
from pulumi_iofog.inputs.reader import UNKNOWN
from pulumi_iofog.inputs.spec import ARCHES, NO_CONTROLLER, Arch, CatalogItem, Spec, parse
from pulumi_iofog.oci.image import Pin, Platform, Reference, parse_digest

OUTPUTS_ONLY = ("catalog_item_id", "pending_agents", "engines", "rebuild_due", "pruning_before")
COMPUTED = ("images", "agent_digests", "catalog_item", "pruning_turned_off")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a check has decided, read back from inputs or outputs.

    Attributes:
        spec: the user's part, with what the check has filled in.
        pins: the ``images``; empty where they are not known yet.
        turned_off: agent → how often its pruning has been turned off.
    """

    spec: Spec
    desired: Desired
    pins: Mapping[Arch, Pin]
    turned_off: Mapping[str, int] = field(default_factory=dict)

    def arch_of(self, agent: str) -> Arch | None:
        """The architecture whose image the agent holds, or is to hold; None if it holds none, or that is not
        known yet."""
        placement = self.desired.placements.get(agent)
        image_id = placement.image_id if placement else None
        return next((arch for arch, pin in self.pins.items() if pin.image_id == image_id), None)

    def pin_of(self, agent: str) -> Pin | None:
        """The image that the agent holds, or is to hold; None as in ``arch_of``."""
        arch = self.arch_of(agent)
        return self.pins[arch] if arch else None

    def pin_for(self, agent: str) -> Pin | None:
        """As ``pin_of``; of an agent that a refresh has found without its image, that image, if it can be but one."""
        placement = self.desired.placements.get(agent)
        if placement is None or placement.image_id != MISSING:
            return self.pin_of(agent)
        of = {None: ARCHES, "arm": ("arm", "armv7")}.get(placement.agent.arch, (placement.agent.arch,))
        possible = [pin for arch, pin in self.pins.items() if arch in of]
        return possible[0] if len(possible) == 1 else None

    def pin_at(self, placement: Placement) -> Pin | None:
        """The image that was meant for the agent of a later placement, if that is still the same place."""
        name = placement.agent.name
        before = self.desired.placements.get(name)
        return self.pin_of(name) if before and before.same_place(placement) else None

    def changes_since(self, old: Recorded | None) -> Changes:
        """What must be done to get here from an earlier run; everything if there was none."""
        return compare(old.desired if old else None, self.desired)


def recorded(props: Mapping[str, Any]) -> Recorded:
    """What checked inputs, or the outputs of an earlier run, say. Raises InputError if they have no name; whatever
    else cannot be read is as if it were absent."""
    spec, pins = parse_inputs(own_inputs(props), strict=False), pins_of(props)
    if not spec.name and "name" not in spec.unknown:
        raise InputError([Failure("name", "is required")])
    return Recorded(spec, _desired(props, spec, pins), pins, _whole(props, "pruning_turned_off"))


def last_recorded(olds: Mapping[str, Any]) -> Recorded | None:
    """What the last run has recorded; None if there was none, or it cannot be read."""
    try:
        return recorded(olds)
    except InputError:
        return None


def _desired(props: Mapping[str, Any], spec: Spec, pins: Mapping[Arch, Pin]) -> Desired:
    digests = props.get("agent_digests")
    digests = digests if isinstance(digests, Mapping) else {}
    names = {str(pin.image_id): pin.reference.full_name for pin in pins.values()}
    placements = {}
    for agent in spec.agents:
        digest = digests.get(agent.name)
        known = digest if isinstance(digest, str) else None
        placements[agent.name] = Placement(agent, known, names.get(known) if known else None)
    return Desired(
        placements=placements,
        item=item_of(props),
        endpoint=_endpoint(spec),
        image_ids=frozenset(names),
        rebuild_due=frozenset(props.get("rebuild_due") or ()),
        pending=frozenset(props.get("pending_agents") or ()),
    )


def _endpoint(spec: Spec) -> str | None:
    if not spec.registers:
        return NO_CONTROLLER
    return spec.controller.endpoint if spec.controller else None


def drift(last: Recorded, found: Mapping[str, Any]) -> list[str]:
    """A line for each thing that is no longer as the last run has left it.

    Args:
        found: the properties as they are now.
    """
    lines = []
    for name, digest in found["agent_digests"].items():
        if digest == MISSING:
            pin = last.pin_for(name)
            lines.append(f"{name} does not hold {pin.reference if pin else 'its image'}: the next pulumi up brings it")
    item, now = last.desired.item, item_of(found)
    if item != now:
        lines.append(f"the catalog item {item.name if item else ''} was changed: the next pulumi up changes it back")
    return lines


def pruning_before(props: Mapping[str, Any]) -> dict[str, int]:
    """Agent → hours after which it pruned before that was turned off."""
    return _whole(props, "pruning_before")


def _whole(props: Mapping[str, Any], key: str) -> dict[str, int]:
    """Numbers by agent; whole ones, which state does not tell from others."""
    value = props.get(key)
    return {name: int(number) for name, number in value.items()} if isinstance(value, Mapping) else {}


# ---- inputs ------------------------------------------------------------------------------------------


def inputs_of(props: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs among a resource's properties."""
    return {k: v for k, v in props.items() if k not in OUTPUTS_ONLY and not k.startswith("__")}


def own_inputs(props: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs without what ``check`` computes: the user's own part."""
    return {k: v for k, v in inputs_of(props).items() if k not in COMPUTED}


def parse_inputs(inputs: Mapping[str, Any], *, strict: bool = True) -> Spec:
    """The user's inputs, each agent together with its secrets. Raises InputError with every failure."""
    inputs = dict(inputs)
    secrets, agents = inputs.pop("agent_secrets", None), inputs.get("agents")
    if isinstance(secrets, Mapping) and isinstance(agents, list):
        inputs["agents"] = [_with_secrets(agent, index, secrets) for index, agent in enumerate(agents)]
    return parse(inputs, strict=strict)


def _with_secrets(agent: Any, index: int, secrets: Mapping[str, Any]) -> Any:
    if not isinstance(agent, Mapping):
        return agent
    own = secrets.get(f"#{index}") or secrets.get(str(agent.get("name")))
    return {**agent, **own} if isinstance(own, Mapping) else agent


# ---- images, catalog item --------------------------------------------------------------------------


def pin_to_props(pin: Pin) -> dict[str, Any]:
    """One entry of ``images``."""
    return {
        "reference": pin.reference.text,
        "digest": pin.manifest_digest,
        "image_id": pin.image_id,
        "platform": str(pin.platform),
        "size": pin.size,
    }


def parse_pin(value: Any) -> Pin | None:
    """One entry of ``images`` as a Pin; None if it is not one."""
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


def pins_of(props: Mapping[str, Any]) -> dict[Arch, Pin]:
    """The ``images`` of inputs or outputs; empty where they are not known yet or cannot be read."""
    images = props.get("images")
    if not isinstance(images, Mapping):
        return {}
    return {arch: pin for arch in ARCHES if (pin := parse_pin(images.get(arch)))}


def item_to_props(item: CatalogItem) -> dict[str, Any]:
    """The ``catalog_item`` that ``check`` computes and a refresh compares."""
    return {
        "name": item.name,
        "description": item.description,
        "registry_id": item.registry_id,
        "images": dict(item.images),
    }


def item_of(props: Mapping[str, Any]) -> CatalogItem | None:
    """The ``catalog_item`` of inputs or outputs; None while something in it is not known yet."""
    value = props.get("catalog_item")
    if not isinstance(value, Mapping) or not isinstance(value.get("images"), Mapping):
        return None
    if any(part is UNKNOWN for part in (*value.values(), *value["images"].values())):
        return None
    images = tuple(sorted((str(k), str(v)) for k, v in value["images"].items()))
    return CatalogItem(str(value["name"]), str(value["description"]), images, int(value["registry_id"]))
