"""What a visit to an agent has found that its people should know, a line each; empty if there is nothing. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_iofog import text
from pulumi_iofog.errors import CorruptLayer
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Image
from pulumi_iofog.oci.reference import full_name
from pulumi_iofog.transfer.engine_traits import EngineTraits
from pulumi_iofog.transfer.inventory import Inventory
from pulumi_iofog.transfer.plan import Transfer


def name_in_front(agent: Agent, image: Image, engine: EngineTraits, names: Sequence[str]) -> str:
    """That another name stands before the image's own, and the command that removes it. The ioFog agent's pruning
    looks only at the first one (check/pruning.py)."""
    own = image.reference.full_name
    if not names or full_name(names[0]) == own:
        return ""
    docker_socket = agent.engine_socket if engine.command == "docker" else None
    command = f"docker -H unix://{docker_socket}" if docker_socket else engine.command
    return (
        f"{agent.name} lists {image.reference} as {names[0]} first, and the ioFog agent's pruning takes it for"
        f" unused, even if a microservice uses it. Remove that name there: {command} image rm {names[0]}"
    )


def older_arm(agent: Agent, image: Image, inventory: Inventory) -> str:
    """That the image is for 32 bits, on an agent of 64; not every such CPU can do that."""
    runs = inventory.platform
    if image.platform.architecture == runs.architecture:
        return ""
    return (
        f"{agent.name} runs {runs} and has {image.reference} for {image.platform}: there is none for its own platform"
    )


def bad_disk(agent: Agent, replaced: int) -> str:
    """That so many blobs were damaged on the host."""
    if not replaced:
        return ""
    what = f"{text.plural(replaced, 'damaged blob')} in its engine's store"
    return f"{agent.name} had {what}, replaced now: check its disk"


def bad_base(agent: Agent, inventory: Inventory, sending: Transfer, problem: CorruptLayer) -> list[str]:
    """A line if an image from which layers were made, as the difference to it, did not give back what it should."""
    used = [each for each in inventory.images if each.id in {part.source for part in sending.parts}]
    bad = [each for each in used if each.id in problem.doing] or used
    if not bad:
        return []
    names = text.listing([each.names[0] if each.names else each.id for each in bad])
    what = "an image that it holds" if len(bad) == 1 else "one of the images that it holds"
    line = f"{agent.name}: {what}, {names}, seems to be damaged, so layers were sent whole: {problem.why}"
    return [f"{line.rstrip('. ')}; check its disk"]
