"""What container engines do differently, as far as it decides what travels and how. Pure.

An engine is a case in each function here, a name in inputs/spec.py, and a file in adapters/host/engines/, which
detect.py picks. Nothing else asks which engine it is: it asks these traits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from typing_extensions import assert_never

from pulumi_iofog.inputs.spec import EngineName
from pulumi_iofog.oci.image import Compression, Digest, Pin, Reference

EngineKind = Literal["docker", "docker-containerd", "podman", "edgelet"]
"""An engine together with its image store: ``docker`` is the classic one, ``docker-containerd`` the default since
Docker 29."""


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """See the module; what each engine does was tried on Docker 20.10, Docker 29, podman 4.3, and the containerd 2.x
    of edgelet.

    Attributes:
        finds_layers_by: what tells the engine that it holds a layer which a load leaves out: the chain of diff ids
            from the bottom up, the layer's diff id alone, or the digest of its blob.
        image_id_is: the digest that the engine gives an image as its id.
        loads: compressions of a layer that a load reads.
        manifest: what is loaded: the registry's own, or one made for the host, which names each layer as it came.
        spellings: the names that an image needs: ``full`` with registry and tag, or ``both``, which is also the one
            of the catalog, letter by letter.
        intake: what a load reads: an archive from a pipe, one as a file, or a folder.
        keeps_blobs: the blobs stay as they came, so that a layer in another encoding would be another image.
        unpacks: when layers are unpacked: while they are loaded, or later, beside the blobs, which stay.
        copies_aside: where what is given is written once more before it is loaded: on the disk of the engine's root, or
            where temporary files are.
        reads_along: a load may begin before its last layers have arrived.
        loads_early: lower layers alone may be loaded while the rest is on its way, and that saves time.
        gives_back: what a held layer can be had back as: its plain tar out of an image that the engine saves, or its
            blob out of the engine's store.
        needs_platform: it makes no container of an image whose config does not say what it runs on.
    """

    kind: EngineKind
    finds_layers_by: Literal["chain", "diff_id", "blob"]
    image_id_is: Literal["config", "manifest"]
    loads: frozenset[Compression]
    manifest: Literal["registry", "carried"]
    spellings: Literal["full", "both"]
    intake: Literal["pipe", "file", "folder"]
    keeps_blobs: bool
    unpacks: Literal["loading", "later"]
    copies_aside: Literal["root", "temporary", "nowhere"]
    reads_along: bool
    loads_early: bool
    gives_back: Literal["tar", "blob"]
    needs_platform: bool = False

    @property
    def unpacks_on_the_way(self) -> bool:
        """Whether the host can unpack a layer for the engine while it is loaded."""
        return self.intake == "pipe" and not self.keeps_blobs

    @property
    def command(self) -> str:
        """What people type to work with it."""
        return "docker" if self.kind == "docker-containerd" else self.kind

    def image_id(self, pin: Pin) -> Digest:
        """The id that the engine gives the image."""
        return pin.image_id if self.image_id_is == "config" else pin.manifest_digest

    def names(self, reference: Reference) -> tuple[str, ...]:
        """The names that the image must have in the engine, without repetition."""
        both = (reference.catalog_name, reference.full_name) if self.spellings == "both" else (reference.full_name,)
        return tuple(dict.fromkeys(both))


def kind_of(name: EngineName, *, containerd_store: bool) -> EngineKind:
    """The engine of that name with the store that it says it has."""
    match name:
        case "docker":
            return "docker-containerd" if containerd_store else "docker"
        case "podman" | "edgelet":
            return name
        case _:
            assert_never(name)


def traits_of(kind: EngineKind, version: str = "") -> EngineTraits:
    """What the engine does; of one whose version is not known, what the oldest does."""
    match kind:
        case "docker":
            return EngineTraits(
                kind=kind,
                finds_layers_by="chain",
                image_id_is="config",
                loads=frozenset({"none", "gzip", "zstd"} if _major(version) >= 23 else {"none", "gzip"}),
                manifest="registry",
                spellings="full",
                intake="pipe",
                keeps_blobs=False,
                unpacks="loading",
                copies_aside="root",
                reads_along=True,
                loads_early=True,
                gives_back="tar",
            )
        case "docker-containerd":
            return EngineTraits(
                kind=kind,
                finds_layers_by="blob",
                image_id_is="manifest",
                loads=frozenset({"none", "gzip", "zstd"}),
                manifest="registry",
                spellings="full",
                intake="pipe",
                keeps_blobs=True,
                unpacks="loading",
                copies_aside="root",
                # A load that was broken off made the next one of the same blob fail ("content digest not found").
                reads_along=False,
                loads_early=True,
                gives_back="blob",
            )
        case "podman":
            return EngineTraits(
                kind=kind,
                finds_layers_by="diff_id",
                image_id_is="config",
                loads=frozenset({"none", "gzip", "zstd"}),
                manifest="carried",
                spellings="full",
                intake="folder",
                keeps_blobs=False,
                unpacks="loading",
                copies_aside="temporary",
                reads_along=False,  # a folder must be whole
                loads_early=True,
                gives_back="tar",
            )
        case "edgelet":
            return EngineTraits(
                kind=kind,
                finds_layers_by="blob",
                image_id_is="config",
                loads=frozenset({"none", "gzip", "zstd"}),
                manifest="carried",
                spellings="both",
                intake="file",
                keeps_blobs=False,  # edgelet compares names, never digests
                unpacks="later",  # by CRI, for the first container
                copies_aside="nowhere",
                reads_along=False,  # a file must be whole
                loads_early=False,  # a load only copies: 0.1 s for 36 MB, and half a second's wait for its end
                gives_back="blob",
                needs_platform=True,  # CRI unpacks for a platform ("parent snapshot … does not exist")
            )
        case _:
            assert_never(kind)


def _major(version: str) -> int:
    """23 of ``23.0.1``."""
    first = version.partition(".")[0]
    return int(first) if first.isdecimal() else 0
