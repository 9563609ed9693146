"""What compressed files say of their size, as real tools write them."""

from __future__ import annotations

import gzip
import random
import subprocess
from pathlib import Path

import pytest

from pulumi_iofog.adapters.recode.announced import announced_size

DATA = random.Random(1).randbytes(1000) * 300


def test_gzip(tmp_path: Path) -> None:
    file = tmp_path / "blob"
    for level in (0, 6):
        file.write_bytes(gzip.compress(DATA, level))
        assert announced_size(file, "gzip") == len(DATA)
    # Of several members nobody can tell, nor of one that is cut off.
    file.write_bytes(gzip.compress(DATA) + gzip.compress(b"the end"))
    assert announced_size(file, "gzip") is None
    file.write_bytes(b"")
    assert announced_size(file, "gzip") in (None, 0)
    assert announced_size(tmp_path / "absent", "gzip") is None


@pytest.mark.parametrize("size", [0, 1, 255, 256, 300, 65_791, 65_792, 70_000, len(DATA)])
def test_zstd(tmp_path: Path, size: int) -> None:
    plain, file = tmp_path / "plain", tmp_path / "blob"
    plain.write_bytes(DATA[:size])
    subprocess.run(["zstd", "-q", "-f", plain, "-o", file], check=True)
    assert announced_size(file, "zstd") == size


def test_zstd_of_a_stream_does_not_tell(tmp_path: Path) -> None:
    file = tmp_path / "blob"
    packed = subprocess.run(["zstd", "-q", "-c"], input=DATA, capture_output=True, check=True).stdout
    file.write_bytes(packed)
    assert announced_size(file, "zstd") is None
    for cut in range(10):
        file.write_bytes(packed[:cut])
        assert announced_size(file, "zstd") is None
    file.write_bytes(b"nothing of the kind")
    assert announced_size(file, "zstd") is None
    assert announced_size(file, "none") is None
