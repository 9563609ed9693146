"""Archives that are compressed as a whole: gzip, zstd, bzip2, xz."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pulumi_iofog.adapters.sources.files import CHUNK, translated
from pulumi_iofog.errors import SourceError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"\x28\xb5\x2f\xfd": zstd.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
"""How a compressed file begins, and what reads it."""


def is_packed(path: Path) -> bool:
    """Whether it is compressed. Raises SourceError if it cannot be read."""
    return _opener(path) is not None


def unpack(path: Path, out: Path) -> None:
    """Decompress a file; ``out`` is whole or not there. Raises SourceError."""
    opener = _opener(path)
    assert opener is not None
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines(_read(path, opener))
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _read(path: Path, opener: Callable[..., Any]) -> Iterator[bytes]:
    try:
        with translated(str(path), "decompressing it"), opener(path, "rb") as source:
            yield from iter(lambda: source.read(CHUNK), b"")
    except (EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError) as problem:
        why = f"it is damaged or truncated ({problem})"
        raise SourceError(str(path), "decompressing it", why, "Copy it again") from None


def _opener(path: Path) -> Callable[..., Any] | None:
    with translated(str(path), "opening it"), path.open("rb") as file:
        begin = file.read(6)
    return next((opener for magic, opener in OPENERS.items() if begin.startswith(magic)), None)
