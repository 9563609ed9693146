"""What container engines answer, read: every parser is tested on recorded output."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class About:
    """What an engine says of itself."""

    kind: EngineKind
    platform: Platform
    root: str
    version: str = ""


def parse_about(name: EngineName, text: str, agent: str) -> About:
    """MACHINE, the engine's architecture and version, and its root and driver status as JSON.

    The architecture is the engine's own: a 32-bit system on a 64-bit kernel says aarch64 in uname.
    """
    try:
        cpu, about, facts = text.strip().splitlines()
        machine, *features = cpu.split()
        arch, _, version = about.strip().partition(" ")
        root, _, status = facts.partition(" ")
        kind = kind_of(name, containerd_store="io.containerd.snapshotter" in status)
        variant = ""
        if arch == "arm":
            variant = {"armv6l": "v6"}.get(machine, "v7")
        elif arch == "amd64":
            variant = _x86_variant(features)
        return About(kind, Platform("linux", arch, variant), json.loads(root), version)
    except ValueError:
        raise EngineError(agent, f"asking {name} about itself", "its answer cannot be read") from None


def _x86_variant(features: Sequence[str]) -> str:
    """``v3`` for a CPU that takes what was made for x86-64-v3; empty for the baseline."""
    levels = itertools.takewhile(lambda wanted: set(wanted.split()) <= set(features), _X86_LEVELS)
    level = 1 + sum(1 for _ in levels)
    return f"v{level}" if level > 1 else ""


def parse_id(text: str) -> str:
    """An image id with its algorithm; podman omits it."""
    line = text.strip().splitlines()[-1]
    return line if ":" in line else f"sha256:{line}"


def parse_names(text: str) -> tuple[str, ...]:
    """A JSON list of an image's names, in the engine's order; empty if there is none."""
    try:
        return tuple(str(name) for name in json.loads(text) or ())
    except (ValueError, TypeError):
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


def parse_images(text: str, name: str) -> Listing:
    """On each line an id, and JSON lists of names and of diff ids; null for an empty one. ``name``: a full one."""
    rows = [line.split() for line in text.splitlines()]
    found = [(parse_id(row[0]), json.loads(row[1]) or (), json.loads(row[2]) or ()) for row in rows if _is_image(row)]
    named = next((id_ for id_, names, _ in found if name in map(full_name, names)), None)
    lower = (each for _, names, _ in found for each in names if each.startswith(f"{PREFIX_REPOSITORY}:"))
    return Listing(
        named, tuple(HeldImage(id_, tuple(map(parse_digest, diff_ids))) for id_, _, diff_ids in found), tuple(lower)
    )


def _is_image(row: Sequence[str]) -> bool:
    return len(row) == 3 and all(each.startswith(("[", "null")) for each in row[1:])


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
