"""Layers in another encoding: plain, as zstd, or as a delta; the work is done by a child process.

A child, because a layer takes seconds of a core, and a delta needs both of its tars in memory, while the plugin
has other threads to serve. It has low priority and ends with this process, however that ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pulumi_iofog import log
from pulumi_iofog.adapters.gzip_tokens.program import own_architecture, program_for
from pulumi_iofog.errors import StoreError
from pulumi_iofog.oci.image import Descriptor, Digest, Layer, parse_digest, short

CHILD = Path(__file__).with_name("child.py")
TIMEOUT = 3600.0
"""Seconds for one layer."""
LEVEL = 9
"""zstd's level. A delta of two releases of numpy and pandas (102 and 104 MB plain): level 3 6.6 MB in 0.6 s, 9 6.0 MB
in 1.2 s, 12 5.9 MB in 2.4 s, 19 4.6 MB in 40 s. Where few files changed, levels make no difference."""
CHUNK = 1 << 18
"""Bytes read at once."""

NO_SPACE = 28
"""The child's exit code for a full disk."""


@dataclass(frozen=True, slots=True)
class Made:
    """A layer in its new encoding: the file with digest and size, and those of the plain tar that it encodes."""

    path: Path
    digest: Digest
    size: int
    diff_id: Digest
    plain_size: int


# ---- the three encodings --------------------------------------------------------------------------------


def plain(layer: Layer, blob: Path, out: Path, *, timeout: float = TIMEOUT) -> Made:
    """Decompress a layer's blob into ``out``: gzip, zstd or plain. Raises StoreError; ``out`` is whole or
    not there. The caller must keep others from making the same ``out`` at the same time."""
    return _make(f"decompressing {short(layer.blob.digest)}", _of_blob("plain", layer), [blob, out], timeout)


def plain_size(layer: Layer, blob: Path, *, timeout: float = TIMEOUT) -> int:
    """Bytes of a layer's plain tar, by decompressing its blob. Raises StoreError, as ``plain`` does."""
    doing, options = f"measuring {short(layer.blob.digest)}", _of_blob("measure", layer)
    return int(_run(str(blob), doing, options, [blob], timeout)["plain_size"])


def as_zstd(
    layer: Layer,
    blob: Path,
    out: Path,
    *,
    level: int = LEVEL,
    window_log: int = 0,
    workers: int = 0,
    timeout: float = TIMEOUT,
) -> Made:
    """Re-encode a layer's blob as zstd into ``out``. Raises StoreError, as ``plain`` does.

    Args:
        level: 1 to 19.
        window_log: 10 to 31 for matches over longer distances; the host takes 2 ** window_log bytes of
            memory to decompress, and above 27 must be told ``--long=N``. 0 for the level's own, at most 8 MiB.
        workers: threads; 0 for none. They cost some memory, and less than 2 % in size. A delta has none: with
            them, only long matches would reach into the old tar (9.2 MB, not 6.0).
    """
    options = [*_of_blob("zstd", layer), f"--level={level}", f"--window-log={window_log}", f"--workers={workers}"]
    return _make(f"re-encoding {short(layer.blob.digest)}", options, [blob, out], timeout)


def as_gzip(layer: Layer, blob: Path, out: Path, *, level: int, timeout: float = TIMEOUT) -> Made:
    """Re-encode a layer's blob as gzip into ``out``, for engines that know nothing newer. Raises StoreError, as
    ``plain`` does. ``level``: 1 to 9."""
    options = [*_of_blob("gzip", layer), f"--level={level}"]
    return _make(f"re-encoding {short(layer.blob.digest)}", options, [blob, out], timeout)


def delta(
    old: Path, new: Path, out: Path, *, new_diff_id: Digest, level: int = LEVEL, timeout: float = TIMEOUT
) -> Made:
    """Make ``out``, of which ``zstd -d --long=31 --patch-from=OLD`` (1.4.5 or newer) makes the new tar.

    Both are plain tars; the host must have the old one byte for byte. Ask ``delta_memory`` first.
    Raises StoreError, as ``plain`` does; also if the new tar has another digest.
    """
    options = ["delta", f"--want={new_diff_id}", f"--level={level}"]
    return _make(f"making a delta for {short(new_diff_id)}", options, [old, new, out], timeout)


def tokens(blob: Descriptor, file: Path, out: Path) -> None:
    """Write the deflate tokens of a gzip blob, from which the very same blob comes back (see adapters/gzip_tokens).

    Raises StoreError, also where this machine cannot do it, or where another blob would come back.
    """
    doing = f"taking {short(blob.digest)} apart"
    with log.timed("recode", doing=doing) as line:
        with out.open("wb") as target:
            line["size"] = _gzip_tokens("parse", file, doing, target.write)
        again = hashlib.sha256()
        _gzip_tokens("encode", out, doing, again.update)
    if again.hexdigest() != blob.digest.hex:
        raise StoreError(str(file), doing, "another blob would come back")


