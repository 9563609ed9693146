"""Blobs whose media type does not say how they are compressed: found by the first bytes, before one is sent.

Some tools write zstd under the media type of gzip, some registries serve gzip as plain. An engine that unpacks by the
first bytes does not mind; where the host is to unpack, or the engine cannot, it decides how a layer travels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pulumi_iofog.oci.image import Descriptor, packed_as
from pulumi_iofog.transfer.encodings import AsIs, Part

ENOUGH = 4
"""Bytes that tell a compression."""


class Mislabelled(Exception):
    """A blob is not compressed as its media type says; nothing of it has been sent."""

    def __init__(self, blob: Descriptor) -> None:
        super().__init__(blob.digest)
        self.blob = blob


def as_labelled(part: Part, stream: Callable[[int], Iterator[bytes]], offset: int) -> Iterator[bytes]:
    """The part's bytes from an offset on. Raises Mislabelled before the first; what goes on with what has been sent
    was looked at then."""
    chunks = stream(offset)
    if offset or not isinstance(part.encoding, AsIs):
        yield from chunks
        return
    first = b""
    for chunk in chunks:
        first += chunk
        if len(first) >= ENOUGH:
            break
    if packed_as(first) != part.layer.blob.compression:
        raise Mislabelled(part.layer.blob)
    yield first
    yield from chunks
