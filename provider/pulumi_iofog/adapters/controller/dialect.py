"""How Controllers of different versions differ, as values. Pure.

Recorded from 3.0.4 and 3.7.3. What 3.8 changed is taken from its changelog and source (catalog-service.js,
arch-images.js): ``archId`` instead of ``fogTypeId``, and two more architectures. From which version on system
items are listed, and microservices rebuilt, is taken from the sources of all versions between the two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pulumi_iofog.inputs.catalog import CatalogRules
from pulumi_iofog.inputs.spec import ARCHES, Arch

Version = tuple[int, ...]
BEARER_SINCE: Version = (3, 5)
"""Older ones take the bare token."""
LISTS_SYSTEM_ITEMS_SINCE: Version = (3, 5)
"""Older ones list none of the items that came with them as SYSTEM, and keep their names from being taken."""
REBUILDS_SINCE: Version = (3, 5, 7)
"""Older ones refuse to write an item's images while a microservice of it is running (catalog-service.js,
_updateCatalogItemImages)."""
LONGEST_VERSION = 60
"""Characters."""
ARCH_ID_SINCE: Version = (3, 8)
PRUNING_SINCE: Version = (3, 9)
"""Older ones call an agent's pruning frequency Docker's (iofog-service.js)."""
NUMBERS: Mapping[Arch, int] = {"x86": 1, "arm": 2, "riscv64": 3, "armv7": 4}
"""Architecture → its number; 0 stands for one that is not known yet."""
UNLISTED = frozenset({"Networking Tool", "RESTBlue", "HAL", "Router", "Proxy", "Port Router"})
"""Names of the system items of Controllers that do not list them (src/data/seeders of 3.0.4)."""
ITS_OWN_PUBLISHER = "Eclipse ioFog"
"""Of the items that came with an older Controller. It lets no user have that publisher, and says of a change to one
of them that there is no such item (catalog-service.js of 3.0.4)."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one Controller expects and reports.

    Attributes:
        scheme: what precedes the token in ``Authorization``.
        arch_key: what an image's architecture is called.
        pruning_key: what an agent's pruning frequency, in hours, is called.
        second_factor: whether its users may have one, without which a password is not enough.
        rules: what its catalog takes and does.
    """

    scheme: str
    arch_key: str
    pruning_key: str
    second_factor: bool
    rules: CatalogRules

    @classmethod
    def of(cls, version: str) -> Dialect:
        """``3.7.3`` → its dialect. ValueError if it is not a version."""
        found = re.findall(r"\d+", version)
        if len(found) < 2 or len(version) > LONGEST_VERSION:
            raise ValueError(f"not a version: {version!r}")
        number = tuple(int(part) for part in found[:3])
        newer = number >= ARCH_ID_SINCE
        return cls(
            scheme="Bearer " if number >= BEARER_SINCE else "",
            arch_key="archId" if newer else "fogTypeId",
            pruning_key="pruningFrequency" if number >= PRUNING_SINCE else "dockerPruningFrequency",
            second_factor=newer,
            rules=CatalogRules(
                version=version,
                arches=ARCHES if newer else ("x86", "arm"),
                frozen=number < REBUILDS_SINCE,
                reserved=frozenset() if number >= LISTS_SYSTEM_ITEMS_SINCE else UNLISTED,
            ),
        )

    @property
    def arches(self) -> tuple[Arch, ...]:
        """Those that the catalog has, in the order of their numbers."""
        return self.rules.arches

    def is_system(self, item: Mapping[str, object]) -> bool:
        """Whether a catalog item, as it is listed, is the Controller's own."""
        unlisted = bool(self.rules.reserved)
        return item.get("category") == "SYSTEM" or (unlisted and item.get("publisher") == ITS_OWN_PUBLISHER)

    def catalog_arch(self, number: object) -> Arch | None:
        """The architecture of a catalog item's image; None if it is not known here."""
        return next((arch for arch in self.arches if NUMBERS[arch] == number), None)

    def agent_arches(self, number: object) -> tuple[Arch, ...]:
        """The architectures that an agent's number may mean: for older Controllers, ARM is 32-bit or 64-bit."""
        arch = self.catalog_arch(number)
        if arch == "arm" and len(self.arches) == 2:
            return ("arm", "armv7")
        return (arch,) if arch else ()
