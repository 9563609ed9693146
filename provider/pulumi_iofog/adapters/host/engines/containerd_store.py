"""What lies in the folder of a containerd that has no client at hand, read: which image each name means, and the blobs.

Sources: github.com/etcd-io/bbolt, page.go and db.go (the file's format, version 2, is of 2014); containerd's
core/metadata/buckets.go (schema v1); OCI image spec 1.1 for the content.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi_iofog.oci.image import (
    INDEX_TYPES,
    Digest,
    Manifest,
    media_type_of,
    parse_config,
    parse_digest,
    parse_manifest,
    sha256,
)
from pulumi_iofog.transfer.inventory import HeldImage

CONTENT = "io.containerd.content.v1.content/blobs/sha256"
"""Where the blobs lie under containerd's root, each named by its digest in hexadecimal."""
CATALOG = "io.containerd.metadata.v1.bolt/meta.db"
"""Where it has written down everything else, in a database."""
SNAPSHOTTER = "io.containerd.snapshotter.v1.overlayfs"
"""Where layers are unpacked, each into a folder ``snapshots/NUMBER/fs``; ``metadata.db`` says which is whose."""

_MAGIC, _VERSION = 0xED0CDAED, 2
_BRANCH, _LEAF = 0x01, 0x02
_META_END = 80
_SIZES = (4096, 8192, 16384, 32768, 65536)
"""Of a page; it is that of the machine's memory."""


@dataclass(frozen=True, slots=True)
class ContainerdStore:
    """What a containerd holds.

    Attributes:
        names: each image's name, letter by letter, and the digest of its manifest or index.
        sizes: bytes of each blob whose file is there.
        small: the content of those that may be manifests or configs, as far as it is what its digest says.
    """

    names: Mapping[str, Digest]
    sizes: Mapping[Digest, int]
    small: Mapping[Digest, bytes]

    def manifest(self, target: Digest | None) -> Manifest | None:
        """The manifest of that digest; None if it is not there, or is no image's."""
        raw = self.small.get(target) if target else None
        if raw is None:
            return None
        try:
            media_type = media_type_of(raw)
            return None if media_type in INDEX_TYPES else parse_manifest(raw, media_type)
        except ValueError:
            return None

    def images(self) -> tuple[HeldImage, ...]:
        """The images that have a name, each with those of its layers that are there."""
        targets = {manifest for target in self.names.values() for manifest in self._manifests(target)}
        held = (self._image(target) for target in sorted(targets))
        return tuple(each for each in held if each)

    def without(self, blobs: Collection[Digest]) -> ContainerdStore:
        """The same, as if these were not there."""
        sizes = {digest: size for digest, size in self.sizes.items() if digest not in blobs}
        small = {digest: data for digest, data in self.small.items() if digest not in blobs}
        return ContainerdStore(self.names, sizes, small)

    def lacks(self, manifest: Manifest) -> Digest | None:
        """A blob of the image whose file is not there as it should be; None if all are."""
        wanted = (manifest.config, *manifest.layers)
        return next((blob.digest for blob in wanted if self.sizes.get(blob.digest) != blob.size), None)

    def _manifests(self, target: Digest) -> Iterator[Digest]:
        """What a name points at, or for an index, each platform's manifest."""
        yield target
        body = _object(self.small.get(target, b""))
        for entry in body.get("manifests") or ():
            if isinstance(entry, dict) and entry.get("digest") in self.small:
                yield Digest(entry["digest"])

    def _image(self, target: Digest) -> HeldImage | None:
        manifest = self.manifest(target)
        config = self.small.get(manifest.config.digest) if manifest else None
        if manifest is None or config is None:
            return None
        try:
            _, diff_ids = parse_config(config)
        except ValueError:
            return None
        pairs = zip(diff_ids, manifest.layers, strict=False)
        there = [(diff_id, blob) for diff_id, blob in pairs if self.sizes.get(blob.digest) == blob.size]
        names = tuple(name for name, meant in self.names.items() if meant == target)
        return HeldImage(target, tuple(each for each, _ in there), tuple(blob for _, blob in there), names)


