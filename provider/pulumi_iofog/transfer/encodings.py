"""How a layer may travel: each way is a class that owns its facts. Values only.

A new one is a class with these facts, named in ``Encoding``. The type checker then points at the rest:
planner.py, which chooses it; session/payloads.py, which makes it; adapters/host/spool.py, which proves it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pulumi_iofog.oci.image import Descriptor, Digest, Layer

PLAIN_FACTOR = 3
"""Plain size of a layer by its compressed size, where it is not known."""
GZIP_FACTOR = 1.5
"""Size of a layer as gzip by its size as zstd, at most: a guess."""


class _Facts(ABC):
    """What is known of every way for a layer to travel.

    Attributes:
        source: the id of the image, held by the engine, that the layer is made from; None where it needs none.
        plain: the layer lies in the spool as its plain tar.
    """

    __slots__ = ()

    @abstractmethod
    def file_name(self, layer: Layer) -> str:
        """Names the bytes that travel, on either side. Equal names, equal bytes."""

    def made_from(self, layer: Layer) -> Digest | None:
        """The diff id of the layer of ``source`` that it is made from."""
        return None

    @abstractmethod
    def expected(self, layer: Layer) -> Digest | None:
        """What must lie in the spool in the end; None where that is known only once it has been made."""

    @abstractmethod
    def likely(self, layer: Layer) -> float:
        """Bytes on the wire as they are to be expected."""

    def most(self, layer: Layer) -> int:
        """Bytes on the wire at most."""
        return layer.blob.size

    def given(self, layer: Layer) -> int:
        """Bytes that the engine is given, at most."""
        return plain_most(layer)


@dataclass(frozen=True, slots=True)
class AsIs(_Facts):
    """As the registry's own blob. ``unpack``: the host gives the engine the plain tar of it, which that loads
    sooner, or at all."""

    unpack: bool = False
    source: ClassVar[None] = None
    plain: ClassVar[bool] = False

    def file_name(self, layer: Layer) -> str:
        return layer.blob.digest.hex

    def expected(self, layer: Layer) -> Digest | None:
        return layer.blob.digest

    def likely(self, layer: Layer) -> float:
        return layer.blob.size

    def given(self, layer: Layer) -> int:
        return plain_most(layer) if self.unpack else layer.blob.size


@dataclass(frozen=True, slots=True)
class Recoded(_Facts):
    """Encoded anew. ``window_log``: log2 of zstd's window in bytes."""

    level: int
    window_log: int
    packing: Literal["zstd", "gzip"] = "zstd"
    source: ClassVar[None] = None
    plain: ClassVar[bool] = False

    def file_name(self, layer: Layer) -> str:
        return f"{layer.diff_id.hex}.{self.packing}-{self.level}-{self.window_log}"

    def expected(self, layer: Layer) -> Digest | None:
        return None

    def likely(self, layer: Layer) -> float:
        return (0.85 if self.packing == "zstd" else GZIP_FACTOR) * layer.blob.size

    def most(self, layer: Layer) -> int:
        return layer.blob.size if self.packing == "zstd" else round(GZIP_FACTOR * layer.blob.size)


@dataclass(frozen=True, slots=True)
class Delta(_Facts):
    """As a zstd patch against a layer (``base``, a diff id) of an image that the engine holds (``source``);
    ``otherwise`` where the patch turns out too large, or cannot be made."""

    base: Digest
    source: str
    otherwise: Recoded | AsIs
    plain: ClassVar[bool] = True

    def file_name(self, layer: Layer) -> str:
        return f"{layer.diff_id.hex}.from-{self.base.hex}"

    def made_from(self, layer: Layer) -> Digest | None:
        return self.base

    def expected(self, layer: Layer) -> Digest | None:
        return layer.diff_id

    def likely(self, layer: Layer) -> float:
        return 0.1 * layer.blob.size


@dataclass(frozen=True, slots=True)
class TokenDelta(_Facts):
    """As a zstd patch between the deflate tokens of two gzip blobs, from which the host makes the registry's own blob,
    bit for bit: for engines that keep blobs as they came. See adapters/gzip_tokens.

    Attributes:
        base, base_blob: the older layer's diff id, and its blob, which the engine holds in an image (``source``).
        otherwise: where the patch turns out too large, or cannot be made.
    """

    base: Digest
    base_blob: Digest
    source: str
    otherwise: AsIs
    plain: ClassVar[bool] = False

    def file_name(self, layer: Layer) -> str:
        return f"{layer.blob.digest.hex}.tokens-from-{self.base_blob.hex}"

    def made_from(self, layer: Layer) -> Digest | None:
        return self.base

    def expected(self, layer: Layer) -> Digest | None:
        return layer.blob.digest

    def likely(self, layer: Layer) -> float:
        return 0.1 * layer.blob.size

    def given(self, layer: Layer) -> int:
        return layer.blob.size


@dataclass(frozen=True, slots=True)
class Copied(_Facts):
    """Not at all: the host takes it out of an image that its engine holds (``source``). Docker's classic
    store knows a layer only by the chain of those below it, so it wants even what it has."""

    source: str
    plain: ClassVar[bool] = True

    def file_name(self, layer: Layer) -> str:
        return f"{layer.diff_id.hex}.tar"

    def made_from(self, layer: Layer) -> Digest | None:
        return layer.diff_id

    def expected(self, layer: Layer) -> Digest | None:
        return layer.diff_id

    def likely(self, layer: Layer) -> float:
        return 0.0

    def most(self, layer: Layer) -> int:
        return 0


Encoding = AsIs | Recoded | Delta | TokenDelta | Copied


@dataclass(frozen=True, slots=True)
class Part:
    """One layer and how it travels; its facts are those of the encoding (see _Facts) for this layer.

    Attributes:
        twin: another part has the same layer from another blob, as where two tools have written empty layers.
    """

    layer: Layer
    encoding: Encoding
    twin: bool = False

    @property
    def key(self) -> Digest:
        """What tells it from the image's other parts."""
        return self.layer.blob.digest if self.twin else self.layer.diff_id

    @property
    def name(self) -> str:
        return self.encoding.file_name(self.layer)

    @property
    def source(self) -> str | None:
        return self.encoding.source

    @property
    def made_from(self) -> Digest | None:
        return self.encoding.made_from(self.layer)

    @property
    def plain(self) -> bool:
        return self.encoding.plain

    @property
    def expected(self) -> Digest | None:
        return self.encoding.expected(self.layer)

    @property
    def most(self) -> int:
        return self.encoding.most(self.layer)

    @property
    def likely(self) -> float:
        return self.encoding.likely(self.layer)

    @property
    def given(self) -> int:
        return self.encoding.given(self.layer)

    @property
    def plain_most(self) -> int:
        return plain_most(self.layer)


Coming = Sequence[tuple[Part, Descriptor]]
"""Parts in their order, each with what lies in the spool once it is proven."""


def plain_most(layer: Layer) -> int:
    """Bytes of a layer's plain tar, at most: a guess."""
    return PLAIN_FACTOR * layer.blob.size
