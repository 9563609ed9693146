"""The environment of somebody who reads the documentation and types its commands."""

from __future__ import annotations

from pathlib import Path

from lab.cache import cache_folder

SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def login(folder: Path) -> dict[str, str]:
    """What a login sets, and nothing else; the home is in ``folder``, and knows what the lab has built already."""
    home = folder / "home"
    cache = home / ".cache"
    cache.mkdir(parents=True)
    (cache / cache_folder().name).symlink_to(cache_folder())
    return {"HOME": str(home), "USER": "root", "SHELL": "/bin/sh", "LANG": "C.UTF-8", "PATH": SYSTEM}
