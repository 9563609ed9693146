"""What one agent is sent, and what that is decided from: values only."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pulumi_iofog.oci.image import Blob, Digest, Layer

EngineKind = Literal["docker", "docker-containerd", "podman"]
"""``docker``: classic store, image id = config digest; ``docker-containerd``: Docker 29's default
store, image id = manifest digest; ``podman``: image id = config digest."""

PLAIN_FACTOR = 3
"""Plain size of a layer by its compressed size, where it is not known."""
STOP_SIZE = 16_000_000
"""Bytes that an early load takes in at least: each costs the host half a second of a core."""


@dataclass(frozen=True, slots=True)
class AsIs:
    """As the registry's own blob. ``unpack``: the host gives the engine the plain tar of it, which that loads
    sooner, or at all."""

    unpack: bool = False


@dataclass(frozen=True, slots=True)
class Recoded:
    """Encoded anew with zstd. ``window_log``: log2 of the window in bytes."""

    level: int
    window_log: int


@dataclass(frozen=True, slots=True)
class Delta:
    """As a zstd patch against a layer (``base``, a diff id) of an image that the engine holds (``source``);
    ``otherwise`` where the patch turns out too large, or cannot be made."""

    base: Digest
    source: str
    otherwise: Recoded | AsIs


@dataclass(frozen=True, slots=True)
class Copied:
    """Not at all: the host takes it out of an image that its engine holds (``source``). Docker's classic
    store knows a layer only by the chain of those below it, so it wants even what it has."""

    source: str


Way = AsIs | Recoded | Delta | Copied


@dataclass(frozen=True, slots=True)
class Part:
    """One layer and how it travels."""

    layer: Layer
    way: Way

    @property
    def name(self) -> str:
        """Names the bytes that travel: a file's name on either side. Equal names, equal bytes."""
        mine = self.layer.diff_id[7:]
        match self.way:
            case Recoded(level, window_log):
                return f"{mine}.zstd-{level}-{window_log}"
            case Delta(base):
                return f"{mine}.from-{base[7:]}"
            case Copied():
                return f"{mine}.tar"
            case _:
                return self.layer.blob.digest[7:]

    @property
    def plain(self) -> bool:
        """Whether the layer lies in the spool as its plain tar."""
        return isinstance(self.way, Delta | Copied)

    @property
    def most(self) -> int:
        """Bytes on the wire at most."""
        return 0 if isinstance(self.way, Copied) else self.layer.blob.size

    @property
    def plain_most(self) -> int:
        """Bytes of the plain tar, at most: a guess."""
        return PLAIN_FACTOR * self.layer.blob.size

    @property
    def given(self) -> int:
        """Bytes that Docker is given, at most."""
        return self.layer.blob.size if self.way == AsIs() else self.plain_most

    @property
    def likely(self) -> float:
        """Bytes on the wire as they are to be expected."""
        factor = {Copied: 0.0, Delta: 0.1, Recoded: 0.85, AsIs: 1.0}[type(self.way)]
        return factor * self.layer.blob.size


Coming = Sequence[tuple[Part, Blob]]
"""Parts in their order, each with what it turns out to be."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What one agent is sent: parts from the bottom up.

    Attributes:
        absent: diff ids of the layers that are left out, because the engine holds them.
        stops: indexes of the parts after which the engine is given what has arrived.
        follow: what is loaded at once is read by the engine while it arrives, where that is worth it.
        engine: that is given them.
    """

    parts: tuple[Part, ...]
    absent: frozenset[Digest] = frozenset()
    stops: frozenset[int] = frozenset()
    follow: bool = False
    engine: EngineKind = "docker"

    def groups(self, parts: Sequence[Part]) -> list[tuple[Part, ...]]:
        """What is loaded at once: the parts up to each stop, and last, with the whole image, the rest."""
        cuts = [0, *(stop + 1 for stop in sorted(self.stops)), len(parts)]
        return [tuple(parts[begin:end]) for begin, end in itertools.pairwise(cuts)]

    def follows(self, group: Sequence[Part]) -> bool:
        """Whether the engine reads these parts while they arrive. Not what is made of layers that it holds."""
        size = sum(part.layer.blob.size for part in group)
        return self.follow and size >= STOP_SIZE and not any(part.plain for part in group)

    @property
    def most(self) -> int:
        """Bytes on the wire at most."""
        return sum(part.most for part in self.parts)

    @property
    def space(self) -> tuple[int, int]:
        """Bytes on the host that it takes at most: in the spool, and under the engine's root."""
        plain = sum(part.plain_most for part in self.parts)
        decoded = sum(part.plain_most for part in self.parts if part.plain)
        bases = sum(part.plain_most for part in self.parts if isinstance(part.way, Delta | Copied))
        return self.most + decoded + bases, plain + self._aside

    @property
    def _aside(self) -> int:
        """Docker puts an archive aside before it loads it; one while it still loads the one before."""
        if self.engine == "podman":
            return 0
        given = [sum(part.given for part in group) for group in self.groups(self.parts)]
        return max(one + next_one for one, next_one in itertools.pairwise([0, *given]))


@dataclass(frozen=True, slots=True)
class HeldImage:
    """An image that an engine holds: its id there, and its layers from the bottom up."""

    id: str
    diff_ids: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one agent holds, and what it has to work with.

    Attributes:
        engine: which engine answered.
        tagged: the wanted image's name points, in the engine, at an image with the right id.
        images: all that the engine holds.
        gzip, zstd: whether the host has these commands.
        memory: bytes that are available on the host.
    """

    engine: EngineKind
    tagged: bool
    images: tuple[HeldImage, ...] = ()
    gzip: bool = False
    zstd: bool = False
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Means:
    """What the operator's side has for one agent.

    Attributes:
        rate: of the link, in bytes/s; None if it is not known.
        layers: older layers whose blobs can be had, by diff id.
        memory: bytes that a delta may take here.
    """

    rate: float | None = None
    layers: Mapping[Digest, Blob] = field(default_factory=dict)
    memory: int = 0
