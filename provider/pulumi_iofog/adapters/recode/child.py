"""The heavy work on one layer, as a program: decompress it, re-encode it as zstd, make a delta of it.

    child.py measure [--media-type T] [--want DIGEST] BLOB
    child.py plain   [--media-type T] [--want DIGEST] BLOB OUT
    child.py zstd    [--media-type T] [--want DIGEST] [--level N] [--window-log N] [--workers N] BLOB OUT
    child.py gzip    [--media-type T] [--want DIGEST] [--level N] BLOB OUT
    child.py delta   [--want DIGEST] [--level N] [--ldm-min-match N] [--ldm-hash-rate-log N] OLD NEW OUT

Run by its path, because importing the package costs half a second and 60 MB; so it imports nothing of
it. Files stream through; only a delta holds its two tars in memory. OUT.part becomes OUT when it is
whole. Standard output: one line of JSON, ``{"diff_id": …, "plain_size": …, "digest": …, "size": …}``, the last
two of OUT, if there is one. On failure one line on standard error and one of the exit codes below. It ends when
its standard input does: then the process that started it is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import json
import mmap
import os
import stat
import sys
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK = 1 << 18
"""Bytes read at once."""
MOST = 1 << 20
"""Bytes decompressed at once: a few bytes of a hostile blob could become gigabytes."""
NICE = 10
"""Added to the niceness: other processes go first."""
MAX_WINDOW_LOG = 31
"""What ``zstd -d --long=31`` takes: matches reach back 2 GiB."""
LDM_HASH_RATE_LOG = 7
"""One position of 128 goes into the table of long matches, which so takes a sixteenth of the window. 6 makes
deltas at most 2 % smaller and the table twice as large."""
ORPHANED, DAMAGED, NO_SPACE, FAILED = 75, 65, 28, 74
"""Exit codes: the parent is gone; wrong or damaged data; the disk is full; anything else of the system."""

GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Damaged(Exception):
    """The data is not what it claims to be, or not what is wanted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit code."""
    args = _parser().parse_args(argv)
    os.nice(NICE)
    part = args.out and args.out.with_name(f"{args.out.name}.part")
    threading.Thread(target=_end_with_parent, args=(part,), daemon=True).start()
    try:
        print(json.dumps(_make(args, part) if part else _measure(args)), flush=True)
        return 0
    except (Damaged, zlib.error, zstd.ZstdError, EOFError) as problem:
        return _say(DAMAGED, problem)
    except MemoryError:
        return _say(FAILED, "not enough memory")
    except OSError as problem:
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
        return _say(NO_SPACE if full else FAILED, "no space left on device" if full else problem)
    finally:
        _remove(part)


def _measure(args: argparse.Namespace) -> dict[str, str | int]:
    plain = _Hashed()
    with args.blob.open("rb") as file:
        for chunk in plain_chunks(file, args.media_type):
            plain.write(chunk)
    _refuse_another(plain, args.want)
    return {"diff_id": plain.digest, "plain_size": plain.size}


def _make(args: argparse.Namespace, part: Path) -> dict[str, str | int]:
    # Renaming over /dev/stdout would replace it for the whole machine.
    if os.path.lexists(args.out) and not stat.S_ISREG(args.out.lstat().st_mode):
        raise Damaged(f"{args.out} is not a regular file")
    source: Path = args.new if args.work == "delta" else args.blob
    with source.open("rb") as file, part.open("wb") as target:
        plain, out = _Hashed(), _Hashed(target)
        encoder = _encoder(args)
        for chunk in _read(file) if args.work == "delta" else plain_chunks(file, args.media_type):
            plain.write(chunk)
            out.write(encoder.compress(chunk) if encoder else chunk)
        if encoder:
            out.write(encoder.flush())
    _refuse_another(plain, args.want)
    part.replace(args.out)
    return {"diff_id": plain.digest, "plain_size": plain.size, "digest": out.digest, "size": out.size}


def _refuse_another(plain: _Hashed, want: str | None) -> None:
    if want and plain.digest != want:
        raise Damaged(f"the plain tar is {plain.digest}, want {want}")


def _remove(part: Path | None) -> None:
    if part:
        part.unlink(missing_ok=True)


class _Hashed:
    """Counts and hashes what is written, and passes it on to a file if there is one."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file, self._hash, self.size = file, hashlib.sha256(), 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        if self._file:
            self._file.write(data)


# ---- reading --------------------------------------------------------------------------------------------


def plain_chunks(file: IO[bytes], media_type: str = "") -> Iterator[bytes]:
    """The plain bytes of a layer blob: gzip or zstd, of any number of members or frames, or plain.

    Args:
        media_type: what the manifest says. The first bytes decide, because some registries serve gzip
            under a plain type; but a type that promises compression where there is none is Damaged.
    """
    magic = file.read(4)
    file.seek(0)
    if magic.startswith(GZIP_MAGIC):
        return _gunzip(file)
    # Zstandard's skippable frames (RFC 8878, 3.1.2) may come first: zstd:chunked and pzstd have them.
    if magic == ZSTD_MAGIC or (magic[1:] == b"\x2a\x4d\x18" and 0x50 <= magic[0] <= 0x5F):
        return _unzstd(file)
    if media_type.endswith(("gzip", "zstd")):
        raise Damaged(f"the blob does not begin like {media_type[-4:]}")
    return _read(file)


