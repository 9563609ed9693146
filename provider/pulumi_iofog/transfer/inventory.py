"""What one agent holds and has to work with, and what the operator's side has for it. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pulumi_iofog.oci.image import Descriptor, Digest, Platform
from pulumi_iofog.transfer.engine_traits import EngineTraits


@dataclass(frozen=True, slots=True)
class HeldImage:
    """An image that an engine holds.

    Attributes:
        id: its id there.
        diff_ids: its layers from the bottom up.
        blobs: what the engine holds each of them as, where that is known.
        names: what people call it; for them alone.
    """

    id: str
    diff_ids: tuple[Digest, ...]
    blobs: tuple[Descriptor, ...] | None = None
    names: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one agent holds, and what it has to work with.

    Attributes:
        engine: what the engine that answered does.
        platform: what it runs.
        tagged: the wanted image's name points, in the engine, at an image with the right id.
        images: all that the engine holds.
        gzip, zstd: whether the host has these commands.
        memory: bytes that are available on the host.
        described: which engine that is, for people.
    """

    engine: EngineTraits
    platform: Platform
    tagged: bool
    images: tuple[HeldImage, ...] = ()
    gzip: bool = False
    zstd: bool = False
    memory: int = 0
    described: str = ""


@dataclass(frozen=True, slots=True)
class Means:
    """What the operator's side has for one agent.

    Attributes:
        rate: of the link, in bytes/s; None if it is not known.
        layers: older layers whose blobs can be had, by diff id.
        memory: bytes that making a delta may take here.
        programs: architectures of hosts for which there is a program that works with deflate tokens, and that may be
            given it.
        mislabelled: digests of blobs whose compression is not what their media type says.
        sizes: bytes of layers' plain tars, by diff id, as far as they are known.
    """

    rate: float | None = None
    layers: Mapping[Digest, Descriptor] = field(default_factory=dict)
    memory: int = 0
    programs: frozenset[str] = frozenset()
    mislabelled: frozenset[Digest] = frozenset()
    sizes: Mapping[Digest, int] = field(default_factory=dict)
