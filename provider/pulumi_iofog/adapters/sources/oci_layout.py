"""An image in an OCI image layout (image-layout.md, 1.1): which one, and what it is called there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_iofog.adapters.sources.files import Files, blob_name, read
from pulumi_iofog.adapters.sources.found import Found
from pulumi_iofog.errors import SourceError
from pulumi_iofog.oci.image import (
    INDEX_TYPES,
    OCI_INDEX,
    Digest,
    Reference,
    media_type_of,
    parse_digest,
    parse_manifest,
    sha256,
)
from pulumi_iofog.outside import object_of

NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
"""Annotations that have an image's name, the fuller one first: buildx and containerd write both, skopeo the
second, which may be a tag alone."""

Descriptor = Mapping[str, Any]


def find(files: Files, reference: Reference) -> Found:
    """The image that the reference means. Raises SourceError, which lists the names in the layout."""
    entries = _entries(files)
    if reference.pinned:
        named = next((entry for entry in entries if entry["digest"] == reference.pinned), {})
        return _found(files, _name(named), manifest(files, reference.pinned))
    meant = [entry for entry in entries if not reference.selector or _is(entry, reference)]
    if not meant:
        raise _which(files, entries, f"{reference.selector or 'no image'} not found; it has")
    if len(meant) > 1 and not _one_for_each_platform(meant):
        raise _which(files, meant, "it has several images:")
    if len(meant) == 1:
        raw = manifest(files, parse_digest(str(meant[0]["digest"])))
    else:
        raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": meant}).encode()
    return _found(files, _name(meant[0]), raw)


def manifest(files: Files, digest: Digest) -> bytes:
    """A manifest or index by its digest, verified."""
    if blob_name(digest) not in files:
        hint = "It may have been replaced in the meantime, or lack a platform: copy all of them, run pulumi up again"
        raise SourceError(files.who, f"looking for {digest}", "not found in it", hint)
    raw = read(files, blob_name(digest))
    if sha256(raw) != digest:
        raise SourceError(files.who, f"reading {digest}", f"it is damaged: got {sha256(raw)}", "Copy it again")
    return raw


def _entries(files: Files) -> list[Descriptor]:
    if "index.json" not in files:
        hint = "Is it a docker-archive: instead?" if "manifest.json" in files else ""
        raise SourceError(files.who, "reading it as an OCI image layout", "it has no index.json", hint)
    try:
        return parse(read(files, "index.json"))
    except ValueError as problem:
        raise SourceError(files.who, "reading its index.json", f"it is not an image index: {problem}") from None


def parse(raw: bytes) -> list[Descriptor]:
    """The entries of an ``index.json``, each with a digest, and with annotations that are texts. ValueError."""
    entries = object_of(raw).get("manifests")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("manifests is not a list of objects")
    for entry in entries:
        parse_digest(str(entry.get("digest")))
        annotations = entry.get("annotations")
        if annotations is not None and not isinstance(annotations, dict):
            raise ValueError("annotations are not an object")
    return entries


def _found(files: Files, name: str, raw: bytes) -> Found:
    try:
        media_type = media_type_of(raw)
        if media_type in INDEX_TYPES:
            return Found(name, raw, media_type)
        config = parse_manifest(raw, media_type).config.digest
    except ValueError as problem:
        raise SourceError(files.who, "reading its manifest", str(problem)) from None
    return Found(name, raw, media_type, manifest(files, config))


def _names(entry: Descriptor) -> list[str]:
    annotations = entry.get("annotations") or {}
    return [str(annotations[key]) for key in NAMES if annotations.get(key)]


def _name(entry: Descriptor) -> str:
    return next(iter(_names(entry)), "")


def _is(entry: Descriptor, reference: Reference) -> bool:
    return any(name == reference.selector or _full(name) == reference.full_name for name in _names(entry))


def _full(name: str) -> str | None:
    """A name in full; None if it is only a tag, or any other text."""
    try:
        return Reference.parse(name).full_name if {":", "/"} & set(name) else None
    except ValueError:
        return None


def _one_for_each_platform(entries: Sequence[Descriptor]) -> bool:
    """Whether they are one image for several platforms, without an index of its own."""
    platforms = {json.dumps(entry.get("platform"), sort_keys=True) for entry in entries}
    return len(platforms) == len(entries) and len({_name(entry) for entry in entries}) == 1


def _which(files: Files, entries: Sequence[Descriptor], why: str) -> SourceError:
    names = sorted({_name(entry) or f"@{entry['digest']}" for entry in entries})
    there = ", ".join(names[:20]) or "none"
    return SourceError(files.who, "looking for the image", f"{why} {there}", "Write PATH:NAME with one of these")
