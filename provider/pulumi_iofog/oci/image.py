"""Manifests and images, parsed once at the door; names are in reference.py, platforms in platform.py. Pure: no I/O.

Sources: OCI image spec 1.1 (manifest, index, config, descriptor), OCI distribution spec 1.1, and
Docker image manifest v2 schema 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pulumi_iofog import text
from pulumi_iofog.oci.artifact import NotAnImage as NotAnImage
from pulumi_iofog.oci.artifact import refuse_artifact
from pulumi_iofog.oci.platform import AMD64 as AMD64
from pulumi_iofog.oci.platform import ARM64 as ARM64
from pulumi_iofog.oci.platform import ARM_V7 as ARM_V7
from pulumi_iofog.oci.platform import RISCV64 as RISCV64
from pulumi_iofog.oci.platform import Platform as Platform
from pulumi_iofog.oci.platform import fitness as fitness
from pulumi_iofog.oci.reference import Digest as Digest
from pulumi_iofog.oci.reference import Reference as Reference
from pulumi_iofog.oci.reference import parse_digest as parse_digest
from pulumi_iofog.outside import object_of

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"

Compression = Literal["none", "gzip", "zstd"]

CONFIG_LIMIT = 8 << 20
"""Bytes of an image's config: what engines take (containerd reads 8 MiB of a manifest or config)."""
LARGEST = 1 << 50
"""Bytes of a blob; a petabyte, so that sums and times of all there are stay numbers for people."""
INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)
MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)


def sha256(data: bytes) -> Digest:
    """The digest of some bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def short(digest: str) -> str:
    """``sha256:0123456789ab``, for people; anything else is returned unchanged."""
    return digest[:19] if len(digest) == 71 and digest.startswith("sha256:") else digest


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One content-addressed piece as it is in the registry (OCI descriptor), or as it travels.

    Attributes:
        size: bytes.
        plain_size: bytes of a layer's plain tar, if known.
    """

    digest: Digest
    size: int
    media_type: str
    plain_size: int | None = field(default=None, compare=False)

    @property
    def compression(self) -> Compression:
        """Of a layer, by its media type (OCI ``layer.md``; Docker's manifest v2 schema 2)."""
        if self.media_type.endswith("zstd"):
            return "zstd"
        return "gzip" if self.media_type.endswith("gzip") else "none"

    @classmethod
    def of(cls, descriptor: Mapping[str, Any]) -> Descriptor:
        """From a descriptor's JSON; ValueError if digest or size is missing or wrong."""
        digest, size = descriptor.get("digest"), descriptor.get("size")
        if not isinstance(digest, str) or not isinstance(size, int) or not 0 <= size <= LARGEST:
            raise ValueError("a descriptor without digest or size")
        return cls(parse_digest(digest), size, _word(descriptor, "mediaType"))


@dataclass(frozen=True, slots=True)
class Manifest:
    """A platform's manifest: its own bytes, and the blobs that it names."""

    raw: bytes
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def manifest_digest(self) -> Digest:
        return sha256(self.raw)

    @property
    def size(self) -> int:
        """Compressed bytes of config and layers: what a first pull moves."""
        return self.config.size + sum(layer.size for layer in self.layers)


