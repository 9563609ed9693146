"""A disk of a host's own: a file on the machine, with ext4 and a journal on it, as edge hosts have."""

from __future__ import annotations

from pathlib import Path

from lab.shell import run

SIZE, INODES = "60G", "500000"
"""Of the file, which takes up only what is written to it."""


def mount(folder: Path) -> None:
    """Put a new disk under an empty folder. It goes with the folder's mount, and ``remove``."""
    file = _file(folder)
    run("truncate", "--size", SIZE, file)
    # Everything is set up now, so that nothing is still being written while something is timed.
    run("mkfs.ext4", "-q", "-F", "-N", INODES, "-E", "lazy_itable_init=0,lazy_journal_init=0", file)
    device = run("losetup", "--find", "--show", "--direct-io=on", file).strip()
    run("mount", device, folder)
    # It is in use: the kernel lets it go with the mount.
    run("losetup", "--detach", device)


def remove(folder: Path) -> None:
    """Remove the disk of a folder that is not mounted any more, if there is one."""
    _file(folder).unlink(missing_ok=True)


def _file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.disk")
