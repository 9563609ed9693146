"""The operator's local cache: blobs by digest, shared by threads, resources and processes.

~/.cache/pulumi-iofog/
├── blobs/sha256/<hex>          whole and verified; locked shared by every Store that uses it
├── blobs/sha256/<hex>.part     being downloaded, locked; or left by an interrupted download
├── derived/<name>              made from blobs: layers in another encoding, deltas
├── turns/<sha256>              locked while someone makes a thing, or works on a host
└── records/<sha256>.json       small records: what was resolved, and when (records.py)

The locks are flock's, on the files themselves, so none is left when a process crashes. Trimming removes only
what it can lock for itself: a blob that ``fetch`` has returned stays until its Store is closed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from pulumi_iofog import log, text
from pulumi_iofog.adapters.cache import file_lock, files
from pulumi_iofog.adapters.cache.records import Records
from pulumi_iofog.errors import StoreError
from pulumi_iofog.oci.image import Descriptor, Digest, sha256

Download = Callable[[int], Generator[bytes, None, None]]
"""Called with the offset to begin at, in bytes."""
Wait = Callable[[str, "float | None"], None]
"""Told who has a turn (``pid 4711``) and since when (seconds since 1970)."""

LIMIT = 20_000_000_000
"""Bytes that blobs may take up; beyond that, the least recently used are removed."""
POLL_INTERVAL = 0.02
"""Seconds between two looks at a download of another thread or process."""
TEMPORARY = "pulumi-iofog-store-"
"""How the names of temporary stores begin."""
_BLOB = re.compile(r"[0-9a-f]{64}(\.part)?")


class Store:
    """Content-addressed blobs and small records under one private folder.

    Args:
        root: the folder; default ``$XDG_CACHE_HOME/pulumi-iofog``, else ``~/.cache/pulumi-iofog``.
        moved_by: the environment variable that moves it, for messages.
        sleep: between two looks at what another thread or process does; what it raises ends the wait.

    Attributes:
        records: small records by key.

    Methods raise StoreError if the disk is full or the folder cannot be used.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        moved_by: str = "XDG_CACHE_HOME",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.root, self._sleep = root or _default_root(), sleep
        # Not a method: the records would keep the store, and so its open files, alive.
        self._translated = partial(_translated, self.root, moved_by)
        self._blobs, self._derived = self.root / "blobs" / "sha256", self.root / "derived"
        records = self.root / "records"
        self.records = Records(records, self._translated)
        self._in_use: dict[Digest, int] = {}
        """Open file descriptors, each with a shared lock."""
        self._lock = threading.Lock()
        weakref.finalize(self, file_lock.close_all, self._in_use)
        with self._translated("making the cache folder"):
            for folder in (self._blobs, self._derived, records, self.root / "turns"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)

    def close(self) -> None:
        """Release what ``fetch`` has returned: from now on it may be trimmed."""
        with self._lock:
            file_lock.close_all(self._in_use)

    @classmethod
    @contextmanager
    def temporary(cls, sleep: Callable[[float], None] = time.sleep) -> Iterator[Store]:
        """A store that is removed at the end of the ``with``; those of crashed processes are removed too."""
        file_lock.remove_abandoned_folders(TEMPORARY)
        folder, lock = file_lock.new_folder(TEMPORARY)
        try:
            with contextlib.closing(cls(folder, moved_by="TMPDIR", sleep=sleep)) as store:
                yield store
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    # ---- blobs --------------------------------------------------------------------------------------

    def get(self, digest: Digest) -> Path | None:
        """The blob's file, if it is cached; it stays until the store is closed."""
        path = self.blob_path(digest)
        with self._translated(f"opening {digest}"), self._lock:
            held = self._in_use.get(digest)
            if held is None or not file_lock.is_at(held, path):
                if held is not None:
                    os.close(self._in_use.pop(digest))
                held = file_lock.lock(path, fcntl.LOCK_SH, os.O_RDWR)
                if held is None:
                    return None
                self._in_use[digest] = held
            os.utime(held)
        return path

    def read(self, digest: Digest) -> bytes | None:
        """A small blob's bytes, verified; None if it is not cached, or damaged (then it is removed)."""
        path = self.blob_path(digest)
        with self._translated(f"reading {digest}"):
            try:
                data = path.read_bytes()
                os.utime(path)
            except FileNotFoundError:
                return None
            if sha256(data) == digest:
                return data
            path.unlink(missing_ok=True)
        return None

    def put(self, data: bytes) -> Path:
        """Keep some bytes under their digest."""
        if not (path := self.blob_path(sha256(data))).exists():
            with self._translated(f"keeping sha256:{path.name}"):
                files.write(path, data)
        return path

    def fetch(self, blob: Descriptor, download: Download) -> Path:
        """The verified blob as a file; downloaded once, however many threads and processes want it.

        A broken download leaves its part, from which the next one resumes. The file stays until the store
        is closed, whoever trims it.

        Raises:
            StoreError: what was downloaded has another digest or size, twice; or the disk is full.
        """
        downloaded = False
        with self._translated(f"keeping {blob.digest}"):
            while not (path := self._whole(blob)):
                downloaded = self._try_download(blob, download) or downloaded
            if downloaded:
                self.trim()
        return path

    def _whole(self, blob: Descriptor) -> Path | None:
        """The blob's file, unless a crash of the machine has truncated it; then it is removed."""
        path = self.get(blob.digest)
        if path is None or (size := path.stat().st_size) == blob.size:
            return path
        with path.open("rb") as file:
            right = files.hash_file(file)[0].hexdigest() == path.name
        if right:
            why = f"it has {size} bytes, its manifest says {blob.size}"
            raise StoreError(f"blob {blob.digest}", "checking the cache", why, "The image's manifest is wrong")
        if file_lock.is_at(self._in_use[blob.digest], path):  # else another has replaced it
            path.unlink()
        return None

    def _try_download(self, blob: Descriptor, download: Download) -> bool:
        """Whether this call has downloaded it; False if another is downloading it, or has done so: look again."""
        path = self.blob_path(blob.digest)
        part = path.with_name(f"{path.name}.part")
        lock = file_lock.lock(part, fcntl.LOCK_EX | fcntl.LOCK_NB, os.O_RDWR | os.O_CREAT)
        if lock is None:
            # Not flock's own waiting: the locked file becomes the blob, which stays locked for as long as it is used.
            self._sleep(POLL_INTERVAL)
            return False
        with os.fdopen(lock, "rb+") as file:
            if path.exists():
                part.unlink()
                return False
            with log.timed("download", blob=blob.digest, bytes=blob.size, had=part.stat().st_size):
                self._download(file, part, blob, download)
            part.replace(path)
        return True

    def _download(self, file: IO[bytes], part: Path, blob: Descriptor, download: Download) -> None:
        got = ""
        for _ in range(2):
            got = _append(file, blob, download)
            if got == blob.digest:
                return
            file.seek(0)
            file.truncate()
        part.unlink()
        why = f"got {got}, want {blob.digest} of {blob.size} bytes, twice"
        hint = "The registry, or a proxy in front of it, serves wrong data"
        raise StoreError(f"blob {blob.digest}", "verifying the download", why, hint)

    # ---- what is made from blobs ----------------------------------------------------------------------

    def derived_path(self, name: str) -> Path:
        """Where ``derive`` puts what it makes; while it grows, ``NAME.part`` next to it."""
        return self._derived / name

    def derive(self, name: str, make: Callable[[Path], object]) -> Path:
        """A file made from blobs, only once, however many threads and processes want it.

        Args:
            make: gets the path, and must put the file there whole or not at all.
        """
        path, made = self.derived_path(name), False
        with self._translated(f"making {name}"):
            if not path.is_file():
                with self.turn(f"derive {name}"):
                    if not path.is_file():
                        make(path)
                        made = True
            os.utime(path)
            if made:
                self.trim()
        return path

    @contextmanager
    def turn(self, what: str, wait: Wait | None = None) -> Iterator[None]:
        """While it lasts, no other thread or process that uses this folder has a turn at the same thing.

        A rollout takes a turn at each host, as two at once would each send the layers that their images share, over
        the same link. It is a lock on a file and not a threading.Lock, because the other may be another stack's
        ``pulumi up``; and the kernel releases it if its process crashes.

        Args:
            wait: told again and again who has the turn, it sleeps; what it raises ends the wait.
        """
        path = self.root / "turns" / hashlib.sha256(what.encode()).hexdigest()
        # Not flock's own waiting, which nothing ends.
        while (held := file_lock.lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB, os.O_RDWR | os.O_CREAT)) is None:
            if wait:
                wait(*_holder(path))
            self._sleep(POLL_INTERVAL)
        os.ftruncate(held, 0)
        os.pwrite(held, f"{os.getpid()} {time.time():.0f}".encode(), 0)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(held)

    # ---- tidying ------------------------------------------------------------------------------------

    def trim(self, limit: int = LIMIT) -> None:
        """Remove the least recently used blobs beyond ``limit`` bytes, and parts that were abandoned long ago.

        Whatever any thread or process uses, or is downloading, stays.
        """
        with self._translated("tidying"):
            found = sorted(files.by_age(self._blobs) + files.by_age(self._derived))
            total = sum(size for _, size, _ in found)
            for changed, size, path in found:
                over = total > limit and (_BLOB.fullmatch(path.name) or path.parent == self._derived)
                if (over or files.left_lying(path, changed)) and file_lock.remove_unused(path):
                    total -= size
            self.records.trim()

    # ---- files --------------------------------------------------------------------------------------

    def blob_path(self, digest: Digest) -> Path:
        """Where ``fetch`` puts a blob; while it grows, ``HEX.part`` next to it."""
        return self._blobs / digest.removeprefix("sha256:")


@contextmanager
def _translated(root: Path, moved_by: str, doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            free = text.size(shutil.disk_usage(root).free)
            hint = f"Free space there, or set {moved_by} to a folder on a larger disk ({free} free)"
            raise StoreError(str(root), doing, "no space left on device", hint) from None
        raise StoreError(str(root), doing, problem.strerror or str(problem)) from None


def _holder(path: Path) -> tuple[str, float | None]:
    """Who has locked a turn's file, and since when, as far as that can be read."""
    with contextlib.suppress(OSError, ValueError):
        pid, since = path.read_text().split()
        return f"pid {int(pid)}", float(since)
    return "pid unknown", None


def _default_root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return Path(base).expanduser() / "pulumi-iofog"


def _append(file: IO[bytes], blob: Descriptor, download: Download) -> str:
    """Complete a part, hashing while it streams; the digest of the whole, or its wrong size."""
    hashed, size = files.hash_file(file)
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
