"""What a path was meant as, where a reference to an image is expected."""

from __future__ import annotations

import contextlib
import tarfile
from pathlib import Path

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2")


def meant(text: str) -> str | None:
    """The same with a transport, if it is an archive or layout on this machine, or is called like an archive; else
    None."""
    location, _, _ = text.partition(":")
    path = Path(location)
    with contextlib.suppress(OSError, ValueError, tarfile.TarError):
        if path.is_dir():
            return f"oci:{text}" if (path / "oci-layout").is_file() else None
        if path.is_file():
            return f"{_transport(path)}:{text}"
    return f"docker-archive:{text}" if location.endswith(ARCHIVES) else None


def _transport(path: Path) -> str:
    """What ``docker save`` writes may be a layout too; a compressed one is not looked into, as that takes long."""
    if not tarfile.is_tarfile(path) or path.name.endswith(ARCHIVES[1:]):
        return "docker-archive"
    with tarfile.open(path, "r:") as tar:
        names = {name.removeprefix("./") for name in tar.getnames()}
    return "oci-archive" if "oci-layout" in names and "manifest.json" not in names else "docker-archive"
