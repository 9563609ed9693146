"""One agent, connected: its spool and its engine as one thing, which a rollout works with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pulumi_iofog import layout
from pulumi_iofog.adapters import engine
from pulumi_iofog.adapters.spool import Spool
from pulumi_iofog.adapters.ssh import Connection
from pulumi_iofog.errors import VerificationFailed
from pulumi_iofog.image import Blob, Digest, Image, Pin, Platform
from pulumi_iofog.plan import EngineKind, Inventory, Transfer
from pulumi_iofog.spec import Agent


class EdgeHost:
    """See rollout.Host, whose Protocol this fulfils."""

    def __init__(self, connection: Connection, agent: Agent) -> None:
        self._connection, self._agent = connection, agent
        self._engine = engine.find(connection, agent)
        self._spool: Spool | None = None

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
        """What the engine and the spool hold of the image."""
        tagged = self._engine.image_id(image.reference.full_name) == self._engine.expected_id(image.pin)
        if tagged:
            return Inventory(self.kind, True, frozenset(image.diff_ids))
        return Inventory(self.kind, False, self._engine.held_layers(image), self.spool.sizes(image))

    def make_room(self, image: Image, sending: Transfer, inventory: Inventory) -> None:
        """Raise NoSpace before a byte is sent, if the disk cannot take it."""
        spooled = sum(inventory.spooled.get(blob.digest, 0) for blob in sending.blobs)
        self._engine.make_room(self.spool.root, sending.size - spooled, sending.size)

    def receive(self, image: Image, blob: Blob, path: Path, on_bytes: Callable[[int], None]) -> None:
        self.spool.receive(image, blob, path, on_bytes)

    def load(self, image: Image, absent: frozenset[Digest]) -> None:
        """Load what lies in the spool. Raises MissingLayers if the engine lacks an absent layer."""
        self.spool.write(image, layout.files(image, absent, self.kind))
        self._engine.load(image, self.spool.folder(image), absent)

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
        """Leave nothing behind of this image's transfer, nor of an interrupted verification."""
        self.spool.clean(image)
        self._engine.clean()
