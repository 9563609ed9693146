"""What one agent is sent, as planner.py has decided. Values only."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pulumi_iofog.oci.image import Descriptor, Digest
from pulumi_iofog.transfer.encodings import Part
from pulumi_iofog.transfer.engine_traits import EngineTraits

STOP_SIZE = 16_000_000
"""Bytes that an early load takes in at least: each costs the host half a second of a core."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What one agent is sent: parts from the bottom up.

    Attributes:
        engine: that is given them.
        absent: diff ids of the layers that are left out, because the engine holds them.
        held: as what it holds them, where it must be told.
        sizes: bytes of layers' plain tars, by diff id, as far as they are known.
        stops: indexes of the parts after which the engine is given what has arrived.
        along: what is loaded at once is read by the engine while it arrives, where that is worth it.
    """

    parts: tuple[Part, ...]
    engine: EngineTraits
    absent: frozenset[Digest] = frozenset()
    stops: frozenset[int] = frozenset()
    along: bool = False
    held: Mapping[Digest, Descriptor] = field(default_factory=dict)
    sizes: Mapping[Digest, int] = field(default_factory=dict)

    def groups(self, parts: Sequence[Part]) -> list[tuple[Part, ...]]:
        """What is loaded at once: the parts up to each stop, and last, with the whole image, the rest."""
        cuts = [0, *(stop + 1 for stop in sorted(self.stops)), len(parts)]
        return [tuple(parts[begin:end]) for begin, end in itertools.pairwise(cuts)]

    def reads_along(self, group: Sequence[Part]) -> bool:
        """Whether the engine reads these parts while they arrive. Not what is made of layers that it holds."""
        size = sum(part.layer.blob.size for part in group)
        return self.along and size >= STOP_SIZE and not any(part.plain for part in group)

    def leaves_out_less_than(self, earlier: Transfer) -> bool:
        """Whether fewer layers are left out, or the same ones because the engine holds them as other blobs."""
        less = self.absent <= earlier.absent
        return less and (self.absent, self.held) != (earlier.absent, earlier.held)

    @property
    def most(self) -> int:
        """Bytes on the wire at most."""
        return sum(part.most for part in self.parts)

    @property
    def space(self) -> tuple[int, int]:
        """Bytes on the host that it takes: in the spool, and under the engine's root. If the sizes are known, the most
        that it may take; else the least: layers are counted in the registry's sizes, which are compressed."""
        plain = sum(map(self._plain, self.parts))
        decoded = sum(self._plain(part) for part in self.parts if part.plain)
        bases = sum(self._base(part) for part in self.parts if part.source)
        given = sum(map(self._given, self.parts))
        archive = given if self.engine.intake == "file" else 0
        kept = given if self.engine.unpacks == "later" else 0
        return self.most + decoded + bases + archive, plain + kept + self._aside

    @property
    def temporary(self) -> int:
        """Bytes that the engine writes to its folder for temporary files meanwhile, at most."""
        if self.engine.copies_aside != "temporary":
            return 0
        return max(sum(map(self._given, group)) for group in self.groups(self.parts))

    @property
    def sizes_known(self) -> bool:
        """Whether it is known how large each layer is unpacked."""
        return all(part.layer.diff_id in self.sizes for part in self.parts)

    def _plain(self, part: Part) -> int:
        """Bytes of a part's plain tar, or at least of its blob."""
        return self.sizes.get(part.layer.diff_id, part.layer.blob.size)

    def _base(self, part: Part) -> int:
        """Bytes of the plain tar that a part is made from, which is about as large."""
        base = part.made_from
        return self.sizes.get(base, self._plain(part)) if base else 0

    def _given(self, part: Part) -> int:
        """Bytes of a part that the engine is given: its blob, or its plain tar."""
        if not (part.plain or self.engine.unpacks_on_the_way):
            return part.most
        return part.layer.blob.size if part.given == part.layer.blob.size else self._plain(part)

    @property
    def _aside(self) -> int:
        """Bytes of archives that the engine puts aside: one while it still loads the one before."""
        if self.engine.copies_aside != "root":
            return 0
        given = [sum(map(self._given, group)) for group in self.groups(self.parts)]
        return max(one + next_one for one, next_one in itertools.pairwise([0, *given]))
