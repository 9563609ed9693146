"""The local cache in one process: downloads and their faults, small blobs, small records."""

from __future__ import annotations

import contextlib
import gc
import json
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.errors import RegistryError, StoreError
from pulumi_iofog.oci.image import Descriptor, sha256
from tests.adapters.sources.blob_source import BLOB, DATA, Source, files


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "cache")
    yield store
    store.close()


def _only(digest: str) -> list[str]:
    return [f"blobs/sha256/{digest.removeprefix('sha256:')}"]


# ---- downloads --------------------------------------------------------------------------------------


def test_a_blob_is_downloaded_once(store: Store) -> None:
    source = Source()
    path = store.fetch(BLOB, source)
    assert path.read_bytes() == DATA
    assert store.fetch(BLOB, source) == path
    other = Store(store.root)
    assert other.fetch(BLOB, source) == path
    other.close()
    assert source.offsets == [0]
    assert files(store) == _only(BLOB.digest)


def test_many_threads_download_once(store: Store) -> None:
    source, together = Source(), threading.Barrier(8)
    stores = [store, Store(store.root)]

    def fetch(number: int) -> bytes:
        together.wait()
        return stores[number % 2].fetch(BLOB, source).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fetch, range(8))) == [DATA] * 8
    stores[1].close()
    assert source.offsets == [0]
    assert files(store) == _only(BLOB.digest)


def test_threads_download_different_blobs_side_by_side(store: Store) -> None:
    """Each waits until the other has begun too."""
    together = threading.Barrier(2, timeout=10)

    def fetch(data: bytes) -> bytes:
        def download(offset: int) -> Generator[bytes, None, None]:
            together.wait()
            yield data

        return store.fetch(Descriptor(sha256(data), len(data), ""), download).read_bytes()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(fetch, [b"a", b"b"])) == [b"a", b"b"]


def test_an_interrupted_download_goes_on(store: Store) -> None:
    source = Source(break_at=500_000)
    with pytest.raises(RegistryError, match="the connection was lost"):
        store.fetch(BLOB, source)
    assert store.get(BLOB.digest) is None
    assert store.fetch(BLOB, source).read_bytes() == DATA
    assert source.offsets == [0, 500_000]
    assert files(store) == _only(BLOB.digest)


def test_who_waits_goes_on_where_the_first_failed(store: Store) -> None:
    source, begun = Source(break_at=500_000), threading.Event()

    def slow(offset: int) -> Generator[bytes, None, None]:
        for chunk in source(offset):
            begun.set()
            yield chunk

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store.fetch, BLOB, slow)
        begun.wait(10)
        second = pool.submit(store.fetch, BLOB, slow)
    assert isinstance(first.exception(), RegistryError)
    assert second.result().read_bytes() == DATA
    assert source.offsets == [0, 500_000]


@pytest.mark.parametrize("part", [b"wrong" * 1000, DATA + b"more", DATA[:-1] + b"\0", b"x" * (len(DATA) + 1)])
def test_a_part_that_is_wrong(store: Store, part: bytes) -> None:
    """What lies there is proven like the rest; then it starts anew, once."""
    (store.root / f"{_only(BLOB.digest)[0]}.part").write_bytes(part)
    source = Source()
    assert store.fetch(BLOB, source).read_bytes() == DATA
    assert source.offsets[-1] == 0


def test_a_part_that_is_whole(store: Store) -> None:
    (store.root / f"{_only(BLOB.digest)[0]}.part").write_bytes(DATA)
    source = Source()
    assert store.fetch(BLOB, source).read_bytes() == DATA
    assert source.offsets == []


def test_an_empty_blob(store: Store) -> None:
    assert store.fetch(Descriptor(sha256(b""), 0, ""), Source()).read_bytes() == b""


