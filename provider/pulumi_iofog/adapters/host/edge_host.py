"""One agent, connected: its spool and its engine as one thing, which a rollout works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property

from pulumi_iofog.adapters.host import link, turn
from pulumi_iofog.adapters.host.answers_kept import Repeating
from pulumi_iofog.adapters.host.delivery import Delivery
from pulumi_iofog.adapters.host.engines.detect import find
from pulumi_iofog.adapters.host.patience import Patient
from pulumi_iofog.adapters.host.spool import Spool
from pulumi_iofog.adapters.ssh.connect import Connection
from pulumi_iofog.errors import VerificationFailed
from pulumi_iofog.inputs import engine_timeout
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Image, Pin, Platform
from pulumi_iofog.transfer.inventory import Inventory
from pulumi_iofog.transfer.plan import Transfer
from pulumi_iofog.transfer.planner import FAST


class EdgeHost:
    """See rollout.tools.Host and Leftovers, whose Protocols this fulfils.

    Args:
        patience: seconds for which the engine may be silent.
        say: told what is waited for, where that takes long; nothing, once it is over.
    """

    def __init__(
        self,
        connection: Connection,
        agent: Agent,
        patience: float = engine_timeout.DEFAULT,
        say: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._connection, self._agent = connection, agent
        repeating = Repeating(connection)
        shell = Patient(repeating, agent.name, patience, say)
        shell.called = {"docker": "dockerd", None: shell.called}.get(agent.engine, agent.engine or "")
        self._engine = find(shell, agent)
        repeating.fresh = True
        shell.called, shell.ping = self._engine.daemon or self._engine.cli, self._engine.answers

    def turn(self, wait: turn.Wait) -> AbstractContextManager[None]:
        """While it lasts, nobody else brings anything to this host, from wherever.

        Args:
            wait: told again and again who does, it sleeps.
        """
        return turn.turn(self._connection, self._agent.name, wait)

    @cached_property
    def spool(self) -> Spool:
        """Made on the host when it is first needed."""
        return Spool(self._connection, self._agent.name, self._connection.host_key, self._agent.spool)

    @property
    def platform(self) -> Platform:
        return self._engine.platform

    def inventory(self, image: Image) -> Inventory:
        """What the engine holds, and what the host has to work with."""
        engine, has = self._engine, self.spool.has
        listing = engine.images(image.reference)
        tagged = listing.named == engine.traits.image_id(image.pin)
        return Inventory(
            engine.traits, engine.platform, tagged, listing.images, has.gzip, has.zstd, has.memory, engine.description
        )

    def rate(self) -> float:
        """Bytes/s of the link."""
        return link.measure(self._connection, enough=FAST)

    def delivery(self, image: Image, sending: Transfer) -> Delivery:
        """Begin to bring an image. Raises NoSpace before a byte is sent, if the disk cannot take it."""
        return Delivery(self.spool, self._engine, image, sending)

    def replaced(self) -> int:
        """How many blobs were damaged in the engine's store and replaced."""
        return len(self._engine.replaced)

    def verify(self, pin: Pin) -> tuple[str, ...]:
        return self._engine.verify(pin)

    def holds_each(self, pins: Sequence[Pin]) -> Mapping[Pin, bool]:
        """As ``holds``, of several images at once."""
        proven = self._engine.proven(pins) if len(pins) > 1 else frozenset[Pin]()
        return {pin: pin in proven or self.holds(pin) for pin in pins}

    def holds(self, pin: Pin) -> bool:
        """Whether the image is there under its name, and a container can be made of it."""
        if self._engine.image_id(pin.reference) != self._engine.traits.image_id(pin):
            return False
        try:
            self._engine.verify(pin)
        except VerificationFailed:
            return False
        return True

    def renew(self, image: Image) -> None:
        self._engine.renew(image)

    def remove(self, pin: Pin) -> bool:
        return self._engine.remove(pin)

    # ---- what transfers leave behind ----------------------------------------------------------------

    def remove_stale_containers(self) -> None:
        """Remove containers that interrupted verifications have left."""
        self._engine.remove_stale_containers()

    def untag_lower_images(self) -> None:
        """Remove from the engine the names of lower layers, of this transfer and of interrupted ones."""
        self._engine.untag_lower_images()

    def clear_spool(self, image: Image) -> None:
        """Leave nothing behind of this image's transfer, nor what is old."""
        self.spool.clear(image)
