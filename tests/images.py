"""Small but valid images, made in memory."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pulumi_iofog.oci.image import (
    AMD64,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Digest,
    Image,
    Platform,
    Reference,
    assemble,
    parse_manifest,
    sha256,
)


@dataclass(frozen=True)
class MadeImage:
    """An image and all its blobs' bytes."""

    image: Image
    blobs: dict[Digest, bytes]


def layer_tar(files: dict[str, bytes]) -> bytes:
    """A plain layer with these files; the same bytes every time."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def make_image(
    *layers: dict[str, bytes],
    reference: str = "registry.example/app:1",
    platform: Platform = AMD64,
    plain: bool = False,
    level: int = 9,
    compress: Callable[[bytes], bytes] | None = None,
) -> MadeImage:
    """An image of gzip layers, or plain ones, for a platform.

    Args:
        compress: makes gzip of a layer's tar, where that is to be the same with every Python and zlib.
        level: of the compression; 0 for large noise, which would not become smaller, at 36 MB/s.
    """
    tars = [layer_tar(files) for files in layers]
    compress = compress or (lambda tar: gzip.compress(tar, level, mtime=0))
    zipped = tars if plain else [compress(tar) for tar in tars]
    config = json.dumps(
        {
            "architecture": platform.architecture,
            "os": platform.os,
            **({"variant": platform.variant} if platform.variant else {}),
            "config": {"Cmd": ["/app"]},
            "rootfs": {"type": "layers", "diff_ids": [sha256(tar) for tar in tars]},
            "history": [{"created_by": f"layer {n}"} for n in range(len(tars))],
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": sha256(config), "size": len(config)},
            "layers": [
                {"mediaType": OCI_LAYER + ("" if plain else "+gzip"), "digest": sha256(blob), "size": len(blob)}
                for blob in zipped
            ],
        }
    ).encode()
    image = assemble(Reference.parse(reference), platform, parse_manifest(manifest, OCI_MANIFEST), config)
    blobs = {sha256(data): data for data in [config, manifest, *zipped]}
    return MadeImage(image, blobs)


def index_of(*made: MadeImage, media_type: str) -> bytes:
    """An index of images."""
    entries = [
        {
            "mediaType": each.image.manifest.media_type,
            "digest": sha256(each.image.manifest.raw),
            "size": len(each.image.manifest.raw),
            "platform": {"os": each.image.platform.os, "architecture": each.image.platform.architecture},
        }
        for each in made
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode()


def write_layout(
    folder: Path, raw: bytes, media_type: str, *made: MadeImage, annotations: dict[str, str] | None = None
) -> Path:
    """An OCI layout of one index or manifest, with all blobs of these images."""
    blobs = {sha256(raw): raw}
    for each in made:
        blobs |= each.blobs
    (folder / "blobs" / "sha256").mkdir(parents=True)
    for digest, data in blobs.items():
        (folder / "blobs" / digest.replace(":", "/")).write_bytes(data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    entry = {"mediaType": media_type, "digest": sha256(raw), "size": len(raw)}
    entry |= {"annotations": annotations} if annotations else {}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return folder
