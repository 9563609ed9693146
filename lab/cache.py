"""What the lab builds once and keeps: Docker 29, the Pulumi engine, and images."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/pulumi-iofog-lab``, or under ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "pulumi-iofog-lab"


def docker_29() -> Path:
    """The folder with dockerd, containerd and its shim; ``make setup`` builds them."""
    folder = cache_folder() / "docker-29" / "bin"
    if not (folder / "dockerd").is_file():
        raise FileNotFoundError(f"{folder}/dockerd is not there; run: make setup")
    return folder


def pulumi_bin() -> Path:
    """The folder with the Pulumi engine that ``make setup`` has built, if it had to."""
    return cache_folder() / "pulumi" / "bin"
