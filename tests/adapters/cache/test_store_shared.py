"""The local cache under several processes: downloads, crashes, and trimming what is in use."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pulumi_iofog.adapters.cache.files import KEEP_PARTS
from pulumi_iofog.adapters.cache.records import MOST
from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.oci.image import Descriptor, sha256
from tests.adapters.cache import store_process
from tests.adapters.cache.store_process import BLOB, DATA, PIECE, PIECES

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts processes of store_process.py, and ends those that still run."""
    with ExitStack() as stack:

        def start(*args: str | Path) -> subprocess.Popen[str]:
            argv = [sys.executable, "-m", store_process.__name__, *map(str, args)]
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "cache")
    yield store
    store.close()


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def _blobs(store: Store) -> set[str]:
    return {path.name for path in (store.root / "blobs" / "sha256").iterdir()}


def _keep(store: Store, data: bytes, *, age: float) -> Path:
    """A blob that was last used so many seconds ago."""
    path = store.put(data)
    os.utime(path, (time.time() - age,) * 2)
    return path


def _whole(offset: int) -> Generator[bytes, None, None]:
    yield DATA[offset:]


# ---- downloads --------------------------------------------------------------------------------------


def test_several_processes_download_once(store: Store, run: Run, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    processes = [run("fetch", store.root, notes) for _ in range(3)]
    assert [process.wait(30) for process in processes] == [0] * 3
    assert [int(line) for line in notes.read_text().split()] == [number * PIECE for number in range(PIECES)]
    assert _blobs(store) == {BLOB.digest.hex}


def test_a_process_that_is_killed_leaves_its_part(store: Store, run: Run, tmp_path: Path) -> None:
    """And no lock: who has waited for it goes on from there."""
    killed = run("fetch_and_stall", store.root)
    assert _said(killed) == "stalled"
    notes = tmp_path / "notes"
    waiting = run("fetch", store.root, notes)
    killed.kill()
    assert waiting.wait(30) == 0
    first = int(notes.read_text().split()[0])
    assert first > 0
    assert _blobs(store) == {BLOB.digest.hex}


# ---- trimming ---------------------------------------------------------------------------------------


def test_the_least_recently_used_go_first(store: Store) -> None:
    old, middle, new = (_keep(store, bytes([n]) * 1000, age=age) for n, age in ((1, 300), (2, 200), (3, 100)))
    assert store.read(sha256(old.read_bytes()))  # which is a use
    store.trim(2000)
    assert _blobs(store) == {old.name, new.name}
    store.trim(1000)
    assert _blobs(store) == {old.name}
    assert not middle.exists()


def test_to_fetch_is_to_use(store: Store) -> None:
    old, new = _keep(store, DATA, age=300), _keep(store, b"new", age=100)
    store.fetch(BLOB, _whole)
    store.close()
    store.trim(len(DATA))
    assert old.exists()
    assert not new.exists()


def test_a_download_trims(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _keep(store, b"old", age=100)
    monkeypatch.setattr(Store.trim, "__defaults__", (len(DATA),))
    store.fetch(BLOB, _whole)
    assert _blobs(store) == {BLOB.digest.hex}


def test_what_is_in_use_stays(store: Store) -> None:
    """Also another Store's, and until both have let go."""
    other = Store(store.root)
    path = store.fetch(BLOB, _whole)
    assert other.fetch(BLOB, _whole) == path
    store.trim(0)
    store.close()
    store.trim(0)
    assert path.read_bytes() == DATA
    other.close()
    store.trim(0)
    assert not path.exists()


def test_what_another_process_uses_stays(store: Store, run: Run) -> None:
    process = run("fetch_and_wait", store.root)
    assert _said(process) == "fetched"
    store.trim(0)
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()
    assert _said(process) == "True"
    process.wait(30)
    store.trim(0)
    assert _blobs(store) == set()


def test_a_part_that_is_being_downloaded_stays(store: Store, run: Run) -> None:
    process = run("fetch_and_stall", store.root)
    assert _said(process) == "stalled"
    (part,) = (store.root / "blobs" / "sha256").iterdir()
    os.utime(part, (0, 0))
    store.trim(0)
    assert part.exists()
    process.kill()
    process.wait(30)
    store.trim(0)
    assert not part.exists()


def test_fetching_while_another_trims_all_the_time(store: Store, run: Run) -> None:
    trimming = run("trim_for_ever", store.root)
    assert _said(trimming) == "trimming"
    for _ in range(100):
        mine = Store(store.root)
        assert mine.fetch(BLOB, _whole).read_bytes() == DATA
        mine.close()
    assert trimming.poll() is None


# ---- what is left lying -----------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["blobs/sha256", "records"])
@pytest.mark.parametrize("name", [f"{'a' * 64}.part", "tmp123.part"])
def test_what_was_interrupted_long_ago_goes(store: Store, folder: str, name: str) -> None:
    left, fresh = store.root / folder / name, store.root / folder / f"x{name}"
    left.write_bytes(b"x")
    fresh.write_bytes(b"x")
    os.utime(left, (time.time() - KEEP_PARTS - 60,) * 2)
    store.trim()
    assert not left.exists()
    assert fresh.exists()


def test_a_file_that_is_being_written_is_not_trimmed(store: Store) -> None:
    written = store.root / "blobs" / "sha256" / "tmp123.part"
    written.write_bytes(b"x" * 100)
    store.trim(0)
    assert written.exists()


def test_no_other_file_appears(store: Store) -> None:
    for number in range(5):
        data = b"%d" % number
        store.fetch(Descriptor(sha256(data), 1, ""), lambda offset, data=data: (part for part in [data]))  # type: ignore[misc]
    store.close()
    store.trim(0)
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_the_oldest_records_go(store: Store) -> None:
    folder = store.root / "records"
    store.records.put("oldest", {})
    os.utime(next(folder.iterdir()), (0, 0))
    for number in range(MOST - 1):
        (folder / f"{number}.json").write_text("{}")
    store.trim()
    assert store.records.get("oldest", float("inf")) == {}
    store.records.put("newest", {})
    store.trim()
    assert store.records.get("oldest", float("inf")) is None
    assert store.records.get("newest", 60) == {}


# ---- temporary stores -------------------------------------------------------------------------------


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_a_temporary_store_leaves_nothing(temporary_folder: Path) -> None:
    with Store.temporary() as store:
        store.fetch(BLOB, _whole)
        store.records.put("key", {})
        assert list(temporary_folder.iterdir()) == [store.root]
    assert list(temporary_folder.iterdir()) == []


def test_neither_when_it_fails(temporary_folder: Path) -> None:
    def use() -> None:
        with Store.temporary() as store:
            store.put(DATA)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    assert list(temporary_folder.iterdir()) == []


def test_what_killed_processes_left_goes_with_the_next(temporary_folder: Path, run: Run) -> None:
    """What is in use, or is somebody else's, does not."""
    (temporary_folder / "pulumi-iofog-other").mkdir()
    (temporary_folder / "pulumi-iofog-store-file").write_text("")
    killed, alive = run("temporary"), run("temporary")
    left, used = Path(_said(killed)), Path(_said(alive))
    killed.kill()
    killed.wait(30)
    with Store.temporary():
        assert not left.exists()
        assert list((used / "blobs" / "sha256").iterdir())
        assert len(list(temporary_folder.iterdir())) == 4
