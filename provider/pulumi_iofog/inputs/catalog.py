"""What a Controller says of its catalog, and of who uses an item, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pulumi_iofog.inputs.spec import Arch, CatalogItem


@dataclass(frozen=True, slots=True)
class CatalogRules:
    """What one Controller's catalog takes, and does.

    Attributes:
        version: the Controller's, as it says it.
        arches: the architectures that an item may have images for, in the catalog's order.
        frozen: an item's images cannot be written while a microservice of it is running; else the Controller has
            all microservices of an item rebuilt whose images are written, also where they stay the same.
        reserved: names of its own items that it does not list.
    """

    version: str
    arches: tuple[Arch, ...]
    frozen: bool
    reserved: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FoundItem:
    """An item that is there. ``system``: it is the Controller's own, and cannot be changed."""

    item_id: int
    item: CatalogItem
    system: bool = False


@dataclass(frozen=True, slots=True)
class Microservice:
    """One that uses an item; ``name`` is ``application/microservice``, ``agent`` its agent's name, if that is known."""

    name: str
    agent: str | None
    running: bool

    def __str__(self) -> str:
        return f"{self.name} on {self.agent}" if self.agent else self.name