def token_delta(old: Path, new: Path, out: Path, *, level: int = LEVEL, timeout: float = TIMEOUT) -> Made:
    """Like ``delta``, between two files of tokens.

    Matches are many and short, as each block of a gzip file has a code of its own between them: of two blobs of 49 MB
    with a few changed libraries the delta is 575 kB as for tars, 267 kB with these options.
    """
    options = ["delta", f"--level={level}", "--ldm-min-match=16", "--ldm-hash-rate-log=4"]
    return _make("making a delta of tokens", options, [old, new, out], timeout)


def available_memory() -> int:
    """Bytes of memory that the work may take: half of what Linux says is available."""
    with contextlib.suppress(OSError, ValueError):
        facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(facts["MemAvailable"].split()[0]) * 1024 // 2
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8


def _of_blob(work: str, layer: Layer) -> list[str]:
    return [work, f"--media-type={layer.blob.media_type}", f"--want={layer.diff_id}"]


# ---- gzip-tokens ----------------------------------------------------------------------------------------


def _gzip_tokens(work: str, file: Path, doing: str, take: Callable[[bytes], object]) -> int:
    """Run the program on a file and hand on what it writes; how many bytes that are. It ends soon after whoever reads
    it is gone, and makes no files."""
    program = program_for(own_architecture())
    if program is None:
        raise StoreError(str(file), doing, "there is no program for it on this machine")
    size = 0
    try:
        with (
            file.open("rb") as source,
            # Our own program, and POSIX' nice; the only argument is ours.
            subprocess.Popen(["nice", program.path, work], stdin=source, stdout=subprocess.PIPE) as child,  # noqa: S603, S607
        ):
            assert child.stdout is not None
            for chunk in iter(partial(child.stdout.read, CHUNK), b""):
                take(chunk)
                size += len(chunk)
    except OSError as problem:
        raise StoreError(str(file), doing, problem.strerror or str(problem)) from None
    if child.returncode:
        raise StoreError(str(file), doing, f"it is no gzip file that can come back (exit code {child.returncode})")
    return size


# ---- the child ------------------------------------------------------------------------------------------


def _make(doing: str, options: list[str], files: list[Path], timeout: float) -> Made:
    out = files[-1]
    try:
        answer = _run(str(out), doing, options, files, timeout)
    finally:
        out.with_name(f"{out.name}.part").unlink(missing_ok=True)
    digest, diff_id = parse_digest(answer["digest"]), parse_digest(answer["diff_id"])
    return Made(out, digest, answer["size"], diff_id, answer["plain_size"])


def _run(who: str, doing: str, options: list[str], files: list[Path], timeout: float) -> dict[str, Any]:
    # By its path; PYTHONSAFEPATH keeps its folder, where modules have common names, out of sys.path.
    argv = [sys.executable, str(CHILD), *options, "--", *(str(file.absolute()) for file in files)]
    env = {**os.environ, "PYTHONSAFEPATH": "1"}
    with log.timed("recode", doing=doing) as line:
        line |= (answer := _answer(who, doing, argv, env, timeout))
    return answer


def _answer(who: str, doing: str, argv: list[str], env: Mapping[str, str], timeout: float) -> dict[str, Any]:
    pipe = subprocess.PIPE
    # A session of its own: Ctrl-C reaches this process, which then closes the child's standard input.
    # This very Python, with a module of ours.
    with subprocess.Popen(  # noqa: S603
        argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env, start_new_session=True
    ) as child:
        try:
            # Not communicate(), which would close standard input: the child ends with it.
            code = child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise StoreError(who, doing, f"not finished after {timeout:.0f} s") from None
        finally:
            child.kill()
        assert child.stdout is not None
        assert child.stderr is not None
        said, complained = child.stdout.read(), child.stderr.read().decode(errors="replace").strip()
    if code:
        raise _failure(who, doing, code, complained)
    answer: dict[str, Any] = json.loads(said)
    return answer


def _failure(who: str, doing: str, code: int, complained: str) -> StoreError:
    if code == NO_SPACE:
        return StoreError(who, doing, complained, "Free space there")
    if code < 0:
        return StoreError(who, doing, f"killed by signal {-code}", "Is there enough memory?")
    last = complained.rpartition("\n")[2]
    return StoreError(who, doing, last or f"exit code {code}")
