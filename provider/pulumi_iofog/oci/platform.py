"""What images run on, and what runs where. Pure: no I/O.

Sources: OCI image index, ``platform``; github.com/containerd/platforms, whose order of preference engines have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """What an image runs on (OCI image index, ``platform``): ``linux/amd64``, ``linux/arm/v7``."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """``linux/arm/v7`` → Platform; ValueError unless it has two or three parts."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            raise ValueError(f"not a platform: {text!r}")
        return cls(*parts)

    def runs(self, image: Platform) -> bool:
        """Whether an image made for that platform runs here."""
        return self.rank(image) is not None

    def rank(self, image: Platform) -> int | None:
        """How well an image made for that platform runs here: 0 is the very one, None not at all.

        As containerd orders them (github.com/containerd/platforms, compare.go): newer ARMs and x86s run what was made
        for older ones, and a 64-bit ARM what was made for 32 bits.
        """
        if self.os != image.os:
            return None
        if (self.architecture, image.architecture) == ("arm64", "arm"):
            return None if image.level > 8 else 10 + 8 - image.level
        if self.architecture != image.architecture:
            return None
        if self.architecture in _LEVELS:
            return None if image.level > self.level else self.level - image.level
        return 0 if not self.variant or not image.variant or self.variant == image.variant else None

    @property
    def level(self) -> int:
        """The variant as a number, of an architecture whose variants are levels; without a variant, the usual one."""
        return int(self.variant[1:]) if _LEVEL.fullmatch(self.variant) else _LEVELS.get(self.architecture, 0)


_LEVEL = re.compile("v[0-9]{1,2}")
_LEVELS = {"amd64": 1, "arm": 7, "arm64": 8}
"""Architectures whose variants are levels, with the one that goes without saying (containerd's platforms.Normalize)."""

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
ARM_V7 = Platform("linux", "arm", "v7")
RISCV64 = Platform("linux", "riscv64")


def fitness(platform: Platform, wanted: Platform) -> int | None:
    """How well an image for a platform does where another of that architecture is wanted: 0 is best, None not at all.

    One for a newer x86 does worst of all, as only the host knows whether it is one."""
    if platform.architecture != wanted.architecture:
        return None
    rank = wanted.rank(platform)
    newer = wanted.os == platform.os and platform.architecture == "amd64"
    return 100 + platform.level if rank is None and newer else rank
