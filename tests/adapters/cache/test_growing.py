"""A file that is read while somebody makes it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pulumi_iofog.adapters.cache.growing import chunks

DATA = bytes(range(256)) * 5000


class Maker:
    """Writes a file in two halves, the second one when it is told to."""

    def __init__(self, path: Path, problem: Exception | None = None) -> None:
        self.path, self.problem, self.go_on = path, problem, threading.Event()

    def __call__(self) -> None:
        part = self.path.with_name(f"{self.path.name}.part")
        with part.open("wb") as file:
            file.write(DATA[: len(DATA) // 2])
            file.flush()
            assert self.go_on.wait(10)
            if self.problem:
                raise self.problem
            file.write(DATA[len(DATA) // 2 :])
        part.replace(self.path)


def test_what_is_there_is_handed_on_before_the_rest_is(tmp_path: Path) -> None:
    maker = Maker(tmp_path / "blob")
    got = b""
    for chunk in chunks(maker.path, maker):
        got += chunk
        if len(got) == len(DATA) // 2:
            maker.go_on.set()
    assert got == DATA


def test_a_file_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(DATA)
    assert b"".join(chunks(tmp_path / "blob", lambda: pytest.fail("made again"), 1000)) == DATA[1000:]


def test_an_offset_skips_what_the_other_side_has(tmp_path: Path) -> None:
    maker = Maker(tmp_path / "blob")
    maker.go_on.set()
    assert b"".join(chunks(maker.path, maker, 700_001)) == DATA[700_001:]


def test_the_makers_error_comes_out_here(tmp_path: Path) -> None:
    maker = Maker(tmp_path / "blob", OSError("disk full"))
    maker.go_on.set()
    with pytest.raises(OSError, match="disk full"):
        list(chunks(maker.path, maker))


def test_several_readers_share_one_maker_by_the_makers_own_lock(tmp_path: Path) -> None:
    maker, lock = Maker(tmp_path / "blob"), threading.Lock()
    made: list[int] = []

    def make() -> None:
        with lock:
            if not maker.path.exists():
                made.append(1)
                maker()

    results: list[bytes] = []
    readers = [threading.Thread(target=lambda: results.append(b"".join(chunks(maker.path, make)))) for _ in range(4)]
    for reader in readers:
        reader.start()
    maker.go_on.set()
    for reader in readers:
        reader.join()
    assert results == [DATA] * 4
    assert made == [1]
