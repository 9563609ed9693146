"""Files of the cache: written, hashed, and found by their age."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import IO

KEEP_PARTS = 7 * 86_400.0
"""Seconds after which what an interrupted download or write has left is removed."""


def write(path: Path, data: bytes) -> None:
    """Write a small file, which is whole or not there, whoever else writes it. Raises OSError."""
    number, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def hash_file(file: IO[bytes]) -> tuple[hashlib._Hash, int]:
    """The sha256 of a file's content, which may be updated with more, and its size."""
    hashed = hashlib.sha256()
    for chunk in iter(lambda: file.read(1 << 20), b""):
        hashed.update(chunk)
    return hashed, file.tell()


def by_age(folder: Path) -> list[tuple[float, int, Path]]:
    """Time of last use, size and path of each file, the oldest first."""
    files = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            if stat.S_ISREG(found.st_mode):
                files.append((found.st_mtime, found.st_size, path))
    return sorted(files)


def left_lying(path: Path, changed: float) -> bool:
    """Whether it is a part, last changed at that time, which nobody will continue any more."""
    return path.suffix == ".part" and changed < time.time() - KEEP_PARTS
