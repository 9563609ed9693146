"""One agent, connected: its spool and its engine as one thing, which a rollout works with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from pulumi_iofog.adapters.host import link
from pulumi_iofog.adapters.host.engines.detect import find
from pulumi_iofog.adapters.host.spool import Arrived, Spool, saved_folder
from pulumi_iofog.adapters.ssh.connect import Connection
from pulumi_iofog.errors import VerificationFailed
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Blob, Digest, Image, Pin, Platform
from pulumi_iofog.transfer import load_folder
from pulumi_iofog.transfer.encodings import Coming, Copied, Delta, EngineKind, Inventory, Part, Recoded, Transfer
from pulumi_iofog.transfer.planner import FAST
from pulumi_iofog.transfer.read_along import COMPLETE


class EdgeHost:
    """See rollout.Host, whose Protocol this fulfils."""

    def __init__(self, connection: Connection, agent: Agent) -> None:
        self._connection, self._agent = connection, agent
        self._engine = find(connection, agent)
        self._spool: Spool | None = None
        self._arrived = Arrived({}, {})
        self._lower: set[str] = set()
        """Names of images of lower layers alone."""
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
        listing = self._engine.images(image.reference.full_name)
        self._lower.update(listing.lower)
        tools, tagged = self.spool.tools, listing.named == self._engine.expected_id(image.pin)
        return Inventory(self.kind, tagged, listing.images, tools.gzip, tools.zstd, tools.memory)

    def make_room(self, image: Image, sending: Transfer) -> None:
        """See what an earlier try has brought; raise NoSpace before a byte is sent, if the disk cannot take
        the rest."""
        in_spool, in_engine = sending.space
        self._arrived = self.spool.arrived(image)
        self._engine.make_room(self.spool.root, max(in_spool - sum(self._arrived.sizes.values()), 0), in_engine)

    def has(self, part: Part) -> bool:
        """Whether all of a part has come before."""
        form = part.layer.diff_id if part.plain else part.layer.blob.digest
        return self._arrived.whole(part, None if isinstance(part.way, Recoded) else form)

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
        have = self._arrived.sizes.get(part.name, 0)
        if not self.has(part):
            self.spool.receive(image, part, stream(have), on_bytes)

    def settle(self, image: Image, part: Part, form: Blob) -> Blob:
        """Make ``form`` of what has arrived, and prove that it is it; what then lies in the spool, with its size.
        Raises CorruptLayer."""
        return replace(form, size=self.spool.settle(image, part, form.digest, self._saved))

    def load(self, image: Image, carried: Mapping[Digest, Blob], whole: Image) -> None:
        """Load what lies in the spool. Raises MissingLayers if the engine lacks a layer that does not, CorruptLayer if
        one that does does not come out right.

        Args:
            image: the image itself, or one of its lower layers alone.
            carried: diff id → what lies in the spool for that layer.
            whole: the image in whose spool it lies.
        """
        self._remember(image, whole)
        carried = {diff_id: carried[diff_id] for diff_id in image.diff_ids if diff_id in carried}
        self.spool.write(whole, load_folder.files(image, carried, self.kind))
        self._engine.load(image, self.spool.folder(whole), carried)

    def follow(self, image: Image, coming: Coming, whole: Image, lines: Iterable[bytes]) -> bool:
        """Load what is still arriving in the spool. Whether it is loaded; where it is not, ``load`` says why.

        Args:
            coming: the parts, each with what it turns out to be.
            lines: tell how far it is (see Following).
        """
        self._remember(image, whole)
        heads = {
            load_folder.head_path(part.layer.diff_id): load_folder.head(part.layer.diff_id, blob)
            for part, blob in coming
        }
        self.spool.write(whole, heads)
        files = load_folder.files(image, {part.layer.diff_id: blob for part, blob in coming}, self.kind)
        told = (line + load_folder.archive(files) if line == COMPLETE else line for line in lines)
        return self._engine.follow(self.spool.folder(whole), coming, told)

    def _remember(self, image: Image, whole: Image) -> None:
        """Lower layers alone are to be forgotten at the end, also where their load has failed."""
        if (name := image.reference.full_name) != whole.reference.full_name:
            self._lower.add(name)

    def drop(self, image: Image, blobs: Iterable[Blob]) -> None:
        """Remove from the spool what the engine has taken in."""
        self.spool.drop(image, [blob.digest for blob in blobs])

    def rate(self) -> float:
        """Bytes/s of the link."""
        return link.measure(self._connection, enough=FAST)

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

    def sweep(self) -> None:
        """Remove from the engine what interrupted verifications have left."""
        self._engine.sweep()

    def tidy(self) -> None:
        """Remove from the engine what helped on the way, in this transfer and in interrupted ones."""
        if self._lower:
            self._engine.forget(self._lower)

    def clean(self, image: Image) -> None:
        """Leave nothing behind in the spool of this image's transfer, nor what is old."""
        self.spool.clean(image)
