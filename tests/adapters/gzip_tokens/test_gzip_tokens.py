"""gzip-tokens: whatever compressor made a file, it comes back bit for bit; hostile input is an error."""

from __future__ import annotations

import gzip
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from pulumi_iofog.adapters.gzip_tokens.program import architectures, own_architecture, program_for
from tests.gzip_tokens import gzip_tokens, run

BLOBS = sorted(Path(__file__).with_name("blobs").iterdir())
"""One text, compressed by zlib, GNU gzip, pigz (also as zopfli does), Go's compress/gzip, klauspost's and pgzip."""
SOURCE = Path(__file__).parents[3] / "provider/pulumi_iofog/adapters/gzip_tokens"
TEXT = random.Random(3).randbytes(2000) + b"the same again " * 400
DAMAGED = 65


def deflated(strategy: int = zlib.Z_DEFAULT_STRATEGY, flush: int | None = None, level: int = 6) -> bytes:
    made = zlib.compressobj(level, zlib.DEFLATED, 31, 9, strategy)
    pieces = [TEXT[at : at + 500] for at in range(0, len(TEXT), 500)]
    return b"".join(made.compress(each) + (made.flush(flush) if flush else b"") for each in pieces) + made.flush()


def with_fields() -> bytes:
    """A header with every field of RFC 1952: extra, name, comment, CRC16."""
    plain = gzip.compress(TEXT, mtime=7)
    extra = struct.pack("<H", 5) + b"extra" + b"a name\0" + b"a comment\0" + b"\x12\x34"
    return plain[:3] + bytes([4 | 8 | 16 | 2]) + plain[4:10] + extra + plain[10:]


FILES = {
    **{path.stem: path.read_bytes() for path in BLOBS},
    "empty": gzip.compress(b""),
    "stored": deflated(level=0),
    "fixed": deflated(zlib.Z_FIXED),
    "literals alone": deflated(zlib.Z_HUFFMAN_ONLY),
    "runs": deflated(zlib.Z_RLE),
    "sync flushes": deflated(flush=zlib.Z_SYNC_FLUSH),
    "block flushes": deflated(flush=zlib.Z_BLOCK),
    "zeros": gzip.compress(bytes(3_000_000)),
    "several members": gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(TEXT[::-1]),
    "padding behind": gzip.compress(TEXT) + bytes(70_000),
    "all header fields": with_fields(),
}


@pytest.mark.parametrize("name", FILES)
def test_every_file_comes_back_bit_for_bit(name: str) -> None:
    assert gzip_tokens("encode", gzip_tokens("parse", FILES[name])) == FILES[name]


def test_the_recorded_files_are_different_ways_to_say_the_same() -> None:
    assert len({gzip.decompress(path.read_bytes()) for path in BLOBS}) == 1
    assert len({path.read_bytes() for path in BLOBS}) == len(BLOBS) == 10


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(random.Random(1).randbytes(5000), id="noise"),
        pytest.param(b"\x1f\x8b\x08\xe0" + bytes(20), id="reserved flags"),
        pytest.param(gzip.compress(TEXT)[:-9], id="cut in the last block"),
        pytest.param(gzip.compress(TEXT)[:-1], id="cut in the trailer"),
        pytest.param(gzip.compress(TEXT)[:10] + b"\x07" + bytes(20), id="a block of no type"),
        pytest.param(gzip.compress(TEXT)[:10] + b"\x01\x05\x00\x05\x00" + bytes(20), id="a stored length that lies"),
        pytest.param(gzip.compress(TEXT)[:10] + b"\xfd\xff\xff" + b"\xff" * 300, id="too many codes"),
        pytest.param(gzip.compress(TEXT)[:3] + b"\x08" + bytes(6) + b"x" * 70_000, id="a name without an end"),
        pytest.param(b"\x28\xb5\x2f\xfd" + bytes(50), id="zstd"),
    ],
)
def test_what_is_no_gzip_file_is_an_error(data: bytes) -> None:
    assert run("parse", data).returncode == DAMAGED


