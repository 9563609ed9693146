"""Reading a file while it is being written, so that its first bytes are on their way before the last exist."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

CHUNK = 1 << 18
"""Bytes passed on at once."""
POLL_INTERVAL = 0.02
"""Seconds between two looks at a file that has not grown."""


def chunks(path: Path, make: Callable[[], object], offset: int = 0) -> Iterator[bytes]:
    """A file's bytes from an offset on, as they appear.

    Args:
        path: the file once it is whole; until then it grows as ``NAME.part`` next to it, whoever makes it.
        make: makes it, or waits for another who does; called if it does not exist. Its error is raised here.

    What is read may still turn out to be wrong: only ``make`` knows, so whoever receives it must verify it.
    """
    if path.is_file():
        yield from _whole(path, offset)
        return
    maker = _Maker(make)
    try:
        yield from _follow(path, maker, offset)
    finally:
        maker.thread.join()


def _follow(path: Path, maker: _Maker, offset: int) -> Iterator[bytes]:
    with contextlib.ExitStack() as stack:
        part: IO[bytes] | None = None
        while True:
            if not maker.thread.is_alive():
                if maker.problem:
                    raise maker.problem
                # From the file itself, as another part may have been begun in the meantime.
                yield from _whole(path, offset)
                return
            if part is None:
                part = _open(path.with_name(f"{path.name}.part"), offset, stack)
            chunk = part.read(CHUNK) if part else b""
            if chunk:
                offset += len(chunk)
                yield chunk
            else:
                maker.thread.join(POLL_INTERVAL)


def _whole(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        yield from iter(lambda: file.read(CHUNK), b"")


def _open(path: Path, offset: int, stack: contextlib.ExitStack) -> IO[bytes] | None:
    try:
        file = stack.enter_context(path.open("rb"))
    except FileNotFoundError:
        return None
    file.seek(offset)
    return file


class _Maker:
    """A thread that makes the file, and the error that it ended with."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self.problem: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="maker", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._make()
        except BaseException as problem:
            self.problem = problem
