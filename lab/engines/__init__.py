"""What an edge host can run: a file an engine, each with its daemon, its mounts and its proofs."""

from __future__ import annotations

from lab.engines.base import Engine, EngineKind
from lab.engines.docker import Docker, Docker29
from lab.engines.edgelet import Edgelet
from lab.engines.podman import Podman

ENGINES: dict[EngineKind, Engine] = {
    "docker": Docker(),
    "docker29": Docker29(),
    "podman": Podman(),
    "edgelet": Edgelet(),
    "none": Engine(),
}
"""The one object of each kind; hosts share them, as they hold nothing."""

PROGRAMS = frozenset(program for engine in ENGINES.values() for program in engine.programs)
"""Programs that a host has only with an engine of its own that brings them."""

__all__ = ["ENGINES", "PROGRAMS", "Engine", "EngineKind"]
