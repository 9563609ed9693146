"""One agent, connected: its spool and its engine as one thing, which a rollout works with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pulumi_iofog import layout
from pulumi_iofog.adapters.engine import engine
from pulumi_iofog.adapters.spool import Spool, saved_folder
from pulumi_iofog.adapters.ssh.connect import Connection
from pulumi_iofog.errors import EngineError, VerificationFailed
from pulumi_iofog.image import Blob, Digest, Image, Layer, Pin, Platform
from pulumi_iofog.spec import Agent
from pulumi_iofog.transfer import FAST, SLOW, AsIs, Copied, Delta, EngineKind, Inventory, Part, Transfer

ARCHIVE = "archive"
"""The name in the spool of an archive that is loaded as it arrives."""
PROBE, PROBES = 256_000, 3
"""Bytes by which a link is measured, and how often at most."""


class EdgeHost:
    """See rollout.Host, whose Protocol this fulfils."""

    def __init__(self, connection: Connection, agent: Agent) -> None:
        self._connection, self._agent = connection, agent
        self._engine = engine.find(connection, agent)
        self._spool: Spool | None = None
        self._saved: dict[Digest, str] = {}
        """Where in the spool layers lie that the engine has given back."""

    @property
    def kind(self) -> EngineKind:
        return self._engine.kind

    @property
    def platform(self) -> Platform:
        return self._engine.platform

    @property
    def spool(self) -> Spool:
        """Made on the host when it is first needed."""
        if self._spool is None:
            self._spool = Spool(self._connection, self._agent.name)
        return self._spool

    def inventory(self, image: Image) -> Inventory:
        """What the engine holds, and what the host has to work with."""
        tagged = self._engine.image_id(image.reference.full_name) == self._engine.expected_id(image.pin)
        images, tools = self._engine.images(), self.spool.tools
        return Inventory(self.kind, tagged, images, tools.zstd, tools.memory)

    def make_room(self, image: Image, sending: Transfer) -> None:
        """Raise NoSpace before a byte is sent, if the disk cannot take it."""
        in_spool, in_engine = sending.space
        there = self.spool.arrived(image)
        self._engine.make_room(self.spool.root, max(in_spool - sum(there.values()), 0), in_engine)

    def give_back(self, image: Image, parts: Sequence[Part], inventory: Inventory) -> None:
        """Have the engine give back the layers that parts are made from."""
        wanted = {part.way.source for part in parts if isinstance(part.way, Delta | Copied)}
        self._saved = {}
        if wanted:
            self.spool.make(image)
        for source in (held for held in inventory.images if held.id in wanted):
            self._engine.give_back(source, f"{self.spool.folder(image)}/{saved_folder(source)}")
            self._saved.update(self.spool.saved(image, source))

    def receive(
        self, image: Image, part: Part, stream: Callable[[int], Iterable[bytes]], on_bytes: Callable[[int], None]
    ) -> None:
        """Bring a part's bytes into the spool; ``stream`` gives them from an offset on."""
        self.spool.receive(image, part, stream, on_bytes)

    def settle(self, image: Image, part: Part) -> Blob:
        """Make the part's layer of what has arrived, and prove it; what then lies in the spool for it.
        Raises CorruptLayer."""
        size = self.spool.settle(image, part, self._saved)
        return part.layer.blob if isinstance(part.way, AsIs) else layout.plain_blob(part.layer, size)

    def load(self, image: Image, carried: Mapping[Digest, Blob], whole: Image) -> None:
        """Load what lies in the spool. Raises MissingLayers if the engine lacks a layer that does not.

        Args:
            image: the image itself, or one of its lower layers alone.
            carried: diff id → what lies in the spool for that layer.
            whole: the image in whose spool it lies.
        """
        carried = {diff_id: carried[diff_id] for diff_id in image.diff_ids if diff_id in carried}
        self.spool.write(whole, layout.files(image, carried, self.kind))
        self._engine.load(image, self.spool.folder(whole), carried)

    @property
    def takes_archives(self) -> bool:
        return self._engine.takes_archives

    def load_archive(
        self,
        image: Image,
        parts: Sequence[Part],
        stream: Callable[[Part, int], Iterable[bytes]],
        on_bytes: Callable[[int], None],
    ) -> None:
        """Send parts, all of them blobs as they are, and load the image, both at the same time."""
        pieces = layout.archive(image, [part.layer for part in parts], self.kind)
        have = self.spool.arrived(image).get(ARCHIVE, 0)
        kept = f"{self.spool.folder(image)}/parts/{ARCHIVE}"
        carried = {part.layer.diff_id: part.layer.blob for part in parts}
        by_layer = {part.layer: part for part in parts}
        rest = _rest(pieces, have, lambda layer, offset: stream(by_layer[layer], offset))
        try:
            self._engine.load_archive(image, kept, rest, _beyond(pieces[0].size - have, on_bytes), carried)
        except EngineError:
            # It may be what is kept that is wrong: the parts themselves are proven each.
            self.spool.clean(image)
            raise

    def rate(self) -> float:
        """Bytes/s of the link, roughly: told from small probes. One that is neither clearly slow nor fast is
        tried again, as a busy machine makes a fast link look slower."""
        best = 0.0
        for _ in range(PROBES):
            best = max(best, self._probe())
            if not SLOW < best <= FAST:
                break
        return best

    def _probe(self) -> float:
        began = time.monotonic()
        self._connection.run("true")
        empty = time.monotonic() - began
        began = time.monotonic()
        self._connection.send("cat >/dev/null", [bytes(PROBE)], lambda count: None)
        return PROBE / max(time.monotonic() - began - empty, 0.001)

    def verify(self, pin: Pin) -> None:
        self._engine.verify(pin)

    def holds(self, pin: Pin) -> bool:
        """Whether the image is there under its name, and a container can be made of it."""
        if self._engine.image_id(pin.reference.full_name) != self._engine.expected_id(pin):
            return False
        try:
            self._engine.verify(pin)
        except VerificationFailed:
            return False
        return True

    def remove(self, pin: Pin) -> bool:
        return self._engine.remove(pin)

    def clean(self, image: Image) -> None:
        """Leave nothing behind of this image's transfer, nor of an interrupted one."""
        self.spool.clean(image)
        self._engine.clean()


def _rest(
    pieces: Sequence[layout.Piece], have: int, stream: Callable[[Layer, int], Iterable[bytes]]
) -> Iterator[bytes]:
    """An archive's bytes from an offset on."""
    for piece in pieces:
        if have < piece.size:
            yield from stream(piece.layer, have) if piece.layer else [piece.data[have:]]
        have = max(have - piece.size, 0)


def _beyond(first: int, on_bytes: Callable[[int], None]) -> Callable[[int], None]:
    """Tells of all bytes but the first ones: the small files, which nobody counts."""
    left = first

    def told(count: int) -> None:
        nonlocal left
        skipped = min(count, max(left, 0))
        left -= skipped
        on_bytes(count - skipped)

    return told
