"""An image in a docker-archive, as written by ``docker save``, ``podman save`` and skopeo.

It has no registry manifest. One is made from config and layers, always the same one for the same image: the
image id is the config's digest, as in Docker's classic store, and the layers are as they are in the archive.
Source: moby's image/spec (v1.2, "Combined Image JSON + Filesystem Changeset Format").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from pulumi_iofog.adapters.sources.files import Files, blob_name, read
from pulumi_iofog.adapters.sources.found import Found
from pulumi_iofog.errors import SourceError
from pulumi_iofog.oci.image import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Digest,
    Reference,
    parse_config,
    parse_digest,
    sha256,
)
from pulumi_iofog.oci.reference import full_name
from pulumi_iofog.outside import json_of
from pulumi_iofog.text import listing

MAGIC = {b"\x1f\x8b": "+gzip", b"\x28\xb5\x2f\xfd": "+zstd"}
"""How compressed layers begin; they are rare in such archives."""


def find(files: Files, reference: Reference) -> Found:
    """The image that the reference means. Raises SourceError, which lists the names in the archive."""
    entry = _entry(files, reference)
    try:
        config = read(files, entry["Config"])
        _, diff_ids = parse_config(config)
        names: list[str] = entry["Layers"]
        if len(names) != len(diff_ids):
            raise ValueError(f"layers: {len(names)} in its manifest.json, {len(diff_ids)} in the config")
    except ValueError as problem:
        raise SourceError(files.who, "reading the image", f"its manifest or config cannot be read: {problem}") from None
    blobs = [_blob(files, name, diff_id) for name, diff_id in zip(names, diff_ids, strict=True)]
    own = Descriptor(sha256(config), len(config), OCI_CONFIG)
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _descriptor(own),
            "layers": [_descriptor(blob) for blob in blobs],
        },
        separators=(",", ":"),
    ).encode()
    places = {own.digest: entry["Config"], **{b.digest: name for b, name in zip(blobs, names, strict=True)}}
    return Found(_name(entry, reference), raw, OCI_MANIFEST, config, places)


def _entry(files: Files, reference: Reference) -> dict[str, Any]:
    if "manifest.json" not in files:
        hint = "Is it an oci-archive: instead?" if "index.json" in files else ""
        raise SourceError(files.who, "reading it as a docker-archive", "it has no manifest.json", hint)
    try:
        entries = parse(read(files, "manifest.json"))
    except ValueError as problem:
        why = f"it is not a list of images: {problem}"
        raise SourceError(files.who, "reading its manifest.json", why) from None
    meant = [entry for entry in entries if not reference.selector or reference.full_name in _full_names(entry)]
    names = [name for entry in entries for name in entry.get("RepoTags") or ["(unnamed)"]]
    if len(meant) == 1:
        return meant[0]
    why = f"it has several images: {listing(names)}" if meant else f"it has {listing(names) or 'no image'}"
    doing = f"looking for {reference.selector}" if reference.selector else "looking for the image"
    if reference.selector and reference.latest_is_assumed:
        doing += ":latest, as it has no tag"
    raise SourceError(files.who, doing, why, "Write FILE:NAME:TAG with one of these")


def parse(raw: bytes) -> list[dict[str, Any]]:
    """The images of a ``manifest.json``, whose Config is a text, and whose Layers and RepoTags (or null) are texts.
    ValueError."""
    entries = json_of(raw)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("it has something else in it")
    for entry in entries:
        tags = entry.get("RepoTags")
        if not isinstance(entry.get("Config"), str) or not _are_texts(entry.get("Layers")):
            raise ValueError("an image without Config or Layers")
        if tags is not None and not _are_texts(tags):
            raise ValueError("RepoTags is not a list of names")
    return entries


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _full_names(entry: dict[str, Any]) -> list[str]:
    return [full_name(name) for name in entry.get("RepoTags") or []]


def _name(entry: dict[str, Any], reference: Reference) -> str:
    names: list[str] = entry.get("RepoTags") or [""]
    return next((name for name in names if full_name(name) == reference.full_name), names[0])


def _blob(files: Files, name: str, diff_id: Digest) -> Descriptor:
    size = files.size(name)
    with_magic = b"".join(_first(files, name))
    kind = next((kind for magic, kind in MAGIC.items() if with_magic.startswith(magic)), "")
    if not kind:
        return Descriptor(diff_id, size, OCI_LAYER)
    return Descriptor(_digest(files, name), size, f"{OCI_LAYER}{kind}")


def _first(files: Files, name: str) -> Sequence[bytes]:
    return [next(iter(files.chunks(name)), b"")[:4]]


def _digest(files: Files, name: str) -> Digest:
    """A compressed layer's digest: from its name if that has it (Docker 25 and newer), else computed."""
    named = name.removeprefix("blobs/sha256/")
    if name != named and blob_name(digest := Digest(f"sha256:{named}")) == name:
        return parse_digest(digest)
    hashed = hashlib.sha256()
    for chunk in files.chunks(name):
        hashed.update(chunk)
    return Digest(f"sha256:{hashed.hexdigest()}")


def _descriptor(blob: Descriptor) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}
