"""Locks on files and folders that no crash leaves behind (flock), and what is only safe with them.

While one waits for a lock, the path may come to mean another file, so every lock is checked against its path.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any


def lock(path: Path, how: int, flags: int) -> int | None:
    """A descriptor of the file, with flock's lock on it; None if the file does not exist, or is no longer at its
    path once we have the lock; with LOCK_NB also if it is locked already."""
    try:
        file = os.open(path, flags, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, how)
        locked = is_at(file, path)
    except BlockingIOError:
        locked = False
    except BaseException:
        os.close(file)
        raise
    if locked:
        return file
    os.close(file)
    return None


def is_at(file: int, path: Path) -> bool:
    """Whether the path still means the open file."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def remove_unused(path: Path) -> bool:
    """Remove a file unless it is locked; whether it was removed."""
    held = lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB, os.O_RDWR)
    if held is None:
        return False
    path.unlink(missing_ok=True)
    os.close(held)
    return True


def close_all(files: dict[Any, int]) -> None:
    """Close the descriptors, which ends their locks, and empty the table."""
    while files:
        os.close(files.popitem()[1])


def new_folder(prefix: str) -> tuple[Path, int]:
    """A new temporary folder, and the lock that says that it is in use."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        held = lock(folder, fcntl.LOCK_EX, os.O_RDONLY)
        if held is not None:
            return folder, held


def remove_abandoned_folders(prefix: str) -> None:
    """Remove temporary folders of ours that nobody has locked any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            held = lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            if held is not None:
                if os.fstat(held).st_uid == os.getuid():
                    shutil.rmtree(folder, ignore_errors=True)
                os.close(held)
