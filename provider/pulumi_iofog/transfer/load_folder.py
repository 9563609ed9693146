"""The small files beside the layers that make one folder which every engine loads. Pure.

An OCI image layout (image-layout.md) and a docker-archive in one: ``docker load`` of a classic store
reads ``manifest.json``, Docker's containerd store reads ``index.json`` and its annotations, and podman
pulls the folder as ``oci:DIR``. The registry's own blobs are used as they are.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pulumi_iofog.oci.image import (
    OCI_LAYER,
    Descriptor,
    Digest,
    Image,
    Layer,
    Reference,
    assemble,
    parse_manifest,
    sha256,
)
from pulumi_iofog.transfer.engine_traits import EngineTraits

PREFIX_REPOSITORY = "pulumi-iofog.local/prefix"
"""Under which an engine keeps the lower layers of an image while the rest is on its way."""


def made_for_host(image: Image, blobs: Mapping[Digest, Descriptor], engine: EngineTraits) -> Image:
    """The image as the engine is given it: with a manifest of its own where the engine takes one that names the layers
    as they came. Its id is the config's digest there, which stays, as do the diff ids; so nobody need remember it.

    Args:
        blobs: diff id → what the layer is there, be it carried or held. Of one that is not in it, an engine that goes
            by diff ids is told that: the digest of the plain tar.
    """
    if engine.manifest == "registry":
        return image
    plain = engine.finds_layers_by == "diff_id"
    others = {each.diff_id: plain_blob(each) if plain else each.blob for each in image.layers}
    layers = tuple(Layer(each, blobs.get(each) or others[each]) for each in image.diff_ids)
    if layers == image.layers:
        return image
    body = json.loads(image.manifest.raw)
    for descriptor, layer in zip(body["layers"], layers, strict=True):
        descriptor.update(_descriptor(layer.blob))
    return replace(image, manifest=parse_manifest(_json(body), image.manifest.media_type), layers=layers)


def files(image: Image, carried: Mapping[Digest, Descriptor], engine: EngineTraits) -> dict[str, bytes]:
    """Relative path → content of everything but the layers.

    Args:
        image: as it is made for the host.
        carried: diff id → what lies in the folder for that layer: the registry's own blob, the plain tar, or the
            layer encoded anew. Layers that are not in it are left out, because the engine holds them.
    """
    packed = to_unpack(carried, engine)
    plain = {layer: Descriptor(layer, 0, "") for layer in packed}
    return {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json(_index(image, engine)),
        "manifest.json": _json(_docker_archive(image, {**carried, **plain})),
        blob_path(image.manifest.manifest_digest): image.manifest.raw,
        blob_path(image.image_id): image.config,
        **{head_path(layer): head(layer, blob) for layer, blob in packed.items()},
    }


def to_unpack(carried: Mapping[Digest, Descriptor], engine: EngineTraits) -> dict[Digest, Descriptor]:
    """What the engine is given as a plain tar though it lies packed in the folder: diff id → blob.

    It is unpacked on its way into the engine, so that no plain tar is ever written beside the engine's own copy.
    """
    if engine.intake != "pipe":
        return {}
    return {layer: blob for layer, blob in carried.items() if blob.plain_size is not None}


def archive(files: Mapping[str, bytes]) -> bytes:
    """A tar of small files (POSIX.1, ustar interchange format): relative path → content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def head_path(diff_id: Digest) -> str:
    """Where in the folder the header lies that a layer has in the archive."""
    return f"heads/{diff_id.hex}"


def head(diff_id: Digest, blob: Descriptor) -> bytes:
    """The header of a layer in the archive: of its plain tar where the size of that is known, else of the blob."""
    entry = tarfile.TarInfo(blob_path(blob.digest if blob.plain_size is None else diff_id))
    entry.size = given_size(blob)
    return entry.tobuf(tarfile.GNU_FORMAT)  # which takes more than 8 GiB


def given_size(blob: Descriptor) -> int:
    """Bytes of what Docker is given for a blob: its plain tar where the size of that is known."""
    return blob.size if blob.plain_size is None else blob.plain_size


def padding(size: int) -> int:
    """Zeros that follow a file of that size in an archive (POSIX.1, pax, ustar interchange format)."""
    return -size % tarfile.BLOCKSIZE


def blob_path(digest: Digest) -> str:
    """``blobs/sha256/<hex>`` (image-layout.md)."""
    return f"blobs/{digest.replace(':', '/')}"


def plain_blob(layer: Layer, size: int = 0) -> Descriptor:
    """A layer's plain tar in place of its blob. Of one that is left out, no engine looks at the size."""
    docker = layer.blob.media_type.startswith("application/vnd.docker.")
    return Descriptor(layer.diff_id, size, "application/vnd.docker.image.rootfs.diff.tar" if docker else OCI_LAYER)


def prefix(image: Image, count: int) -> Image:
    """An image of the lowest ``count`` layers, under a name of its own: loaded ahead of the whole one, it
    gives the engine layers that the whole one then finds."""
    config = _json(
        {
            "architecture": image.platform.architecture,
            "os": image.platform.os,
            **({"variant": image.platform.variant} if image.platform.variant else {}),
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": list(image.diff_ids[:count])},
        }
    )
    # Of the image's own media types: an engine need not take OCI's and Docker's mixed.
    media_type = image.manifest.media_type
    own = _descriptor(Descriptor(sha256(config), len(config), image.manifest.config.media_type))
    layers = [_descriptor(layer.blob) for layer in image.layers[:count]]
    manifest = _json({"schemaVersion": 2, "mediaType": media_type, "config": own, "layers": layers})
    reference = Reference.parse(f"{PREFIX_REPOSITORY}:{image.image_id.hex[:12]}-{count}")
    return assemble(reference, image.platform, parse_manifest(manifest, media_type), config)


def is_lower(image: Image) -> bool:
    """Whether it is such an image of lower layers alone."""
    return image.reference.repository == PREFIX_REPOSITORY


def _index(image: Image, engine: EngineTraits) -> dict[str, Any]:
    """An entry for each name."""
    entry = {
        "mediaType": image.manifest.media_type,
        "digest": image.manifest.manifest_digest,
        "size": len(image.manifest.raw),
    }
    names = engine.names(image.reference)
    annotations = ({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name} for name in names)
    return {"schemaVersion": 2, "manifests": [{**entry, "annotations": each} for each in annotations]}


def _docker_archive(image: Image, carried: Mapping[Digest, Descriptor]) -> list[dict[str, Any]]:
    return [
        {
            "Config": blob_path(image.image_id),
            "RepoTags": [image.reference.full_name],
            "Layers": [blob_path(carried.get(layer.diff_id, layer.blob).digest) for layer in image.layers],
        }
    ]


def _descriptor(blob: Descriptor) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}


def _json(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