@pytest.mark.parametrize(
    ("data", "got"),
    [(DATA[::-1], sha256(DATA[::-1])), (DATA + b"x" * 100_000, f"{len(DATA) + 6000} bytes"), (b"short", "5 bytes")],
)
def test_wrong_data_twice(store: Store, data: bytes, got: str) -> None:
    source = Source(data)
    wanted = (
        rf"^blob {BLOB.digest}: verifying the download: got {got}, want {BLOB.digest} of {BLOB.size} bytes, twice\."
        " The registry, or a proxy"
    )
    with pytest.raises(StoreError, match=wanted):
        store.fetch(BLOB, source)
    assert source.offsets == [0, 0]
    assert files(store) == []


def test_wrong_data_once(store: Store) -> None:
    sources = iter([Source(b"x" * BLOB.size), Source()])
    assert store.fetch(BLOB, lambda offset: next(sources)(offset)).read_bytes() == DATA


def test_an_endless_download_is_stopped(store: Store) -> None:
    def endless(offset: int) -> Generator[bytes, None, None]:
        while True:
            yield DATA

    with pytest.raises(StoreError, match=f"got {2 * len(DATA)} bytes"):
        store.fetch(BLOB, endless)


def test_a_blob_that_was_cut_off_is_downloaded_again(store: Store) -> None:
    """As the machine's own crash leaves it."""
    store.fetch(BLOB, Source()).write_bytes(DATA[:100])
    assert store.fetch(BLOB, Source()).read_bytes() == DATA


def test_a_manifest_that_lies_about_a_size(store: Store) -> None:
    path = store.fetch(BLOB, Source())
    with pytest.raises(StoreError, match=rf"it has {BLOB.size} bytes, its manifest says 7\. The image's manifest is"):
        store.fetch(Descriptor(BLOB.digest, 7, ""), Source())
    assert path.read_bytes() == DATA


# ---- small blobs ------------------------------------------------------------------------------------


def test_small_blobs(store: Store) -> None:
    assert store.read(sha256(b"{}")) is None
    assert store.put(b"{}") == store.put(b"{}")
    assert store.read(sha256(b"{}")) == b"{}"
    assert files(store) == _only(sha256(b"{}"))


def test_a_damaged_small_blob_is_removed(store: Store) -> None:
    store.put(b"{}").write_bytes(b"{")
    assert store.read(sha256(b"{}")) is None
    assert files(store) == []


# ---- small records ----------------------------------------------------------------------------------


def test_records(store: Store) -> None:
    assert store.records.get("key", 3600) is None
    store.records.put("key", {"digest": "a"})
    store.records.put("key", {"digest": "b"})
    store.records.put("other/../key", {"digest": "c"})
    assert store.records.get("key", 3600) == {"digest": "b"}
    assert Store(store.root).records.get("other/../key", float("inf")) == {"digest": "c"}
    store.records.remove("key")
    store.records.remove("key")
    assert store.records.get("key", 3600) is None


def test_records_grow_old(store: Store) -> None:
    store.records.put("key", {"digest": "a"})
    (file,) = (store.root / "records").iterdir()
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "at": record["at"] - 100}))
    assert store.records.get("key", 50) is None
    assert store.records.get("key", 150) == {"digest": "a"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"at": 0}', '{"at": "x", "value": {}}', '{"at": 9e99, "value": 1}']
)
def test_records_that_cannot_be_read(store: Store, text: str) -> None:
    store.records.put("key", {})
    (file,) = (store.root / "records").iterdir()
    file.write_text(text)
    assert store.records.get("key", float("inf")) is None


# ---- open files -------------------------------------------------------------------------------------


def test_no_file_stays_open(tmp_path: Path) -> None:
    """Whether it is closed, or only forgotten."""

    def count() -> int:
        gc.collect()
        opened = []
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # the folder's own
                opened.append(entry.readlink())
        return sum(1 for path in opened if path.is_relative_to(tmp_path))

    store = Store(tmp_path / "cache")
    store.fetch(BLOB, Source())
    store.fetch(BLOB, Source())
    assert count() == 1
    store.close()
    assert count() == 0
    store.fetch(BLOB, Source())
    del store
    assert count() == 0
