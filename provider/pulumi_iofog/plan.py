"""Decisions, as pure functions of values: preview and run share them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pulumi_iofog.image import Digest

EngineKind = Literal["docker", "docker-containerd", "podman"]
"""``docker``: classic store, image id = config digest; ``docker-containerd``: Docker 29's default
store, image id = manifest digest; ``podman``: image id = config digest."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one agent holds of one image.

    Attributes:
        engine: which engine answered.
        tagged: the image's name points, in the engine, at an image with the right id.
        layers: diff ids of the image's layers that the engine should not need to be sent again.
            On ``docker`` they are known by chain (a true prefix); elsewhere it is a good guess
            which the load proves or disproves.
        spooled: bytes already in the agent's spool, by blob digest (part-sent ones too).
    """

    engine: EngineKind
    tagged: bool
    layers: frozenset[Digest] = frozenset()
    spooled: dict[Digest, int] = field(default_factory=dict)
