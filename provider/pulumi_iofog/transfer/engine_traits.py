"""What container engines do differently, as far as it decides what travels and how. Pure.

An engine is a case in each function here, a name in inputs/spec.py, and a file in adapters/host/engines/, which
detect.py picks. Nothing else asks which engine it is: it asks these traits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from typing_extensions import assert_never

from pulumi_iofog.inputs.spec import EngineName
from pulumi_iofog.oci.image import Compression, Digest, Pin

EngineKind = Literal["docker", "docker-containerd", "podman"]
"""An engine together with its image store: ``docker`` is the classic one, ``docker-containerd`` the default since
Docker 29."""


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """See the module; what each engine does was tried on Docker 20.10, Docker 29 and podman 4.3.

    Attributes:
        finds_layers_by: what tells the engine that it holds a layer which a load leaves out: the chain of diff ids
            from the bottom up, the layer's diff id alone, or the digest of its blob.
        image_id_is: the digest that the engine gives an image as its id.
        loads: compressions of a layer that a load reads.
        intake: what a load reads: an archive from a pipe, or a folder.
        keeps_blobs: the blobs stay as they came, so that a layer in another encoding would be another image.
        copies_aside: an archive is written to the engine's disk before it is loaded.
        reads_along: a load may begin before its last layers have arrived.
        gives_back: what a held layer can be had back as.
    """

    kind: EngineKind
    finds_layers_by: Literal["chain", "diff_id", "blob"]
    image_id_is: Literal["config", "manifest"]
    loads: frozenset[Compression]
    intake: Literal["pipe", "folder"]
    keeps_blobs: bool
    copies_aside: bool
    reads_along: bool
    gives_back: Literal["tar", "nothing"]

    @property
    def unpacks_on_the_way(self) -> bool:
        """Whether the host can unpack a layer for the engine while it is loaded."""
        return self.intake == "pipe" and not self.keeps_blobs

    def image_id(self, pin: Pin) -> Digest:
        """The id that the engine gives the image."""
        return pin.image_id if self.image_id_is == "config" else pin.manifest_digest


def kind_of(name: EngineName, *, containerd_store: bool) -> EngineKind:
    """The engine of that name with the store that it says it has."""
    match name:
        case "docker":
            return "docker-containerd" if containerd_store else "docker"
        case "podman":
            return "podman"
        case _:
            assert_never(name)


def traits_of(kind: EngineKind) -> EngineTraits:
    """What the engine does."""
    match kind:
        case "docker":
            return EngineTraits(
                kind=kind,
                finds_layers_by="chain",
                image_id_is="config",
                loads=frozenset({"none", "gzip"}),  # zstd since version 23
                intake="pipe",
                keeps_blobs=False,
                copies_aside=True,
                reads_along=True,
                gives_back="tar",
            )
        case "docker-containerd":
            return EngineTraits(
                kind=kind,
                finds_layers_by="blob",
                image_id_is="manifest",
                loads=frozenset({"none", "gzip", "zstd"}),
                intake="pipe",
                keeps_blobs=True,
                copies_aside=True,
                # A load that was broken off made the next one of the same blob fail ("content digest not found").
                reads_along=False,
                gives_back="nothing",
            )
        case "podman":
            return EngineTraits(
                kind=kind,
                finds_layers_by="diff_id",
                image_id_is="config",
                loads=frozenset({"none", "gzip", "zstd"}),
                intake="folder",
                keeps_blobs=False,
                copies_aside=False,
                reads_along=False,  # a folder must be whole
                gives_back="tar",
            )
        case _:
            assert_never(kind)
