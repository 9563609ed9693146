"""Edge hosts in memory, which really hold, lose and refuse layers, and where they lie."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pulumi_iofog.errors import CorruptLayer, EngineError, MissingLayers, Unreachable, VerificationFailed
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import AMD64, Descriptor, Digest, Image, Pin, Platform, Reference
from pulumi_iofog.rollout.tools import Ready, Tools
from pulumi_iofog.transfer.encodings import Coming, Part
from pulumi_iofog.transfer.engine_traits import EngineKind, traits_of
from pulumi_iofog.transfer.inventory import HeldImage, Inventory
from pulumi_iofog.transfer.plan import Transfer
from pulumi_iofog.transfer.signals import COMPLETE, MORE, WHOLE
from tests.images import MadeImage


@dataclass
class MemoryHost:
    """An edge host in memory: layers by diff id, images by full name, a spool by the parts' names."""

    kind: EngineKind = "podman"
    platform: Platform = AMD64
    layers: set[Digest] = field(default_factory=set)
    claims: set[Digest] = field(default_factory=set)
    images: dict[str, Digest] = field(default_factory=dict)
    damaged: set[Digest] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    in_use: set[Digest] = field(default_factory=set)
    spool: dict[str, bytes] = field(default_factory=dict)
    proven: set[Digest] = field(default_factory=set)
    discarded: set[Digest] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    down: bool = False
    load_fails: bool = False
    follow_fails: bool = False
    zstd: bool = False
    corrupts: set[type] = field(default_factory=set)
    cuts: list[int] = field(default_factory=list)
    """After how many more bytes the link is lost, each time once."""
    away: int = 0
    """How often it does not answer after a cut."""
    speed: float = 110e6
    tidied: int = 0
    repaired: int = 0
    stale: bool = False
    """It keeps what it has unpacked of an image, until that is removed."""
    shared: bool = False

    def inventory(self, image: Image) -> Inventory:
        self.calls.append("inventory")
        tagged = self.images.get(image.reference.full_name) == image.image_id
        holds = (HeldImage("sha256:held", tuple(sorted(self.layers | self.claims))),)
        return Inventory(traits_of(self.kind), self.platform, tagged, holds, False, self.zstd, 10**10)

    def rate(self) -> float:
        self.calls.append("rate")
        return self.speed

    def delivery(self, image: Image, sending: Transfer) -> MemoryDelivery:
        self.calls.append("room")
        return MemoryDelivery(self, image, sending)

    def verify(self, pin: Pin) -> Sequence[str]:
        self.calls.append("verify")
        broken = self.stale or pin.reference.full_name in self.broken
        if self.images.get(pin.reference.full_name) != pin.image_id or broken:
            raise VerificationFailed("edge", "verifying", "no container can be created")
        return sorted(name for name, id_ in self.images.items() if id_ == pin.image_id)

    def replaced(self) -> int:
        return self.repaired

    def renew(self, image: Image) -> None:
        self.calls.append("renew")
        if self.shared:
            raise VerificationFailed("edge", "loading", "another shares the damaged layer", "Remove it")
        self.images.pop(image.reference.full_name)
        self.layers.clear()
        self.stale = bool(self.broken)

    def remove(self, pin: Pin) -> bool:
        self.calls.append("remove")
        return pin.image_id not in self.in_use

    def take_bytes(self, part: Part, data: bytes, on_bytes: Callable[[int], None]) -> None:
        for byte in data:
            if self.cuts and self.cuts[0] == 0:
                self.cuts.pop(0)
                raise Unreachable("edge", "sending", "the connection was lost")
            self.cuts[:1] = [left - 1 for left in self.cuts[:1]]
            self.spool[part.name] += bytes([byte])
            on_bytes(1)

    def load(self, image: Image, carried: set[Digest], *, lower: bool) -> None:
        self.calls.append(f"load {len(image.layers)}" if lower else "load")
        if self.load_fails:
            raise EngineError("edge", "loading", "the daemon went away")
        self.take(image, carried)

    def take(self, image: Image, given: set[Digest]) -> None:
        if not set(image.diff_ids) <= given | self.layers:
            raise MissingLayers("edge", "loading", "a layer is missing")
        self.layers |= set(image.diff_ids)
        self.repaired += len(self.damaged & given)
        self.damaged -= given
        self.images[image.reference.full_name] = image.image_id
        self.broken.discard(image.reference.full_name)

    def remove_stale_containers(self) -> None:
        """There are none."""

    def untag_lower_images(self) -> None:
        self.tidied += 1

    def clear_spool(self, image: Image) -> None:
        self.spool.clear()
        self.proven.clear()


class SwiftHost(MemoryHost):
    """Takes bytes at once, for images of some size."""

    def take_bytes(self, part: Part, data: bytes, on_bytes: Callable[[int], None]) -> None:
        self.spool[part.name] += data
        on_bytes(len(data))


