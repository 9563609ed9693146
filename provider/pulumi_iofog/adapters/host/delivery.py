"""One image on its way to one host: parts received and proven in the spool, then loaded by the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from pulumi_iofog.adapters.gzip_tokens.program import program_for
from pulumi_iofog.adapters.host.engines.base import Engine
from pulumi_iofog.adapters.host.spool import Spool, saved_folder
from pulumi_iofog.errors import NoSpace
from pulumi_iofog.oci.image import Descriptor, Digest, Image
from pulumi_iofog.transfer import load_folder
from pulumi_iofog.transfer.encodings import Coming, Part, TokenDelta
from pulumi_iofog.transfer.inventory import Inventory
from pulumi_iofog.transfer.plan import Transfer
from pulumi_iofog.transfer.signals import COMPLETE


class Delivery:
    """See rollout.tools.Delivery, whose Protocol this fulfils.

    Whoever has one knows what an earlier try has brought, that nobody still reads what that one had sent, and that
    the disk takes the rest: raises NoSpace.
    """

    def __init__(self, spool: Spool, engine: Engine, image: Image, sending: Transfer) -> None:
        self._spool, self._engine, self._image = spool, engine, image
        if engine.traits.reads_along:
            engine.end_abandoned_loads(spool.root)
        self._arrived = spool.arrived(image)
        in_spool, in_engine = sending.space
        missing = max(in_spool - sum(self._arrived.sizes.values()), 0)
        engine.require_space(spool.root, missing, in_engine, sending.temporary, known=sending.sizes_known)
        self._sizes_known = sending.sizes_known
        self._held = sending.held
        self._saved: dict[Digest, str] = {}
        """Where in the spool layers lie that the engine has given back."""

    def has(self, part: Part) -> bool:
        """Whether all of a part has come before."""
        return self._arrived.whole(part)

    def prove_held(self) -> None:
        """Prove the layers that need not travel. Raises MissingLayers if some are damaged."""
        self._engine.prove_held(list(self._held.values()))

    def take_back(self, parts: Sequence[Part], inventory: Inventory) -> None:
        """Have the engine give back the layers that parts are made from. Raises CorruptLayer if it cannot."""
        wanted = {part.source for part in parts}
        sources = [held for held in inventory.images if held.id in wanted]
        if sources:
            self._spool.make(self._image)
        program = program_for(inventory.platform.architecture)
        if program and any(isinstance(part.encoding, TokenDelta) for part in parts):
            self._spool.install(program)
        for source in sources:
            layers = {part.made_from for part in parts if part.source == source.id and part.made_from}
            folder = f"{self._spool.folder(self._image)}/{saved_folder(source)}"
            self._saved.update(self._engine.give_back(source, layers, folder))

    def receive(self, part: Part, stream: Callable[[int], Iterable[bytes]], on_bytes: Callable[[int], None]) -> None:
        """Bring a part's bytes into the spool; ``stream`` gives them from an offset on."""
        if not self.has(part):
            have = self._arrived.sizes.get(part.name, 0)
            self._spool.receive(self._image, part, stream(have), on_bytes, have)

    def prove(self, part: Part, expected: Descriptor) -> Descriptor:
        """Make ``expected`` of what has arrived, and prove that it is it; what then lies in the spool, with its
        size. Raises CorruptLayer."""
        return replace(expected, size=self._spool.prove(self._image, part, expected.digest, self._saved))

    def load(self, target: Image, carried: Mapping[Digest, Descriptor]) -> None:
        """Load what lies in the spool.

        Args:
            target: the image itself, or one of its lower layers alone.
            carried: diff id → what lies in the spool for that layer; of a layer from two blobs, the second by its
                digest.

        Raises:
            MissingLayers: the engine lacks a layer that is not carried.
            CorruptLayer: one that is carried does not come out right.
        """
        keys = dict.fromkeys([*target.diff_ids, *(layer.blob.digest for layer in target.layers)])
        carried = {key: carried[key] for key in keys if key in carried}
        target = load_folder.made_for_host(target, {**self._held, **carried}, self._engine.traits)
        self._spool.write(self._image, load_folder.files(target, carried, self._engine.traits))
        try:
            self._engine.load(target, self._spool.folder(self._image), carried)
        except NoSpace as problem:
            if self._sizes_known:
                raise
            why = f"{problem.why}; how large its layers are unpacked could not be known before"
            raise NoSpace(problem.who, problem.doing, why, problem.hint) from None

    def load_along(self, target: Image, coming: Coming, lines: Iterable[bytes]) -> bool:
        """Load what is still arriving in the spool. Whether it is loaded; where it is not, ``load`` says why.

        Args:
            coming: the parts, each with what it must lie in the spool as.
            lines: tell how far it is (see ReadAlong).
        """
        carried = {part.layer.diff_id: blob for part, blob in coming}
        heads = {load_folder.head_path(diff_id): load_folder.head(diff_id, blob) for diff_id, blob in carried.items()}
        self._spool.write(self._image, heads)
        files = load_folder.files(target, carried, self._engine.traits)
        told = (line + load_folder.archive(files) if line == COMPLETE else line for line in lines)
        return self._engine.load_along(target, self._spool.folder(self._image), coming, told)

    def discard(self, blobs: Iterable[Descriptor]) -> None:
        """Remove from the spool what the engine has taken in."""
        self._spool.discard(self._image, [blob.digest for blob in blobs])
