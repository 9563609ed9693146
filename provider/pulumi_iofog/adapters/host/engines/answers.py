"""What container engines answer, read: every parser is tested on recorded output."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pulumi_iofog import text
from pulumi_iofog.errors import EngineError
from pulumi_iofog.inputs.spec import EngineName
from pulumi_iofog.oci.image import Platform, parse_digest
from pulumi_iofog.oci.reference import full_name
from pulumi_iofog.transfer.engine_traits import EngineKind, kind_of
from pulumi_iofog.transfer.inventory import HeldImage
from pulumi_iofog.transfer.load_folder import PREFIX_REPOSITORY

MACHINE = "echo $(uname -m) $(grep -m 1 '^flags' /proc/cpuinfo 2>/dev/null)"
"""A command that says what the host's CPU is; its answer is a line."""

_X86_LEVELS = (
    "cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3",
    "abm avx avx2 bmi1 bmi2 f16c fma movbe",
    "avx512bw avx512cd avx512dq avx512f avx512vl",
)
"""What Linux calls the features that x86-64-v2, v3 and v4 add (psABI of x86-64, 3.1.1)."""
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading an answer raises that is not what it should be; RecursionError: JSON that is nested too deep."""
EXCERPT = 160
"""Characters of such an answer in a message."""
LONGEST_ROW = 1000
_ARCH = re.compile(r"[a-z0-9_]{1,20}")
_DISK = re.compile(r"(.+?)\s+(\d{1,18})\s+-?\d+\s+(-?\d{1,18})\s+\S+\s+.+")


@dataclass(frozen=True, slots=True)
class About:
    """What an engine says of itself."""

    kind: EngineKind
    platform: Platform
    root: str
    version: str = ""


def parse_about(name: EngineName, answer: str, agent: str) -> About:
    """MACHINE, the engine's architecture and version, and its root and driver status as JSON.

    The architecture is the engine's own: a 32-bit system on a 64-bit kernel says aarch64 in uname.
    """
    try:
        cpu, about, facts = answer.strip().splitlines()
        machine, *features = cpu.split()
        arch, _, version = about.strip().partition(" ")
        root, _, status = facts.partition(" ")
        kind = kind_of(name, containerd_store="io.containerd.snapshotter" in status)
        folder = _text(json.loads(root))
        if not _ARCH.fullmatch(arch) or not folder.startswith("/"):
            raise ValueError(arch)
        platform = Platform("linux", arch, _variant(arch, machine, features))
        return About(kind, platform, folder, text.excerpt(version, 40))
    except UNREADABLE:
        # The first line is the machine's own, and a long one.
        raise unreadable(agent, f"asking {name} about itself", answer.partition("\n")[2] or answer) from None


def _variant(arch: str, machine: str, features: Sequence[str]) -> str:
    """``v7``; ``v3`` for a CPU that takes what was made for x86-64-v3; empty for the baseline."""
    if arch == "arm":
        return {"armv6l": "v6"}.get(machine, "v7")
    if arch != "amd64":
        return ""
    levels = itertools.takewhile(lambda wanted: set(wanted.split()) <= set(features), _X86_LEVELS)
    level = 1 + sum(1 for _ in levels)
    return f"v{level}" if level > 1 else ""


def unreadable(agent: str, doing: str, answer: str) -> EngineError:
    """An answer that means nothing."""
    return EngineError(agent, doing, f"its answer cannot be read: {text.excerpt(answer, EXCERPT)}")


def parse_id(answer: str) -> str:
    """An image id with its algorithm; podman omits it. ValueError if it is none."""
    line = answer.strip().rpartition("\n")[2].strip()
    return parse_digest(line if ":" in line else f"sha256:{line}")


def parse_names(answer: str) -> tuple[str, ...]:
    """A JSON list of an image's names, in the engine's order; empty if there is none."""
    try:
        return tuple(text.excerpt(name) for name in _list(json.loads(answer)))
    except UNREADABLE:
        return ()


@dataclass(frozen=True, slots=True)
class Listing:
    """What an engine holds.

    Attributes:
        named: the id of the image that was asked for by its name.
        images: each with its layers.
        lower: names of images of lower layers alone.
    """

    named: str | None
    images: tuple[HeldImage, ...]
    lower: tuple[str, ...]


def parse_images(answer: str, name: str) -> Listing:
    """On each line an id, and JSON lists of names and of diff ids; null for an empty one. ``name``: a full one.
    UNREADABLE if a line is not such."""
    images = parse_held(answer)
    named = next((each.id for each in images if name in map(full_name, each.names)), None)
    lower = (other for each in images for other in each.names if other.startswith(f"{PREFIX_REPOSITORY}:"))
    return Listing(named, images, tuple(lower))


def parse_held(answer: str) -> tuple[HeldImage, ...]:
    """As ``parse_images``."""
    rows = [row for line in answer.splitlines() if _is_image(row := line.split())]
    found = ((parse_id(row[0]), _list(json.loads(row[1])), _list(json.loads(row[2]))) for row in rows)
    return tuple(
        HeldImage(id_, tuple(map(parse_digest, diff_ids)), names=tuple(names)) for id_, names, diff_ids in found
    )


def _is_image(row: Sequence[str]) -> bool:
    return len(row) == 3 and all(each.startswith(("[", "null")) for each in row[1:])


def _list(value: Any) -> list[str]:
    """A list of texts; null is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError("no list")
    return [_text(each) for each in value]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system: what tells it from others, and its free bytes. Two mounts of one are equal."""

    device: str
    blocks: int
    free: int


def parse_df(answer: str) -> list[Disk]:
    """``df -Pk`` (POSIX) → a file system for each row.

    Where it is mounted is left out: a folder that is mounted over is still on the same disk.
    """
    rows = (_DISK.fullmatch(row) for row in answer.splitlines() if len(row) <= LONGEST_ROW)
    return [Disk(row[1], int(row[2]), int(row[3]) * 1024) for row in rows if row]
