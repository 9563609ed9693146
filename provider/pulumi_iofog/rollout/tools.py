"""What a rollout needs of others, as Protocols: it imports no adapter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Descriptor, Digest, Image, Pin, Reference
from pulumi_iofog.transfer.encodings import Coming, Part
from pulumi_iofog.transfer.inventory import Inventory
from pulumi_iofog.transfer.plan import Transfer


class Leftovers(Protocol):
    """What transfers leave behind on a host, this one and those that were interrupted."""

    def remove_stale_containers(self) -> None: ...
    def untag_lower_images(self) -> None: ...
    def clear_spool(self, image: Image) -> None: ...


class Host(Leftovers, Protocol):
    """One agent, connected: what its engine holds, and what it can be told."""

    def inventory(self, image: Image) -> Inventory: ...
    def rate(self) -> float: ...
    def delivery(self, image: Image, sending: Transfer) -> Delivery: ...
    def verify(self, pin: Pin) -> Sequence[str]: ...
    def replaced(self) -> int: ...
    def renew(self, image: Image) -> None: ...
    def remove(self, pin: Pin) -> bool: ...


class Delivery(Protocol):
    """One image on its way to one host, whose disk has the room for it."""

    def has(self, part: Part) -> bool: ...
    def prove_held(self) -> None: ...
    def take_back(self, parts: Sequence[Part], inventory: Inventory) -> None: ...
    def receive(
        self, part: Part, stream: Callable[[int], Iterable[bytes]], on_bytes: Callable[[int], None]
    ) -> None: ...
    def prove(self, part: Part, expected: Descriptor) -> Descriptor: ...
    def load(self, target: Image, carried: Mapping[Digest, Descriptor]) -> None: ...
    def load_along(self, target: Image, coming: Coming, lines: Iterator[bytes]) -> bool: ...
    def discard(self, blobs: Iterable[Descriptor]) -> None: ...


class Payloads(Protocol):
    """Where bytes come from: the local cache, and behind it the registry."""

    def older(self, diff_ids: Iterable[Digest]) -> Mapping[Digest, Descriptor]: ...
    def plain_sizes(self, image: Image) -> Mapping[Digest, int]: ...
    def ready(self, reference: Reference, part: Part) -> Part: ...
    def ahead(self, reference: Reference, parts: Sequence[Part]) -> AbstractContextManager[None]: ...
    def stream(self, reference: Reference, part: Part, offset: int) -> Iterator[bytes]: ...
    def expected(self, reference: Reference, part: Part) -> Descriptor: ...


class Progress(Protocol):
    """Told as bytes flow; from many threads."""

    def begin(self, agent: str, doing: str, size: int = 0) -> None: ...
    def waits(self, agent: str, why: str) -> None: ...
    def moved(self, agent: str, count: int) -> None: ...
    def end(self, agent: str, *, failed: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What a rollout reaches for.

    Attributes:
        memory, programs: see Means.
        pace: for an agent, what is told of bytes that have gone, and waits until more may go.
        limit: bytes/s that an agent may be sent; None for no limit.
        wait: sleeps so many seconds.
    """

    connect: Callable[[Agent], AbstractContextManager[Host]]
    payloads: Payloads
    progress: Progress
    memory: int = 0
    programs: frozenset[str] = frozenset()
    pace: Callable[[str], Callable[[int], None]] = lambda agent: lambda count: None
    limit: float | None = None
    wait: Callable[[float], None] = time.sleep


class Recipe(Protocol):
    """Makes a worker's tools where it works. For workers in other processes it must be picklable, and so share
    nothing with them."""

    def tools(self) -> AbstractContextManager[Tools]: ...


@dataclass(frozen=True, slots=True)
class Ready:
    """The recipe of those who work in this process: tools that all of them share."""

    made: Tools

    def tools(self) -> AbstractContextManager[Tools]:
        return nullcontext(self.made)
