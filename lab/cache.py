"""What the lab builds once and keeps: Docker 29, its edgelet, the Pulumi engine, and images."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

SOURCES = Path(__file__).parent / "edgelet"
"""The lab's own edgelet, in Go."""


_FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "pulumi-iofog-lab"
"""Of the user who has started this process. Tests give themselves other homes, where all would be made anew."""


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/pulumi-iofog-lab``, or under ``~/.cache``."""
    return _FOLDER


def docker_29() -> Path:
    """The folder with dockerd, containerd and its shim; ``make setup`` builds them."""
    folder = cache_folder() / "docker-29" / "bin"
    if not (folder / "dockerd").is_file():
        raise FileNotFoundError(f"{folder}/dockerd is not there; run: make setup")
    return folder


def edgelet() -> Path:
    """The program that ``make setup`` has built from these very sources."""
    program = edgelet_target()
    if not program.is_file():
        raise FileNotFoundError(f"{program} is not there; run: make setup")
    return program


def edgelet_target() -> Path:
    """Where it belongs; lab/setup.sh asks, too. Its folder is named by its sources, as checkouts share the cache."""
    digest = hashlib.sha256()
    for path in sorted(path for path in SOURCES.iterdir() if path.suffix in (".go", ".mod", ".sum")):
        digest.update(path.read_bytes())
    return cache_folder() / "edgelet" / digest.hexdigest()[:16] / "edgelet"


def pulumi_bin() -> Path:
    """The folder with the Pulumi engine that ``make setup`` has built, if it had to."""
    return cache_folder() / "pulumi" / "bin"
