"""The small files beside the blobs that make one folder which every engine loads. Pure.

An OCI image layout (image-layout.md) and a docker-archive in one: ``docker load`` of a classic store
reads ``manifest.json``, Docker's containerd store reads ``index.json`` and its annotations, and podman
pulls the folder as ``oci:DIR``. The registry's own blobs are used as they are.
"""

from __future__ import annotations

import json
from typing import Any

from pulumi_iofog.image import OCI_LAYER, OCI_MANIFEST, Digest, Image, sha256
from pulumi_iofog.plan import EngineKind


def files(image: Image, absent: frozenset[Digest], engine: EngineKind) -> dict[str, bytes]:
    """Relative path → content of everything but the layers.

    Args:
        absent: diff ids of the layers that are left out, because the engine holds them.
        engine: podman finds a layer that is left out by its plain tar's digest however it came, so
            there the manifest says so; the image id is the config's digest and stays.
    """
    manifest = image.manifest.raw
    if engine == "podman" and absent:
        manifest = _with_plain_layers(image, absent)
    return {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json(_index(image, manifest)),
        "manifest.json": _json(_docker_archive(image)),
        blob_path(sha256(manifest)): manifest,
        blob_path(image.image_id): image.config,
    }


def blob_path(digest: Digest) -> str:
    """``blobs/sha256/<hex>`` (image-layout.md)."""
    return f"blobs/{digest.replace(':', '/')}"


def _index(image: Image, manifest: bytes) -> dict[str, Any]:
    name = image.reference.full_name
    entry = {
        "mediaType": image.manifest.media_type or OCI_MANIFEST,
        "digest": sha256(manifest),
        "size": len(manifest),
        "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name},
    }
    return {"schemaVersion": 2, "manifests": [entry]}


def _docker_archive(image: Image) -> list[dict[str, Any]]:
    return [
        {
            "Config": blob_path(image.image_id),
            "RepoTags": [image.reference.full_name],
            "Layers": [blob_path(layer.blob.digest) for layer in image.layers],
        }
    ]


def _with_plain_layers(image: Image, absent: frozenset[Digest]) -> bytes:
    body = json.loads(image.manifest.raw)
    for descriptor, layer in zip(body["layers"], image.layers, strict=True):
        if layer.diff_id in absent:
            # The size is not looked at, because the layer is never read.
            descriptor.update(mediaType=_plain(descriptor["mediaType"]), digest=layer.diff_id)
    return _json(body)


def _plain(media_type: str) -> str:
    docker = media_type.startswith("application/vnd.docker.")
    return "application/vnd.docker.image.rootfs.diff.tar" if docker else OCI_LAYER


def _json(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
