"""Debian's podman."""

from __future__ import annotations

from lab.engines.base import DockerLike


class Podman(DockerLike):
    """It has no daemon."""

    cli = "podman"
    programs = ("podman",)
