"""Layers in another form, made by the real child process, read back by other programs where it matters."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pulumi_iofog.adapters.recode import child, recode
from pulumi_iofog.errors import StoreError
from pulumi_iofog.oci.image import OCI_LAYER, Descriptor, Layer, sha256
from pulumi_iofog.transfer.delta_memory import delta_memory
from tests.images import layer_tar

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

RANDOM = random.Random(1)
LIBRARY, DATA = RANDOM.randbytes(900_000), RANDOM.randbytes(700_000)
OLD = layer_tar({"lib/a": LIBRARY, "lib/b": DATA, "etc/version": b"1\n", "zeros": bytes(300_000)})
NEW = layer_tar({"lib/a": LIBRARY[:5000] + b"new" + LIBRARY[5000:], "lib/b": DATA, "etc/version": b"2\n"})


def layer_of(blob: bytes, plain: bytes, compression: str) -> Layer:
    return Layer(sha256(plain), Descriptor(sha256(blob), len(blob), f"{OCI_LAYER}{compression}"))


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00meta"
BLOBS = {
    "gzip": ("+gzip", gzip.compress(OLD)),
    "gzip in two members": ("+gzip", gzip.compress(OLD[:999_999]) + gzip.compress(OLD[999_999:])),
    "gzip, filled with zeros": ("+gzip", gzip.compress(OLD) + bytes(700)),
    "zstd": ("+zstd", zstd.compress(OLD)),
    "zstd in frames, some to skip": (
        "+zstd",
        SKIPPABLE + zstd.compress(OLD[:77]) + SKIPPABLE + zstd.compress(OLD[77:]),
    ),
    "plain": ("", OLD),
    "gzip that says plain": ("", gzip.compress(OLD)),
}


@pytest.mark.parametrize("name", BLOBS)
def test_a_blob_becomes_its_plain_tar(tmp_path: Path, name: str) -> None:
    compression, blob = BLOBS[name]
    got = recode.plain(layer_of(blob, OLD, compression), write(tmp_path / "blob", blob), tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == OLD
    assert got == recode.Made(tmp_path / "out", sha256(OLD), len(OLD), sha256(OLD), len(OLD))


@pytest.mark.parametrize("name", BLOBS)
def test_the_size_of_a_plain_tar_is_known_without_writing_it(tmp_path: Path, name: str) -> None:
    compression, blob = BLOBS[name]
    assert recode.plain_size(layer_of(blob, OLD, compression), write(tmp_path / "blob", blob)) == len(OLD)
    assert left(tmp_path) == ["blob"]


@pytest.mark.parametrize(("window_log", "workers"), [(0, 0), (24, 0), (28, 0), (24, 2)])
def test_a_blob_becomes_zstd_that_the_command_reads(tmp_path: Path, window_log: int, workers: int) -> None:
    blob = gzip.compress(OLD)
    layer = layer_of(blob, OLD, "+gzip")
    got = recode.as_zstd(
        layer, write(tmp_path / "blob", blob), tmp_path / "out", level=5, window_log=window_log, workers=workers
    )
    packed = (tmp_path / "out").read_bytes()
    assert (got.digest, got.size, got.diff_id, got.plain_size) == (sha256(packed), len(packed), sha256(OLD), len(OLD))
    said = subprocess.run(["zstd", "-dc", "--long=31", tmp_path / "out"], capture_output=True, check=True)
    assert said.stdout == OLD


def test_a_higher_level_and_a_longer_window_make_it_smaller(tmp_path: Path) -> None:
    words = b" ".join(b"%d" % RANDOM.randrange(5000) for _ in range(200_000))
    far = words + RANDOM.randbytes(9_000_000) + words  # further apart than the 8 MiB of level 9
    layer = layer_of(far, far, "")
    blob = write(tmp_path / "blob", far)
    fast, good, long = (
        recode.as_zstd(layer, blob, tmp_path / f"out{level}{log}", level=level, window_log=log).size
        for level, log in ((1, 0), (9, 0), (9, 25))
    )
    assert fast > good > long + 200_000


@pytest.mark.parametrize(("old", "new"), [(OLD, NEW), (NEW, OLD), (OLD, b""), (b"12345678", NEW)])
def test_the_command_applies_a_delta(tmp_path: Path, old: bytes, new: bytes) -> None:
    a, b = write(tmp_path / "old", old), write(tmp_path / "new", new)
    got = recode.delta(a, b, tmp_path / "delta", new_diff_id=sha256(new))
    # As a host does it, which has the old tar as a file and pipes the new one on.
    command = ["zstd", "-dc", "--long=31", f"--patch-from={a}", str(got.path)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == new
    if len(old) > 1000:
        assert got.size < 10_000


def test_a_delta_finds_what_lies_early_in_a_much_larger_old_tar(tmp_path: Path) -> None:
    # Blocks of their own in a large old tar; the window of the new tar alone would forget the first.
    old = RANDOM.randbytes(40_000_000)
    new = old[:1_000_000]
    a, b = write(tmp_path / "old", old), write(tmp_path / "new", new)
    assert recode.delta(a, b, tmp_path / "delta", new_diff_id=sha256(new)).size < 2000


def test_a_delta_applied_to_another_old_tar_fails(tmp_path: Path) -> None:
    a, b = write(tmp_path / "old", OLD), write(tmp_path / "new", NEW)
    recode.delta(a, b, tmp_path / "delta", new_diff_id=sha256(NEW))
    other = write(tmp_path / "other", OLD[:600_000] + b"!" + OLD[600_001:])
    command = ["zstd", "-dc", "--long=31", f"--patch-from={other}", str(tmp_path / "delta")]
    assert subprocess.run(command, capture_output=True).returncode != 0


# ---- what goes wrong ------------------------------------------------------------------------------------

ZIPPED = gzip.compress(OLD)
DAMAGED = {
    "cut": ("+gzip", ZIPPED[:-9], "the blob is truncated"),
    "cut zstd": ("+zstd", zstd.compress(OLD)[:-9], "the blob is truncated"),
    "flipped": ("+gzip", ZIPPED[:300] + b"\xff\x00\xff" + ZIPPED[303:], "Error -3"),
    "no gzip": ("+gzip", b"<html>not found</html>", "does not begin like gzip"),
    "no zstd": ("+zstd", b"<html>not found</html>", "does not begin like zstd"),
    "another": ("+gzip", gzip.compress(NEW), f"the plain tar is {sha256(NEW)}, want {sha256(OLD)}"),
    "more after it": ("+gzip", ZIPPED + b"garbage", "Error -3"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_blob_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    compression, blob, why = DAMAGED[name]
    layer, path = layer_of(blob, OLD, compression), write(tmp_path / "blob", blob)
    works: list[Callable[[Layer, Path, Path], recode.Made]] = [recode.plain, recode.as_zstd]
    for work in works:
        with pytest.raises(StoreError) as caught:
            work(layer, path, tmp_path / "out")
        assert why in str(caught.value)
        assert str(caught.value).startswith(str(tmp_path / "out"))
    assert left(tmp_path) == ["blob"]


def test_a_delta_of_another_new_tar_is_refused(tmp_path: Path) -> None:
    a, b = write(tmp_path / "old", OLD), write(tmp_path / "new", NEW)
    with pytest.raises(StoreError, match="want sha256:"):
        recode.delta(a, b, tmp_path / "delta", new_diff_id=sha256(OLD))
    assert left(tmp_path) == ["new", "old"]


def test_an_old_file_stays_when_its_replacement_fails(tmp_path: Path) -> None:
    out, blob = write(tmp_path / "out", b"kept"), write(tmp_path / "blob", ZIPPED[:-9])
    with pytest.raises(StoreError):
        recode.plain(layer_of(ZIPPED, OLD, "+gzip"), blob, out)
    assert out.read_bytes() == b"kept"


def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("elsewhere")
    blob = write(tmp_path / "blob", ZIPPED)
    with pytest.raises(StoreError, match="not a regular file"):
        recode.plain(layer_of(ZIPPED, OLD, "+gzip"), blob, tmp_path / "out")
    assert (tmp_path / "out").is_symlink()
    assert left(tmp_path) == ["blob", "out"]


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        recode.plain(layer_of(ZIPPED, OLD, "+gzip"), tmp_path / "nothing", tmp_path / "out")


def test_a_full_disk_is_said() -> None:
    error = recode._failure("/cache/x", "decompressing y", recode.NO_SPACE, "no space left on device")
    assert str(error) == "/cache/x: decompressing y: no space left on device. Free space there"
    assert recode.NO_SPACE == child.NO_SPACE


# ---- the child ------------------------------------------------------------------------------------------


def start(tmp_path: Path, *, plain: bytes) -> tuple[subprocess.Popen[bytes], Path]:
    """A child that is at work on something that takes seconds."""
    blob, out = write(tmp_path / "blob", plain), tmp_path / "out"
    argv = [sys.executable, str(recode.CHILD), "zstd", "--level=19", str(blob), str(out)]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for((tmp_path / "out.part").exists)
    return child, out


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


SLOW = RANDOM.randbytes(3_000_000) * 10


def test_a_child_ends_and_cleans_up_when_its_parent_goes(tmp_path: Path) -> None:
    process, _ = start(tmp_path, plain=SLOW)
    with process:
        assert process.stdin is not None
        assert os.getpriority(os.PRIO_PROCESS, process.pid) >= 10
        process.stdin.close()
        assert process.wait(5) == child.ORPHANED
    assert left(tmp_path) == ["blob"]


def test_a_killed_parent_takes_its_child_along(tmp_path: Path) -> None:
    write(tmp_path / "blob", SLOW)
    program = (
        "import sys; from pathlib import Path; from pulumi_iofog.adapters.recode import recode;"
        " from pulumi_iofog.oci.image import *; d = Digest('sha256:' + '0' * 64);"
        " recode.as_zstd(Layer(d, Descriptor(d, 1, '')), Path(sys.argv[1], 'blob'), Path(sys.argv[1], 'out'), level=19)"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path]) as parent:
        wait_for((tmp_path / "out.part").exists)
        parent.send_signal(signal.SIGKILL)
    wait_for(lambda: left(tmp_path) == ["blob"])


def test_a_time_limit_stops_it(tmp_path: Path) -> None:
    blob = write(tmp_path / "blob", SLOW)
    with pytest.raises(StoreError, match="not finished after 0 s"):
        recode.as_zstd(layer_of(SLOW, SLOW, ""), blob, tmp_path / "out", level=19, timeout=0.3)
    assert left(tmp_path) == ["blob"]


def peak(argv: list[str | Path]) -> int:
    """Peak bytes of resident memory of a program that succeeds."""
    # In a process of its own, because RUSAGE_CHILDREN has the largest of all children so far.
    program = (
        "import resource, subprocess, sys;"
        " p = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL);"
        " assert p.wait() == 0; print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    said = subprocess.run([sys.executable, "-c", program, *argv], capture_output=True, check=True)
    return int(said.stdout) * 1024


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_a_blob_that_grows_a_thousandfold_takes_little_memory(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    bomb = write(tmp_path / "blob", pack(bytes(200_000_000)))
    assert peak([sys.executable, recode.CHILD, "plain", bomb, tmp_path / "out"]) < 60_000_000


@pytest.mark.parametrize(("old_size", "new_size"), [(60_000_000, 60_000_000), (90_000_000, 20_000_000)])
def test_a_delta_takes_no_more_memory_than_it_says(tmp_path: Path, old_size: int, new_size: int) -> None:
    data = RANDOM.randbytes(1 << 20) * 90
    old, new = write(tmp_path / "old", data[:old_size]), write(tmp_path / "new", data[-new_size:])
    memory = delta_memory(old_size, new_size)
    assert memory is not None
    making = peak([sys.executable, recode.CHILD, "delta", old, new, tmp_path / "out"])
    applying = peak(["zstd", "-qdc", "--long=31", f"--patch-from={old}", tmp_path / "out"])
    assert 0.5 * memory.making < making <= memory.making
    assert 0.5 * memory.applying < applying <= memory.applying


def test_no_delta_of_what_is_too_small_or_too_large() -> None:
    assert delta_memory(7, 1000) is None
    assert delta_memory(1 << 30, (1 << 30) + 1) is None
    assert delta_memory(1 << 30, 1 << 30) is not None
