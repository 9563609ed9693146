"""How Controllers of different versions differ, as values. Pure.

Recorded from 3.0.4 and 3.7.3. What 3.8 changed is taken from its changelog and source (catalog-service.js,
arch-images.js): ``archId`` instead of ``fogTypeId``, and two more architectures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pulumi_iofog.inputs.spec import ARCHES, Arch

Version = tuple[int, int]
BEARER_SINCE: Version = (3, 5)
"""Older ones take the bare token."""
ARCH_ID_SINCE: Version = (3, 8)
PRUNING_SINCE: Version = (3, 9)
"""Older ones call an agent's pruning frequency Docker's (iofog-service.js)."""
NUMBERS: Mapping[Arch, int] = {"x86": 1, "arm": 2, "riscv64": 3, "armv7": 4}
"""Architecture → its number; 0 stands for one that is not known yet."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one Controller expects and reports.

    Attributes:
        scheme: what precedes the token in ``Authorization``.
        arch_key: what an image's architecture is called.
        pruning_key: what an agent's pruning frequency, in hours, is called.
        arches: those that the catalog has, in the order of their numbers.
        second_factor: whether its users may have one, without which a password is not enough.
    """

    version: str
    scheme: str
    arch_key: str
    pruning_key: str
    arches: tuple[Arch, ...]
    second_factor: bool

    @classmethod
    def of(cls, version: str) -> Dialect:
        """``3.7.3`` → its dialect. ValueError if it is not a version."""
        found = re.findall(r"\d+", version)
        if len(found) < 2:
            raise ValueError(f"not a version: {version!r}")
        number = int(found[0]), int(found[1])
        newer = number >= ARCH_ID_SINCE
        return cls(
            version=version,
            scheme="Bearer " if number >= BEARER_SINCE else "",
            arch_key="archId" if newer else "fogTypeId",
            pruning_key="pruningFrequency" if number >= PRUNING_SINCE else "dockerPruningFrequency",
            arches=ARCHES if newer else ("x86", "arm"),
            second_factor=newer,
        )

    def catalog_arch(self, number: object) -> Arch | None:
        """The architecture of a catalog item's image; None if it is not known here."""
        return next((arch for arch in self.arches if NUMBERS[arch] == number), None)

    def agent_arches(self, number: object) -> tuple[Arch, ...]:
        """The architectures that an agent's number may mean: for older Controllers, ARM is 32-bit or 64-bit."""
        arch = self.catalog_arch(number)
        if arch == "arm" and len(self.arches) == 2:
            return ("arm", "armv7")
        return (arch,) if arch else ()
