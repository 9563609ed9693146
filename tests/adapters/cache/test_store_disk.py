"""The local cache on disks that are full, folders that cannot be used, and who may read it."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.errors import StoreError
from pulumi_iofog.oci.image import Descriptor, sha256
from tests.adapters.sources.blob_source import BLOB, DATA, Source, files


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "cache")
    yield store
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 512 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    """Room that is made is used: the download goes on."""
    (small_disk / "other").write_bytes(bytes(200_000))
    store, source = Store(small_disk / "cache"), Source(DATA[:400_000])
    blob = Descriptor(sha256(source.data), len(source.data), "")
    wanted = (
        rf"^{store.root}: keeping {blob.digest}: no space left on device\."
        r" Free space there, or set XDG_CACHE_HOME to a folder on a larger disk \(.* free\)$"
    )
    with pytest.raises(StoreError, match=wanted):
        store.fetch(blob, source)
    (small_disk / "other").unlink()
    assert store.fetch(blob, source).read_bytes() == source.data
    assert 0 == source.offsets[0] < source.offsets[1]
    store.close()


def test_a_full_disk_leaves_no_small_file(small_disk: Path) -> None:
    store = Store(small_disk / "cache")
    with pytest.raises(StoreError, match=r"keeping sha256:.*: no space left on device"):
        store.put(bytes(600_000))
    with pytest.raises(StoreError, match="keeping a record: no space left on device"):
        store.records.put("key", {"value": "x" * 600_000})
    assert files(store) == []


def test_a_full_disk_under_a_temporary_store(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with Store.temporary() as store, pytest.raises(StoreError, match="set TMPDIR to"):
        store.fetch(BLOB, Source())
    assert list(small_disk.iterdir()) == []


def test_files_that_may_not_grow(store: Store) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StoreError, match=f"keeping {BLOB.digest}: File too large"):
            store.fetch(BLOB, Source())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_root_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=rf"^{tmp_path}/file/cache: making the cache folder: Not a directory$"):
        Store(tmp_path / "file" / "cache")


def test_everything_is_private(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    root.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        store = Store(root)
        store.fetch(BLOB, Source())
        store.put(b"{}")
        store.records.put("key", {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert {stat.S_IMODE((root / name).stat().st_mode) for name in files(store)} == {0o600}
    store.close()


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert Store().root == tmp_path / ".cache" / "pulumi-iofog"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert Store().root == tmp_path / "xdg" / "pulumi-iofog"
