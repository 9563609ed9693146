"""One load: layers proven as they arrive on a host, then given to its engine, which may read them before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pulumi_iofog import log
from pulumi_iofog.oci.image import Descriptor, Digest, Image
from pulumi_iofog.rollout.read_along import ReadAlong
from pulumi_iofog.rollout.tools import Delivery
from pulumi_iofog.transfer.encodings import Part


class Load:
    """See the module.

    Args:
        image, target: the whole image, and what is loaded: that, or its lower layers alone.
        expected: what a part must lie in the spool as.
        carried: what lies in the spool and is not loaded yet, by the parts' keys; for all loads of the image.
    """

    def __init__(
        self,
        delivery: Delivery,
        image: Image,
        target: Image,
        expected: Callable[[Part], Descriptor],
        carried: dict[Digest, Descriptor],
    ) -> None:
        self._delivery, self._image, self._target = delivery, image, target
        self._expected, self._carried = expected, carried
        self._along: ReadAlong | None = None

    def along(self, parts: Sequence[Part]) -> ReadAlong:
        """Let the engine read these parts while they arrive."""

        def load(lines: Iterator[bytes]) -> bool:
            coming = [(part, self._expected(part)) for part in parts]
            return self._delivery.load_along(self._target, coming, lines)

        self._along = ReadAlong(load)
        return self._along

    def prove(self, part: Part) -> None:
        """Prove what has arrived."""
        with log.timed("prove", layer=part.layer.diff_id):
            self._carried[part.key] = self._delivery.prove(part, self._expected(part))
        if self._along:
            self._along.whole()

    def finish(self) -> None:
        """Load what is proven."""
        with log.timed("load", layers=len(self._target.layers), carried=len(self._carried)) as line:
            line["along"] = bool(self._along and self._along.complete())
            if not line["along"]:
                self._delivery.load(self._target, self._carried)
        if self._target is not self._image:
            self._discard_loaded()

    def _discard_loaded(self) -> None:
        # What the engine has now it need not be given again, unless it lies once more further up.
        count = len(self._target.layers)
        loaded = set(self._image.diff_ids[:count]) - set(self._image.diff_ids[count:])
        self._delivery.discard([self._carried.pop(diff_id) for diff_id in loaded if diff_id in self._carried])
