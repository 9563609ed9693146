"""The builds of gzip-tokens that the package has, one an architecture; none where it could not be built."""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pulumi_iofog.oci.image import Digest

BUILDS = Path(__file__).with_name("builds")
"""A file an architecture, by its name in OCI's platforms: amd64, arm64, arm (v7), riscv64."""
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64"}
"""What uname says, and what OCI does."""


@dataclass(frozen=True, slots=True)
class Program:
    """A static program for Linux. ``content``: 8 kB."""

    path: Path
    content: bytes

    @property
    def digest(self) -> Digest:
        return Digest(f"sha256:{hashlib.sha256(self.content).hexdigest()}")


@cache
def program_for(architecture: str) -> Program | None:
    """The build for an architecture, as OCI names it."""
    path = BUILDS / architecture
    return Program(path, path.read_bytes()) if architecture in architectures() else None


@cache
def architectures() -> frozenset[str]:
    """Those of the hosts for which deltas of tokens can be made here; none where this machine cannot run it."""
    built = frozenset(path.name for path in BUILDS.iterdir()) if BUILDS.is_dir() else frozenset[str]()
    return built if sys.platform == "linux" and own_architecture() in built else frozenset()


def own_architecture() -> str:
    """Of this machine."""
    return MACHINES.get(platform.machine(), platform.machine())
