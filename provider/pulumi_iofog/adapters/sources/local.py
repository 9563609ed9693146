"""Images from archives, layouts and the operator's own engine, as manifests and blobs, like a registry's.

    found               once for each state of a source (its file's size and times, its image's id)
    ├── record          kept from before: nothing is read but what shows that nothing has changed
    └── open, find      the manifest, or one made of config and layers
    blob                from the opened files

What can be read in any order (folders, plain tars) is read in place. Compressed archives and an engine's images
come in one piece, so a plain tar of them is kept in the cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Generator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pulumi_iofog.adapters.sources import docker_archive, oci_layout, packed
from pulumi_iofog.adapters.sources.files import Files, Folder, Tar, blob_name, translated
from pulumi_iofog.adapters.sources.found import Found
from pulumi_iofog.errors import SourceError
from pulumi_iofog.oci.image import Descriptor, Reference, media_type_of, parse_digest, short

if TYPE_CHECKING:
    from pulumi_iofog.adapters.sources.daemon import Daemon

FOREVER = float("inf")
REPLACED = "If it has been replaced in the meantime, run pulumi up again"


class Records(Protocol):
    """The cache's small records."""

    def put(self, key: str, value: dict[str, Any]) -> None: ...
    def get(self, key: str, max_age: float) -> dict[str, Any] | None: ...


class Store(Protocol):
    """The cache's files that are made from others."""

    def derive(self, name: str, make: Callable[[Path], object]) -> Path: ...


class Local:
    """Reads manifests and blobs; several threads may use it. Methods raise SourceError.

    Each source is looked at once: for as long as this object lives, what it was then is what is read.

    Args:
        records: keep what was found.
        store: keeps plain tars.
    """

    def __init__(self, records: Records, store: Store) -> None:
        self._records, self._store = records, store
        self._states: dict[str, str] = {}
        self._found: dict[str, Found] = {}
        self._files: dict[str, Files] = {}
        self._lock = threading.RLock()

    def named(self, reference: Reference) -> Reference:
        """The reference with the name that the image has there, if the user gave none."""
        return reference if reference.named else reference.complete(self._find(reference).name)

    def manifest(self, reference: Reference, target: str | None = None) -> tuple[bytes, str]:
        """A manifest's or index's bytes and media type.

        Args:
            target: a digest instead of the reference's own target.
        """
        found = self._find(reference)
        if target is None:
            return found.raw, found.media_type
        raw = found.small(target) or oci_layout.manifest(self._open(reference), parse_digest(target))
        return raw, media_type_of(raw)

    def blob(self, reference: Reference, blob: Descriptor, offset: int = 0) -> Generator[bytes, None, None]:
        """A blob's bytes from an offset on, not verified."""
        found = self._find(reference)
        small = found.small(blob.digest)
        if small is not None:
            yield small[offset:]
            return
        files, name = self._open(reference), found.places.get(blob.digest, blob_name(blob.digest))
        if name not in files:
            raise SourceError(files.who, f"reading {short(blob.digest)} of {reference}", "not found in it", REPLACED)
        yield from files.chunks(name, offset)

    @cached_property
    def _daemon(self) -> Daemon:
        # Here, as docker's SDK takes a while to import, and most images come from a registry.
        from pulumi_iofog.adapters.sources.daemon import Daemon

        return Daemon()

    # ---- what is there ------------------------------------------------------------------------------

    def _find(self, reference: Reference) -> Found:
        with self._lock:
            if reference.text not in self._found:
                self._found[reference.text] = self._look(reference)
            return self._found[reference.text]

    def _look(self, reference: Reference) -> Found:
        key = (
            f"source {reference.transport} {self._state(reference)} {reference.selector if reference.location else ''}"
        )
        found = Found.of(self._records.get(key, FOREVER))
        if found is None:
            files = self._open(reference)
            # Only what an engine saves may be either: newer ones write both, and then the layout has the registry's
            # own manifest.
            as_layout = reference.transport in ("oci", "oci-archive") or (
                reference.transport == "docker-daemon" and "index.json" in files
            )
            found = (
                oci_layout.find(files, _only(reference)) if as_layout else docker_archive.find(files, _only(reference))
            )
            with contextlib.suppress(UnicodeDecodeError):
                self._records.put(key, found.record())
        return found

    def _state(self, reference: Reference) -> str:
        """A text that changes when the source does: its path, size and times, or the image's id in the engine."""
        place = f"{reference.transport}:{reference.location or reference.selector}"
        if place not in self._states:
            there = _stamp(reference) if reference.location else self._daemon.image_id(reference.selector)
            self._states[place] = there
        return self._states[place]

    def _open(self, reference: Reference) -> Files:
        with self._lock:
            state = self._state(reference)
            if reference.transport == "oci":
                return Folder(_path(reference))
            if not reference.location:
                tar = self._plain(state, lambda out: self._daemon.save(state, out))
                return self._tar(tar, reference.text)
            path = _path(reference)
            if packed.is_packed(path):
                return self._tar(self._plain(state, lambda out: packed.unpack(path, out)), str(path))
            return self._tar(path, str(path))

    def _plain(self, state: str, make: Callable[[Path], object]) -> Path:
        return self._store.derive(f"source-{hashlib.sha256(state.encode()).hexdigest()}.tar", make)

    def _tar(self, path: Path, who: str) -> Files:
        # If a plain tar was trimmed and is made again, it need not be the same.
        key = f"{path} {path.stat().st_ino}" if path.exists() else str(path)
        if key not in self._files:
            self._files[key] = Tar(path, who)
        return self._files[key]


def _only(reference: Reference) -> Reference:
    """What an engine has saved by its id is a single image without names."""
    return reference if reference.location else Reference.parse("oci:.")


def _path(reference: Reference) -> Path:
    return Path(reference.location).expanduser().absolute()


def _stamp(reference: Reference) -> str:
    path = _path(reference)
    told_by = path / "index.json" if reference.transport == "oci" else path
    with translated(str(path), f"looking for {reference}"):
        if reference.transport == "oci" and not path.is_dir():
            why = "it is a file" if path.exists() else f"no such folder (the current one is {Path.cwd()})"
            raise SourceError(str(path), f"looking for {reference}", why, "For a file, write oci-archive:FILE")
        if told_by.is_dir():
            raise SourceError(str(path), f"looking for {reference}", "it is a folder", "For a folder, write oci:DIR")
        found = told_by.stat()
    return f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