@dataclass(frozen=True, slots=True)
class Pin:
    """One platform of an image, as resolved: exactly what will be pulled. The size is in bytes, compressed."""

    reference: Reference
    manifest_digest: Digest
    image_id: Digest
    platform: Platform
    size: int


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: the digest of its plain tar, and the blob that carries it."""

    diff_id: Digest
    blob: Descriptor


@dataclass(frozen=True, slots=True)
class Image:
    """A resolved image for one platform; nothing about it can change."""

    reference: Reference
    platform: Platform
    manifest: Manifest
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def image_id(self) -> Digest:
        """The config's digest: the one identity that every source and engine shares."""
        return self.manifest.config.digest

    @property
    def says_platform(self) -> bool:
        """Whether its config does, as it should."""
        body = object_of(self.config)
        return bool(body.get("os") and body.get("architecture"))

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        return tuple(layer.diff_id for layer in self.layers)

    @property
    def pin(self) -> Pin:
        return Pin(self.reference, self.manifest.manifest_digest, self.image_id, self.platform, self.manifest.size)

    def __str__(self) -> str:
        return f"{self.reference} ({self.platform})"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One manifest or index that an index offers; without a platform, its config has it."""

    platform: Platform | None
    blob: Descriptor


def parse_index(raw: bytes) -> tuple[IndexEntry, ...]:
    """What an OCI index or Docker manifest list offers. Attestations, whose platform is ``unknown/unknown``, are
    omitted. ValueError if it is not an index."""
    entries = []
    for descriptor in map(_fields, _list(object_of(raw), "manifests")):
        platform = _fields(descriptor.get("platform"))
        os, arch, variant = (_word(platform, key) for key in ("os", "architecture", "variant"))
        if "unknown" not in (os, arch):
            named = Platform(os, arch, variant) if os and arch else None
            entries.append(IndexEntry(named, Descriptor.of(descriptor)))
    return tuple(entries)


def parse_manifest(raw: bytes, media_type: str) -> Manifest:
    """A single platform's manifest, OCI or Docker. ValueError if it is not one; NotAnImage where it is known what else
    it is."""
    body = object_of(raw)
    refuse_artifact(body)
    if not isinstance(body.get("config"), dict) or not isinstance(body.get("layers"), list):
        raise ValueError("not an image manifest")
    config = Descriptor.of(body["config"])
    if config.size > CONFIG_LIMIT:
        raise ValueError(f"its config is said to have {text.size(config.size)}, which is more than 8 MiB")
    return Manifest(raw, media_type, config, tuple(Descriptor.of(_fields(layer)) for layer in body["layers"]))


def parse_config(raw: bytes) -> tuple[Platform, tuple[Digest, ...]]:
    """Platform and diff ids of an image config (OCI ``config.md``); some tools write no architecture, which is empty
    then. ValueError if it is not one."""
    body = object_of(raw)
    rootfs = body.get("rootfs")
    if not isinstance(rootfs, dict) or not isinstance(rootfs.get("diff_ids"), list):
        raise ValueError("not an image config")
    platform = Platform(_word(body, "os") or "linux", _word(body, "architecture"), _word(body, "variant"))
    return platform, tuple(parse_digest(str(d)) for d in rootfs["diff_ids"])


def assemble(reference: Reference, platform: Platform, manifest: Manifest, config: bytes) -> Image:
    """Put a manifest and its config together. ValueError if they do not match."""
    _, diff_ids = parse_config(config)
    if len(diff_ids) != len(manifest.layers):
        raise ValueError(f"layers: {len(manifest.layers)} in the manifest, {len(diff_ids)} in the config")
    layers = tuple(Layer(d, blob) for d, blob in zip(diff_ids, manifest.layers, strict=True))
    return Image(reference, platform, manifest, config, layers)


def packed_as(data: bytes) -> Compression:
    """The compression of a layer by its first bytes (RFC 1952, 2.3.1; RFC 8878, 3.1), which engines go by too."""
    if data.startswith(b"\x1f\x8b"):
        return "gzip"
    # Zstandard's skippable frames may come first: zstd:chunked and pzstd have them.
    skippable = data[1:4] == b"\x2a\x4d\x18" and data[0] & 0xF0 == 0x50
    return "zstd" if skippable or data.startswith(b"\x28\xb5\x2f\xfd") else "none"


def media_type_of(raw: bytes) -> str:
    """The media type of a manifest or index: its own field, which is optional (OCI), else by its other fields."""
    body = object_of(raw)
    return _word(body, "mediaType") or (OCI_INDEX if "manifests" in body else OCI_MANIFEST)


def pick(entries: tuple[IndexEntry, ...], wanted: Platform) -> IndexEntry | None:
    """The index's manifest that runs best on the wanted platform. Where all are for newer CPUs of that architecture,
    the one for the oldest: only the host knows whether it is one."""
    offered = [(each.platform, each) for each in entries if each.platform]
    ranked = [(rank, each) for platform, each in offered if (rank := fitness(platform, wanted)) is not None]
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


# ---- fields of the type that they must have, or ValueError; null is as good as absent ----------------------


def _fields(value: Any) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise ValueError("not an object where there must be one")
    return value or {}


def _list(body: Mapping[str, Any], key: str) -> list[Any]:
    value = body.get(key)
    if value is not None and not isinstance(value, list):
        raise ValueError(f"{key} is not a list")
    return value or []


def _word(body: Mapping[str, Any], key: str) -> str:
    """A name as platforms and media types are."""
    value = body.get(key)
    if value is not None and (not isinstance(value, str) or len(value) > 255 or not value.isprintable()):
        raise ValueError(f"{key} is not a name")
    return value or ""
