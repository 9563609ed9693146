"""One load: layers proven as they arrive on a host, then given to its engine, which may read them before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from pulumi_iofog.oci.image import Blob, Digest, Image
from pulumi_iofog.rollout.read_along import Following
from pulumi_iofog.transfer.encodings import Coming, Part


class Loader(Protocol):
    """What a load needs of a host."""

    def settle(self, image: Image, part: Part, form: Blob) -> Blob: ...
    def load(self, image: Image, carried: Mapping[Digest, Blob], whole: Image) -> None: ...
    def follow(self, image: Image, coming: Coming, whole: Image, lines: Iterator[bytes]) -> bool: ...
    def drop(self, image: Image, blobs: Iterable[Blob]) -> None: ...


class Load:
    """See the module.

    Args:
        image, target: the whole image, and what is loaded: that, or its lower layers alone.
        form: what a part turns out to be.
        carried: what lies in the spool and is not loaded yet, by diff id; for all loads of the image.
    """

    def __init__(
        self,
        host: Loader,
        image: Image,
        target: Image,
        form: Callable[[Part], Blob],
        carried: dict[Digest, Blob],
    ) -> None:
        self._host, self._image, self._target, self._form, self._carried = host, image, target, form, carried
        self._following: Following | None = None

    def follow(self, parts: Sequence[Part]) -> Following:
        """Let the engine read these parts while they arrive."""

        def load(lines: Iterator[bytes]) -> bool:
            coming = [(part, self._form(part)) for part in parts]
            return self._host.follow(self._target, coming, self._image, lines)

        self._following = Following(load)
        return self._following

    def settle(self, part: Part) -> None:
        """Prove what has arrived."""
        self._carried[part.layer.diff_id] = self._host.settle(self._image, part, self._form(part))
        if self._following:
            self._following.whole()

    def finish(self) -> None:
        """Load what is proven."""
        if not (self._following and self._following.complete()):
            self._host.load(self._target, self._carried, self._image)
        if self._target is not self._image:
            self._drop()

    def _drop(self) -> None:
        # What the engine has now it need not be given again, unless it lies once more further up.
        count = len(self._target.layers)
        loaded = set(self._image.diff_ids[:count]) - set(self._image.diff_ids[count:])
        self._host.drop(self._image, [self._carried.pop(diff_id) for diff_id in loaded if diff_id in self._carried])