class ForgetfulHost(SwiftHost):
    """Loses the lower layers once, before all others come."""

    def load(self, image: Image, carried: set[Digest], *, lower: bool) -> None:
        if not lower and "load" not in self.calls:
            self.layers.clear()
        super().load(image, carried, lower=lower)


@dataclass
class MemoryDelivery:
    """One image on its way to such a host."""

    host: MemoryHost
    image: Image
    sending: Transfer

    def has(self, part: Part) -> bool:
        return len(self.host.spool.get(part.name, b"")) == part.layer.blob.size

    def prove_held(self) -> None:
        lost = self.sending.absent & self.host.damaged
        self.host.layers -= lost
        if lost:
            raise MissingLayers("edge", "proving layers that are there", "one is damaged")

    def take_back(self, parts: Sequence[Part], inventory: Inventory) -> None:
        """Nothing to do: what the host holds it has at hand."""

    def receive(self, part: Part, stream: Callable[[int], Iterable[bytes]], on_bytes: Callable[[int], None]) -> None:
        self.host.calls.append("receive")
        if not self.has(part):
            have = len(self.host.spool.setdefault(part.name, b""))
            self.host.take_bytes(part, b"".join(stream(have)), on_bytes)

    def prove(self, part: Part, expected: Descriptor) -> Descriptor:
        self.host.calls.append("prove")
        if type(part.encoding) in self.host.corrupts:
            del self.host.spool[part.name]
            raise CorruptLayer("edge", "proving a layer", "what arrived has another sha256")
        self.host.proven.add(part.layer.diff_id)
        self.host.discarded.discard(expected.digest)
        return expected

    def load(self, target: Image, carried: Mapping[Digest, Descriptor]) -> None:
        assert carried.keys() <= self.host.proven
        assert not self.host.discarded & {blob.digest for blob in carried.values()}
        self.host.load(target, set(carried), lower=target != self.image)

    def load_along(self, target: Image, coming: Coming, lines: Iterator[bytes]) -> bool:
        told = [line for line in lines if line != MORE]
        if told != [WHOLE] * len(coming) + [COMPLETE]:
            self.host.calls.append("given up")
            return False
        if self.host.follow_fails:
            return False
        assert {part.layer.diff_id for part, _ in coming} <= self.host.proven
        self.host.take(target, {part.layer.diff_id for part, _ in coming})
        self.host.calls.append("followed" if target == self.image else f"followed {len(target.layers)}")
        return True

    def discard(self, blobs: Iterable[Descriptor]) -> None:
        for blob in blobs:
            self.host.discarded.add(blob.digest)
            self.host.spool.pop(blob.digest.hex, None)


class Quiet:
    def begin(self, agent: str, doing: str, size: int = 0) -> None: ...
    def waits(self, agent: str, why: str) -> None: ...
    def moved(self, agent: str, count: int) -> None: ...
    def end(self, agent: str, *, failed: bool = False) -> None: ...


class Site:
    """Hosts by name, and the blobs of some images as files."""

    def __init__(self, folder: Path, *made: MadeImage) -> None:
        self.folder, self.hosts = folder, {}  # type: ignore[var-annotated]
        self.pulled: list[Digest] = []
        self.announced: list[list[Digest]] = []
        self.known: dict[Digest, Descriptor] = {}
        self.waited: list[float] = []
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()
        for image in made:
            for digest, data in image.blobs.items():
                (folder / digest.hex).write_bytes(data)

    def older(self, diff_ids: Iterable[Digest]) -> dict[Digest, Descriptor]:
        return {diff_id: self.known[diff_id] for diff_id in diff_ids if diff_id in self.known}

    def plain_sizes(self, image: Image) -> dict[Digest, int]:
        return {}

    def ready(self, reference: Reference, part: Part) -> Part:
        return part

    def stream(self, reference: Reference, part: Part, offset: int) -> Iterator[bytes]:
        self.pulled.append(part.layer.blob.digest)
        yield (self.folder / part.layer.blob.digest.hex).read_bytes()[offset:]

    @contextmanager
    def ahead(self, reference: Reference, parts: Sequence[Part]) -> Iterator[None]:
        self.announced.append([part.layer.blob.digest for part in parts])
        yield

    def expected(self, reference: Reference, part: Part) -> Descriptor:
        return part.layer.blob

    @contextmanager
    def connect(self, agent: Agent) -> Iterator[MemoryHost]:
        host = self.hosts.setdefault(agent.name, MemoryHost())
        if host.down or (host.calls and host.away):
            host.away -= 1
            raise Unreachable(agent.name, "connecting", "connection refused", "Is sshd running?")
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            yield host
        finally:
            with self._lock:
                self._now -= 1

    def recipe(self) -> Ready:
        return Ready(self.tools())

    def tools(self) -> Tools:
        return Tools(self.connect, self, Quiet(), 10**10, wait=self.waited.append)
