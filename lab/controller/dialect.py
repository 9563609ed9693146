"""In what the Controllers differ, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version's ways.

    Attributes:
        version: as ``/status`` says it.
        old: 3.0.4's: users of its own, tokens that are never renewed, system items that nobody sees, images
            that are frozen while they run, and its wording of what is wrong with a body.
        arch_ids: 3.8's and newer: ``archId``, and four architectures.
        schemes: what may stand before a token in ``Authorization``.
        engines: what an agent's ``containerEngine`` may be; none for a Controller that does not ask.
        engine_url: what it calls the socket of an agent's engine.
        pruning: what it calls the hours between two prunings of an agent; 0 is never.
        arch_told: what it calls an agent's architecture in a request; ``arch_said`` in an answer, and in images.
    """

    version: str
    old: bool
    arch_ids: bool
    schemes: tuple[str, ...]
    engines: tuple[str, ...]
    engine_url: str
    pruning: str
    arch_told: str
    arch_said: str


_V304 = Dialect(
    version="3.0.4",
    old=True,
    arch_ids=False,
    schemes=("",),
    engines=(),
    engine_url="dockerUrl",
    pruning="dockerPruningFrequency",
    arch_told="fogType",
    arch_said="fogTypeId",
)
_V373 = Dialect(
    version="3.7.3",
    old=False,
    arch_ids=False,
    # keycloak-connect 26.1.1, which it signs in with, takes these two spellings and no third.
    schemes=("Bearer ", "bearer "),
    engines=("docker", "podman"),
    engine_url="dockerUrl",
    pruning="dockerPruningFrequency",
    arch_told="fogType",
    arch_said="fogTypeId",
)
_V390 = Dialect(
    version="3.9.0",
    old=False,
    arch_ids=True,
    schemes=("Bearer ",),
    engines=("edgelet", "docker", "podman"),
    engine_url="containerEngineUrl",
    pruning="pruningFrequency",
    arch_told="arch",
    arch_said="archId",
)
DIALECTS: Mapping[str, Dialect] = {each.version: each for each in (_V304, _V373, _V390)}