def _gunzip(file: IO[bytes]) -> Iterator[bytes]:
    member = None
    for data in _read(file):
        while data:
            if member is None:
                if not data.strip(b"\0"):
                    break  # zeros after the last member pad a block; gzip(1) accepts them too
                member = zlib.decompressobj(wbits=31)
            yield member.decompress(data, MOST)
            data = member.unused_data if member.eof else member.unconsumed_tail
            member = None if member.eof else member
    if member is not None:
        raise Damaged("the blob is truncated")


def _unzstd(file: IO[bytes]) -> Iterator[bytes]:
    frame = None
    for data in _read(file):
        while data or (frame and not frame.needs_input):
            if frame is None:
                frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG})
            yield frame.decompress(data, MOST)
            # What does not fit is kept in the decompressor and comes with the next call.
            data = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if frame is not None:
        raise Damaged("the blob is truncated")


def _read(file: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: file.read(CHUNK), b"")


# ---- writing --------------------------------------------------------------------------------------------


class Encoder(Protocol):
    """A zstd frame, or a gzip member, that is being written."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def _encoder(args: argparse.Namespace) -> Encoder | None:
    if args.work == "plain":
        return None
    if args.work == "gzip":
        return zlib.compressobj(args.level, wbits=31)
    if args.work == "delta":
        ldm = {"min_match": args.ldm_min_match, "hash_rate_log": args.ldm_hash_rate_log}
        return delta_encoder(args.old, args.new.stat().st_size, args.level, **ldm)
    options = {**_options(args.level, args.window_log), zstd.CompressionParameter.nb_workers: args.workers}
    encoder: Encoder = zstd.ZstdCompressor(options=options)
    return encoder


def delta_encoder(
    old: Path, new_size: int, level: int, *, min_match: int = 0, hash_rate_log: int = LDM_HASH_RATE_LOG
) -> Encoder:
    """An encoder whose frame is what ``zstd --patch-from=OLD`` makes: matches reach into the old tar.

    The window covers both: the table of long matches is sized by it, and one that is sized by the new tar
    alone loses most of a larger old one (a layer of 120 MB that was taken out of one of 500: 33 MB, not
    23 kB). The frame says how large it is, so applying it takes memory for the new tar, not the window.
    """
    old_size = old.stat().st_size
    if not 8 <= old_size <= old_size + new_size <= 1 << MAX_WINDOW_LOG:
        raise Damaged(f"no delta: {old_size} and {new_size} bytes are too few, or more than 2 GiB together")
    with old.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        # ZstdDict copies; from a map, the old tar is not in memory a second time.
        prefix = zstd.ZstdDict(mapped, is_raw=True).as_prefix
    options = _options(level, max(10, (old_size + new_size - 1).bit_length()))
    options[zstd.CompressionParameter.ldm_hash_rate_log] = hash_rate_log
    options[zstd.CompressionParameter.ldm_min_match] = min_match
    compressor = zstd.ZstdCompressor(options=options, zstd_dict=prefix)
    compressor.set_pledged_input_size(new_size)
    encoder: Encoder = compressor
    return encoder


def _options(level: int, window_log: int) -> dict[int, int]:
    parameter = zstd.CompressionParameter
    options: dict[int, int] = {parameter.compression_level: level, parameter.checksum_flag: 1}
    if window_log:
        options[parameter.window_log] = window_log
        options[parameter.enable_long_distance_matching] = 1
        options[parameter.ldm_hash_rate_log] = LDM_HASH_RATE_LOG
    return options


# ---- the program ----------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recode", description=(__doc__ or "").partition("\n")[0])
    parser.set_defaults(out=None)
    works = parser.add_subparsers(dest="work", required=True)
    for name in ("measure", "plain", "zstd", "gzip", "delta"):
        work = works.add_parser(name)
        work.add_argument("--want", help="the diff id that the plain tar must have")
        if name in ("zstd", "gzip", "delta"):
            work.add_argument("--level", type=int, default=9)
        if name == "delta":
            work.add_argument("--ldm-min-match", type=int, default=0, help="bytes; 0 for zstd's own 64")
            work.add_argument("--ldm-hash-rate-log", type=int, default=LDM_HASH_RATE_LOG)
            work.add_argument("old", type=Path)
            work.add_argument("new", type=Path)
        else:
            work.add_argument("--media-type", default="")
            work.add_argument("blob", type=Path)
        if name == "zstd":
            work.add_argument("--window-log", type=int, default=0)
            work.add_argument("--workers", type=int, default=0)
        if name != "measure":
            work.add_argument("out", type=Path)
    return parser


def _end_with_parent(part: Path | None) -> None:
    """End, and leave nothing behind, once standard input ends. A pipe works on every system and, unlike Linux'
    PR_SET_PDEATHSIG, is not tied to the thread that started the child."""
    with contextlib.suppress(OSError):
        # Not sys.stdin: at exit the interpreter waits for its lock.
        while os.read(0, 1):
            pass
    _remove(part)
    os._exit(ORPHANED)


def _say(code: int, why: object) -> int:
    print(" ".join(str(why).split()) or type(why).__name__, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