def image_names(database: bytes, namespace: str) -> dict[str, Digest]:
    """Each image's name in containerd's database, and the digest it means. ValueError if it is no such database."""
    try:
        pages = _Pages(database)
        names = {}
        images = pages.bucket(b"v1", namespace.encode(), b"images")
        for name, value in pages.elements(images) if images else ():
            target = dict(pages.elements(value)).get(b"target")
            digest = dict(pages.elements(target)).get(b"digest") if target else None
            if digest:
                names[name.decode()] = parse_digest(digest.decode())
        return names
    except (struct.error, IndexError, RecursionError) as problem:
        raise ValueError(f"not a database of containerd's: {problem}") from None


def snapshot_folders(database: bytes, namespace: str) -> dict[Digest, str]:
    """The chain id of each layer that a snapshotter has unpacked → its folder's name (containerd's
    core/snapshots/storage/bolt.go, and core/metadata/snapshot.go for the keys: NAMESPACE/NUMBER/CHAIN-ID). Empty if
    that cannot be read."""
    found = {}
    try:
        pages = _Pages(database)
        snapshots = pages.bucket(b"v1", b"snapshots")
        for key, value in pages.elements(snapshots) if snapshots else ():
            space, _, name = key.decode().partition("/")
            id_ = dict(pages.elements(value)).get(b"id")
            chain = name.partition("/")[2]
            if id_ and space == namespace and chain.startswith("sha256:"):
                found[parse_digest(chain)] = str(_uvarint(id_))
    except (struct.error, IndexError, RecursionError, ValueError):
        return {}
    return found


def _uvarint(raw: bytes) -> int:
    """Seven bits a byte, the lowest first; the last byte has no eighth (Go's encoding/binary)."""
    value = 0
    for place, byte in enumerate(raw):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            break
    return value


def chain_ids(diff_ids: Sequence[Digest]) -> list[Digest]:
    """What each layer is called with those below it (OCI image spec 1.1, config.md, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(sha256(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain


class _Pages:
    """A bolt database: pages of one size; buckets as trees of them, or within an element where they are small."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        # The first two pages say where the root is; the newer one counts.
        metas = [meta for offset in (0, *_SIZES) if (meta := self._meta(offset))]
        if not metas:
            raise IndexError("no meta page")
        self._size, self._root, _ = max(metas, key=lambda meta: meta[2])
        # Each element has a header of 16 bytes; more are only where pages lead to each other in circles.
        self._left = len(data) // 16

    def _meta(self, offset: int) -> tuple[int, int, int] | None:
        """Page size, the root bucket's page, and the transaction's number."""
        if len(self._data) < offset + _META_END:
            return None
        magic, version, size, _, root, _, _, _, transaction = struct.unpack_from("<4I5Q", self._data, offset + 16)
        return (size, root, transaction) if (magic, version) == (_MAGIC, _VERSION) else None

    def bucket(self, *path: bytes) -> bytes | None:
        """A bucket, by the names that lead to it."""
        found: bytes | None = struct.pack("<2Q", self._root, 0)
        for name in path:
            found = dict(self.elements(found)).get(name) if found else None
        return found

    def elements(self, bucket: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in a bucket; the value of a bucket in it is for this method again."""
        root, _ = struct.unpack_from("<2Q", bucket)
        return self._walk(self._data, root * self._size) if root else self._walk(bucket, 16)

    def _walk(self, data: bytes, page: int) -> Iterator[tuple[bytes, bytes]]:
        _, flags, count, _ = struct.unpack_from("<Q2HI", data, page)
        if not flags & (_BRANCH | _LEAF):
            raise IndexError(f"no tree at {page}")
        self._left -= count
        if self._left < 0:
            raise IndexError("more elements than there is room for")
        for element in range(page + 16, page + 16 * (count + 1), 16):
            if flags & _BRANCH:
                (child,) = struct.unpack_from("<Q", data, element + 8)
                yield from self._walk(data, child * self._size)
            else:
                _, position, key_size, value_size = struct.unpack_from("<4I", data, element)
                key = element + position
                value = key + key_size
                yield data[key:value], data[value : value + value_size]


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
