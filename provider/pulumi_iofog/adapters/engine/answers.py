"""What container engines answer, read: every parser is tested on recorded output."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from pulumi_iofog.errors import EngineError
from pulumi_iofog.image import Platform
from pulumi_iofog.spec import EngineName
from pulumi_iofog.transfer import EngineKind, HeldImage


@dataclass(frozen=True, slots=True)
class About:
    """What an engine says of itself."""

    kind: EngineKind
    platform: Platform
    root: str


def parse_about(name: EngineName, text: str, agent: str) -> About:
    """``uname -m``, the engine's architecture, and its root and driver status as JSON.

    The architecture is the engine's own: a 32-bit system on a 64-bit kernel says aarch64 in uname.
    """
    try:
        machine, arch, facts = text.strip().splitlines()
        root, _, status = facts.partition(" ")
        containerd = "io.containerd.snapshotter" in status
        kind: EngineKind = "podman" if name == "podman" else "docker-containerd" if containerd else "docker"
        variant = {"armv6l": "v6"}.get(machine.strip(), "v7") if arch == "arm" else ""
        return About(kind, Platform("linux", arch.strip(), variant), json.loads(root))
    except ValueError:
        raise EngineError(agent, f"asking {name} about itself", "its answer cannot be read") from None


def parse_id(text: str) -> str:
    """An image id with its algorithm; podman leaves that away."""
    line = text.strip().splitlines()[-1]
    return line if ":" in line else f"sha256:{line}"


def parse_images(text: str) -> tuple[str | None, tuple[HeldImage, ...]]:
    """An id and a JSON list of diff ids on each line, null for an image without layers; then ``named ID``."""
    named, found = None, []
    for line in text.splitlines():
        first, _, rest = line.strip().partition(" ")
        if first == "named":
            named = parse_id(rest)
        elif rest.startswith(("[", "null")):
            found.append(HeldImage(parse_id(first), tuple(json.loads(rest) or ())))
    return named, tuple(found)


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system: what tells it from others, and its free bytes. Two mounts of one are equal."""

    device: str
    blocks: int
    free: int


def parse_df(text: str) -> list[Disk]:
    """``df -Pk`` (POSIX) → a file system for each row.

    Where it is mounted is left out: a folder that is mounted over is still on the same disk.
    """
    rows = (re.fullmatch(r"(.+?)\s+(\d+)\s+-?\d+\s+(-?\d+)\s+\S+\s+.+", row) for row in text.splitlines())
    return [Disk(row[1], int(row[2]), int(row[3]) * 1024) for row in rows if row]
