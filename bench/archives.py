"""One archive, or folder, that an engine loads: with the registry's own blobs, whole or without some layers."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

from bench.images import Image, blob_path, put
from lab.images import MANIFEST


def folder(image: Image, target: Path, reference: str, *, held: Image | None = None, plain: bool = False) -> Path:
    """Write docker-archive and OCI layout in one, and return its folder.

    Args:
        reference: the image's name in the engine.
        held: leave out the layers that this one has.
        plain: name the left out layers by their plain tar's digest, by which podman finds them.
    """
    shutil.rmtree(target, ignore_errors=True)
    (target / "blobs/sha256").mkdir(parents=True)
    manifest = image.manifest
    sent = image.blobs(besides=held)
    for path in (*sent, image.path(manifest["config"]["digest"])):
        shutil.copy(path, target / "blobs/sha256")
    if plain:
        for described, layer in zip(manifest["layers"], image.layers, strict=True):
            if image.path(layer.digest) not in sent:
                described.update(mediaType="application/vnd.oci.image.layer.v1.tar", digest=layer.diff_id)
    names = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
    entry = {**put(target, manifest, MANIFEST), "annotations": names}
    archive = {
        "Config": blob_path(manifest["config"]["digest"]),
        "RepoTags": [reference],
        "Layers": [blob_path(layer.digest) for layer in image.layers],
    }
    _write(target / "oci-layout", {"imageLayoutVersion": "1.0.0"})
    _write(target / "index.json", {"schemaVersion": 2, "manifests": [entry]})
    _write(target / "manifest.json", [archive])
    return target


def archive(image: Image, target: Path, reference: str, *, held: Image | None = None) -> Path:
    """The same as one tar."""
    packed = folder(image, target.with_suffix(".d"), reference, held=held)
    with tarfile.open(target, "w") as tar:
        for name in ("oci-layout", "index.json", "manifest.json", "blobs"):
            tar.add(packed / name, name)
    shutil.rmtree(packed)
    with target.open("rb") as file:
        # Writing it back must not fall into what is timed next.
        os.fsync(file.fileno())
    return target


def _write(path: Path, body: Any) -> None:
    path.write_text(json.dumps(body))
