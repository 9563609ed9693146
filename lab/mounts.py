"""What a host sees instead of the machine's: mounts over it, and programs that are not there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path


def below(folder: Path) -> list[str]:
    """Mount points in a folder, itself included."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [point for point in points if point == str(folder) or point.startswith(f"{folder}/")]


def hide(folder: Path, target: str, programs: Iterable[str]) -> None:
    """Make the upper side of an overlay over ``target``, in which these programs are not there."""
    upper = folder / f"overlay{target}/upper"
    upper.mkdir(parents=True, exist_ok=True)
    (folder / f"overlay{target}/work").mkdir(exist_ok=True)
    for program in programs:
        # A whiteout: Documentation/filesystems/overlayfs.rst of Linux.
        os.mknod(upper / program, 0o600 | stat.S_IFCHR, os.makedev(0, 0))


def overlay(folder: Path, target: str) -> str:
    """The command that mounts it."""
    sides = f"lowerdir={target},upperdir={folder}/overlay{target}/upper,workdir={folder}/overlay{target}/work"
    return f"mount -t overlay -o {sides} overlay {target}"
