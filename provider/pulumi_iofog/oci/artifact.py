"""What else than images registries keep as manifests, told apart by media types. Pure: no I/O.

Sources: OCI image spec 1.1, "Guidelines for Artifact Usage"; the media types that helm, oras, cosign, buildkit and
in-toto write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

IMAGE_CONFIGS = ("application/vnd.oci.image.config.", "application/vnd.docker.container.image.")
KINDS = (
    ("application/vnd.cncf.helm.", "a Helm chart", "helm install it, or name the images that it deploys"),
    ("application/vnd.dev.cosign.simplesigning.", "a cosign signature", "Name the image that it signs"),
    ("application/vnd.dev.sigstore.", "a sigstore bundle", "Name the image that it is about"),
    ("application/vnd.dsse.envelope.", "a signed attestation", "Name the image that it is about"),
    ("application/vnd.in-toto", "an attestation", "Name the image that it is about"),
    ("application/vnd.buildkit.cacheconfig.", "a build cache of buildkit", "Name the image that was built"),
    ("application/vnd.wasm.", "a WebAssembly module", ""),
    ("application/wasm", "a WebAssembly module", ""),
    ("application/vnd.docker.plugin.", "a plugin of Docker", ""),
)
"""What a media type begins with, what that is, and what to do about it."""
EMPTY = ("application/vnd.oci.empty.v1+json", "application/vnd.unknown.config.v1+json")
"""Types of a config that says nothing: the layers', or ``artifactType``, say what it is."""


class NotAnImage(ValueError):
    """A manifest of something else than a container image, which ``hint`` says what to do about."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what, self.hint = what, hint

    def __str__(self) -> str:
        return f"it is {self.what}, not a container image"


def refuse_artifact(manifest: Mapping[str, Any]) -> None:
    """Raise NotAnImage if a manifest says that it is of something else. One that says nothing may be an image."""
    types = list(_types(manifest))
    for beginning, what, hint in KINDS:
        if any(each.startswith(beginning) for each in types):
            raise NotAnImage(what, hint)
    own = manifest.get("artifactType")
    config = _type(manifest.get("config"))
    if own and not str(own).startswith(IMAGE_CONFIGS) and not config.startswith(IMAGE_CONFIGS):
        raise NotAnImage(f"an artifact of type {own}", "Name a container image")
    if config in EMPTY or (config.startswith("application/vnd.") and not config.startswith(IMAGE_CONFIGS)):
        of = next((each for each in types if each not in (*EMPTY, "")), config)
        raise NotAnImage(f"an artifact of type {of}", "Name a container image")


def _types(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield str(manifest.get("artifactType") or "")
    yield _type(manifest.get("config"))
    layers = manifest.get("layers")
    yield from map(_type, layers if isinstance(layers, list) else ())


def _type(descriptor: Any) -> str:
    return str(descriptor.get("mediaType") or "") if isinstance(descriptor, dict) else ""
