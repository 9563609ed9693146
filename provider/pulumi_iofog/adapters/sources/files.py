"""The files of an archive or layout: read by name, each from an offset on, nothing unpacked."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from pulumi_iofog.adapters.sources import headers
from pulumi_iofog.errors import SourceError
from pulumi_iofog.oci.image import Digest

CHUNK = 1 << 20
"""Bytes read at once."""
SMALL = 8 << 20
"""Bytes at most of a file that is read whole: an index, a manifest, a config."""


class Files(Protocol):
    """Methods raise SourceError, also for a file that does not exist."""

    @property
    def who(self) -> str:
        """The archive or folder, for errors."""

    def __contains__(self, name: str) -> bool: ...
    def size(self, name: str) -> int: ...
    def chunks(self, name: str, offset: int = 0) -> Iterator[bytes]: ...


def read(files: Files, name: str) -> bytes:
    """A small file, whole."""
    if files.size(name) > SMALL:
        raise SourceError(files.who, f"reading {name}", "it is too large to be what its name says")
    return b"".join(files.chunks(name))


def blob_name(digest: Digest) -> str:
    """``blobs/sha256/<hex>`` (image-layout.md)."""
    return f"blobs/{digest.replace(':', '/')}"


class Folder:
    """The files of a folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path, self.who = path, str(path)

    def __contains__(self, name: str) -> bool:
        return (self.path / name).is_file()

    def size(self, name: str) -> int:
        with translated(self.who, f"reading {name}"):
            return (self.path / name).stat().st_size

    def chunks(self, name: str, offset: int = 0) -> Iterator[bytes]:
        with translated(self.who, f"reading {name}"), (self.path / name).open("rb") as file:
            file.seek(offset)
            yield from iter(lambda: file.read(CHUNK), b"")


class Tar:
    """The files of a plain tar: its headers are read once, and then only what is asked for."""

    def __init__(self, path: Path, who: str) -> None:
        self.path, self.who = path, who
        self._links: dict[str, str] = {}
        self._places: dict[str, tuple[int, int]] = {}
        with translated(who, "reading the archive"):
            for entry in headers.entries(path):
                self._note(entry)

    def _note(self, entry: tarfile.TarInfo) -> None:
        name = _normal(entry.name)
        if entry.issym():
            self._links[name] = _normal(f"{PurePosixPath(name).parent}/{entry.linkname}")
        elif entry.islnk():
            self._links[name] = _normal(entry.linkname)
        elif entry.isfile():
            self._places[name] = (entry.offset_data, entry.size)

    def __contains__(self, name: str) -> bool:
        return self._target(name) in self._places

    def size(self, name: str) -> int:
        return self._place(name)[1]

    def chunks(self, name: str, offset: int = 0) -> Iterator[bytes]:
        begin, size = self._place(name)
        with translated(self.who, f"reading {name}"), self.path.open("rb") as file:
            file.seek(begin + offset)
            left = size - offset
            while left > 0 and (chunk := file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk

    def _place(self, name: str) -> tuple[int, int]:
        try:
            return self._places[self._target(name)]
        except KeyError:
            raise SourceError(self.who, f"reading {name}", "not found in the archive") from None

    def _target(self, name: str) -> str:
        """The name that a link points to: older ``docker save`` writes equal layers once, and links to them."""
        name = _normal(name)
        return self._links.get(name, name)


def _normal(name: str) -> str:
    """A path without ``.`` and ``..``."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


@contextmanager
def translated(who: str, doing: str) -> Iterator[None]:
    """The system's and tarfile's errors → SourceError."""
    try:
        yield
    except FileNotFoundError as problem:
        file = f"{problem.filename} " if problem.filename and str(problem.filename) != who else ""
        raise SourceError(who, doing, f"{file}not found", "Is the disk or USB stick mounted?") from None
    except OSError as problem:
        raise SourceError(who, doing, problem.strerror or str(problem)) from None
    except tarfile.TarError as problem:
        raise SourceError(who, doing, f"it is not a tar archive, or truncated ({problem})", "Copy it again") from None