@pytest.mark.parametrize("cut", [0, 3, 4, 5, 40, 1000])
def test_tokens_that_end_too_soon_are_an_error(cut: int) -> None:
    tokens = gzip_tokens("parse", FILES["zlib-6"])
    assert run("encode", tokens[:cut]).returncode == (0 if cut == 4 else DAMAGED)


def test_mutated_files_and_tokens_stay_within_bounds_and_come_back_or_not_at_all(tmp_path: Path) -> None:
    """Ten seconds of it; longer by hand, with other seeds."""
    program = tmp_path / "fuzz"
    checks = ["-fsanitize=undefined", "-fsanitize-trap=undefined"]
    compiler = [sys.executable, "-m", "ziglang", "cc", "-O2", *checks, f"-I{SOURCE}"]
    subprocess.run([*compiler, "-o", program, Path(__file__).with_name("fuzz.c")], check=True)
    small = [(name, data) for name, data in FILES.items() if len(data) < 8000]
    for name, data in small:
        (tmp_path / f"{name}.gz").write_bytes(data)
    seconds = os.environ.get("FUZZ_SECONDS", "10")
    files = [*tmp_path.glob("*.gz"), *BLOBS[:1]]
    result = subprocess.run([program, seconds, str(time.time_ns()), *files], capture_output=True, text=True)
    assert result.returncode == 0, f"ended with {result.returncode}"
    tried, _, taken, _ = result.stdout.split()
    assert int(tried) > 1000 < int(taken)


def test_the_kernel_lets_it_read_write_and_exit_alone() -> None:
    program = program_for(own_architecture())
    assert program
    with subprocess.Popen([program.path, "parse"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin
        assert child.stdout
        child.stdin.write(b"\x1f\x8b")
        child.stdin.flush()
        deadline = time.monotonic() + 10
        while "Seccomp:\t1\n" not in Path(f"/proc/{child.pid}/status").read_text():
            assert time.monotonic() < deadline, "not confined"
            time.sleep(0.01)
        child.stdin.close()
        child.stdout.read()
    assert child.returncode == DAMAGED


def test_it_takes_little_memory_whatever_it_is_given() -> None:
    program, data = program_for(own_architecture()), gzip.compress(random.Random(1).randbytes(20_000_000), 1)
    assert program
    with subprocess.Popen([program.path, "parse"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
        assert child.stdin
        child.stdin.write(data[:-1])
        child.stdin.flush()
        peak = Path(f"/proc/{child.pid}/status").read_text().split("VmHWM:")[1].split()[0]
        child.stdin.close()
    assert int(peak) < 1000, "kB"


def test_there_is_one_for_every_architecture_of_the_hosts_small_and_static() -> None:
    assert architectures() == {"amd64", "arm64", "arm", "riscv64"}
    for each in architectures():
        program = program_for(each)
        assert program
        assert program.content[:4] == b"\x7fELF"
        assert len(program.content) <= 200_000
        assert b"/lib/ld-" not in program.content, "it must need no other file"


def test_the_same_source_makes_the_same_program(tmp_path: Path) -> None:
    made = tmp_path / "provider/pulumi_iofog/adapters/gzip_tokens"
    made.mkdir(parents=True)
    (made / "gzip_tokens.c").write_bytes((SOURCE / "gzip_tokens.c").read_bytes())
    top = SOURCE.parents[3]
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / name).write_bytes((top / name).read_bytes())
    build = [
        sys.executable,
        "-c",
        "import setuptools, runpy, sys; sys.argv = ['setup.py', '-q', 'build_py'];"
        " runpy.run_path('setup.py', run_name='__main__')",
    ]
    subprocess.run(build, cwd=tmp_path, check=True)
    for each in architectures():
        program = program_for(each)
        assert program
        assert (made / "builds" / each).read_bytes() == program.content
