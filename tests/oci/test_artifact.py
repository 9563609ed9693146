"""What is no container image is told by its media types."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pulumi_iofog.oci.image import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, NotAnImage, parse_manifest, sha256

EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def manifest(config: str, *layers: str, **more: Any) -> bytes:
    def descriptor(media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": sha256(b"{}"), "size": 2}

    return json.dumps({"config": descriptor(config), "layers": [*map(descriptor, layers)], **more}).encode()


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (
            manifest("application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
            "it is a Helm chart, not a container image",
        ),
        (manifest(OCI_CONFIG, "application/vnd.dev.cosign.simplesigning.v1+json"), "a cosign signature"),
        (manifest(EMPTY, artifactType="application/vnd.dev.sigstore.bundle.v0.3+json"), "a sigstore bundle"),
        (manifest(OCI_CONFIG, "application/vnd.in-toto+json"), "an attestation"),
        (manifest("application/vnd.unknown.config.v1+json", "text/plain"), "an artifact of type text/plain"),
        (
            manifest(EMPTY, "text/plain", artifactType="application/x.firmware"),
            "artifact of type application/x.firmware",
        ),
        (manifest(EMPTY), f"an artifact of type {EMPTY}"),
        (manifest("application/vnd.acme.config+json", "application/x.acme"), "type application/vnd.acme.config+json"),
    ],
)
def test_what_it_is_is_said(raw: bytes, what: str) -> None:
    with pytest.raises(NotAnImage, match=what.replace("+", "[+]")):
        parse_manifest(raw, OCI_MANIFEST)


@pytest.mark.parametrize(
    "raw",
    [
        manifest(OCI_CONFIG, f"{OCI_LAYER}+gzip"),
        manifest(DOCKER_CONFIG, DOCKER_LAYER),
        manifest("", f"{OCI_LAYER}+zstd"),
        manifest("application/octet-stream", DOCKER_LAYER),
        manifest(OCI_CONFIG, f"{OCI_LAYER}+gzip", artifactType=OCI_CONFIG),
        manifest(OCI_CONFIG, f"{OCI_LAYER}+gzip", artifactType="application/vnd.acme.image"),
    ],
)
def test_an_image_is_none_of_these(raw: bytes) -> None:
    assert parse_manifest(raw, OCI_MANIFEST).layers
