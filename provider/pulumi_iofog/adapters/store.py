"""The operator's local cache: blobs by digest, shared by threads, resources and processes.

~/.cache/pulumi-iofog/
├── blobs/sha256/<hex>          whole and verified
├── blobs/sha256/<hex>.part     being downloaded, or left by an interrupted download
├── locks/<hex>                 held while one process downloads that blob
└── remembered/<sha256>.json    small records: what was resolved, and when
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pulumi_iofog import words
from pulumi_iofog.errors import StoreError
from pulumi_iofog.image import Blob, Digest, sha256

Download = Callable[[int], Generator[bytes, None, None]]
"""Called with the offset to begin at, in bytes."""

LIMIT = 20_000_000_000
"""Bytes that blobs may take up; beyond it the least recently used go first."""


class Store:
    """Content-addressed blobs and small records under one private folder.

    Args:
        root: the folder; default ``$XDG_CACHE_HOME/pulumi-iofog``, else ``~/.cache/pulumi-iofog``.

    Methods raise StoreError where the disk is full or the folder cannot be used.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or _default_root()
        self._blobs = self.root / "blobs" / "sha256"
        with self._translated("making the cache folder"):
            for folder in (self._blobs, self.root / "locks", self.root / "remembered"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)

    @classmethod
    @contextmanager
    def temporary(cls) -> Iterator[Store]:
        """A store that is gone with its ``with``."""
        folder = tempfile.mkdtemp(prefix="pulumi-iofog-")
        try:
            yield cls(Path(folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # ---- blobs --------------------------------------------------------------------------------------

    def get(self, digest: Digest) -> Path | None:
        """The blob's file if it is there; marks it as used."""
        path = self._path(digest)
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
            return path
        return None

    def read(self, digest: Digest) -> bytes | None:
        """A small blob's bytes, verified; None if it is not there, or damaged (then it is removed)."""
        path = self.get(digest)
        if path is None:
            return None
        with self._translated(f"reading {digest}"):
            data = path.read_bytes()
        if sha256(data) == digest:
            return data
        path.unlink(missing_ok=True)
        return None

    def put(self, data: bytes) -> Path:
        """Keep some bytes under their digest."""
        path = self._path(sha256(data))
        if not path.exists():
            with self._translated(f"writing {path.name}"):
                self._write(path, data)
        return path

    def fetch(self, blob: Blob, download: Download) -> Path:
        """The verified blob as a file; downloaded once, however many threads and processes want it.

        A download that breaks leaves its part, and the next one goes on from there.

        Raises:
            StoreError: what was downloaded has another digest or size, twice; or the disk is full.
        """
        found = self.get(blob.digest)
        if found:
            return found
        with self._translated(f"keeping {blob.digest}"), self._locked(blob.digest):
            return self.get(blob.digest) or self._download(blob, download)

    def _download(self, blob: Blob, download: Download) -> Path:
        path = self._path(blob.digest)
        part = path.with_name(f"{path.name}.part")
        for last in (False, True):
            got = self._append(part, blob, download)
            if got == blob.digest:
                part.replace(path)
                self.trim(keep=blob.digest)
                return path
            part.unlink(missing_ok=True)
            if last:
                raise StoreError(
                    f"blob {blob.digest}",
                    "verifying the download",
                    f"got {got}, want {blob.digest} of {blob.size} bytes, twice",
                    "The registry or a proxy before it hands out wrong data",
                )
        raise AssertionError("unreachable")

    def _append(self, part: Path, blob: Blob, download: Download) -> str:
        """Go on with a part, hashing while it streams; the digest of the whole, or its wrong size."""
        hashed = hashlib.sha256()
        with part.open("ab+") as file:
            file.seek(0)
            for chunk in iter(lambda: file.read(1 << 20), b""):
                hashed.update(chunk)
            size = file.tell()
            if size < blob.size:
                with contextlib.closing(download(size)) as stream:
                    for chunk in stream:
                        file.write(chunk)
                        hashed.update(chunk)
                        size += len(chunk)
                        if size > blob.size:
                            break
            file.flush()
            os.fsync(file.fileno())
        return f"sha256:{hashed.hexdigest()}" if size == blob.size else f"{size} bytes"

    def trim(self, limit: int = LIMIT, keep: Digest | None = None) -> None:
        """Remove the least recently used blobs beyond ``limit`` bytes; one in use goes on being readable
        by whoever has it open."""
        files = []
        for path in self._blobs.iterdir():
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                files.append((found.st_mtime, found.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= limit:
                return
            if keep is None or path != self._path(keep):
                path.unlink(missing_ok=True)
                total -= size

    # ---- small records ------------------------------------------------------------------------------

    def remember(self, key: str, value: dict[str, Any]) -> None:
        """Keep a small record, with the time."""
        with self._translated("remembering"):
            self._write(self._record(key), json.dumps({"at": time.time(), "value": value}).encode())

    def recall(self, key: str, max_age: float) -> dict[str, Any] | None:
        """The record, if it is at most ``max_age`` seconds old and readable."""
        try:
            record = json.loads(self._record(key).read_bytes())
            fresh = time.time() - record["at"] <= max_age
            return dict(record["value"]) if fresh else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def forget(self, key: str) -> None:
        """Remove the record."""
        self._record(key).unlink(missing_ok=True)

    # ---- files --------------------------------------------------------------------------------------

    def _path(self, digest: Digest) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def _record(self, key: str) -> Path:
        return self.root / "remembered" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"

    def _write(self, path: Path, data: bytes) -> None:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            file.write(data)
        Path(file.name).replace(path)

    @contextmanager
    def _locked(self, digest: Digest) -> Iterator[None]:
        # flock goes with its process, also when that crashes; each thread opens the file anew.
        with (self.root / "locks" / digest.removeprefix("sha256:")).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            if problem.errno in (errno.ENOSPC, errno.EDQUOT):
                free = words.size(shutil.disk_usage(self.root).free)
                hint = f"Free space there, or set XDG_CACHE_HOME to a larger disk ({free} are free)"
                raise StoreError(str(self.root), doing, "no space left on device", hint) from None
            raise StoreError(str(self.root), doing, problem.strerror or str(problem)) from None


def _default_root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pulumi-iofog"
