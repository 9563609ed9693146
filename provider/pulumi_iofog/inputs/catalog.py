"""What a Controller says of its agents and its catalog, and of who uses an item, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pulumi_iofog.inputs.spec import Arch, CatalogItem


@dataclass(frozen=True, slots=True)
class KnownAgent:
    """An agent as the Controller knows it; None where it does not say.

    Attributes:
        arches: what its architecture may be; empty where the Controller does not say. Before 3.8 it tells
            a 32-bit ARM from a 64-bit one no better than ``("arm", "armv7")``.
        engine: the name of its container engine as the Controller has it, which may be one that is not known here.
        engine_socket: where that listens, as the Controller has it (``dockerUrl``).
        pruning_hours: after how many hours, again and again, the agent removes images that no microservice uses; 0
            for never.
        provisioned: whether the agent has joined the Controller; until then it does so every hour.
    """

    name: str
    uuid: str
    host: str | None
    arches: tuple[Arch, ...]
    engine: str | None
    engine_socket: str | None = None
    pruning_hours: int | None = None
    provisioned: bool = True


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
    """An item that is there.

    Attributes:
        system: it is the Controller's own, and cannot be changed.
        publisher: who has made it, as it says itself (check/owner.py).
    """

    item_id: int
    item: CatalogItem
    system: bool = False
    publisher: str | None = None


@dataclass(frozen=True, slots=True)
class Microservice:
    """One that uses an item; ``name`` is ``application/microservice``, ``agent`` its agent's name, if that is known."""

    name: str
    agent: str | None
    running: bool
    uuid: str = ""

    def __str__(self) -> str:
        return f"{self.name} on {self.agent}" if self.agent else self.name
