"""The engines that a host has, where nobody has said which one the ioFog agent uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, get_args

from pulumi_iofog.adapters.host.engines.docker import SYSTEM_SOCKET
from pulumi_iofog.errors import EngineError
from pulumi_iofog.inputs.spec import EngineName

CANDIDATES = f"""has() {{ command -v "$1" >/dev/null 2>&1; }}
listens() {{ [ -S "${{1#unix://}}" ] && echo docker "${{1#unix://}}"; }}
listens {SYSTEM_SOCKET} || ! has dockerd || echo docker
for socket in /run/user/*/docker.sock "$HOME/.docker/run/docker.sock"; do listens "$socket"; done
if [ -n "$DOCKER_HOST$DOCKER_CONTEXT" ] || grep -qs currentContext "${{DOCKER_CONFIG:-$HOME/.docker}}/config.json"; then
    listens "$(docker context inspect --format '{{{{.Endpoints.docker.Host}}}}' 2>/dev/null)"
fi
has podman && echo podman
has edgelet && echo edgelet
true
"""
"""Says, a line each, an engine's name and where it listens: parse_candidates reads it. Asks no daemon. What a docker
context or DOCKER_HOST of the login leads to counts as one more daemon, and decides nothing."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine that is there; ``socket`` is a path, or empty for the usual one."""

    engine: EngineName
    socket: str = ""

    def __str__(self) -> str:
        return f"{self.engine} at {self.socket}" if self.socket else self.engine

    @property
    def arguments(self) -> str:
        """What to write for it."""
        socket = f', engine_socket="{self.socket}"' if self.socket else ""
        return f'engine="{self.engine}"{socket}'


def parse_candidates(text: str, wanted: EngineName | None = None) -> tuple[Candidate, ...]:
    """Lines of a name and a socket, each engine once; of one engine only, where that is ``wanted``."""
    found: dict[Candidate, None] = {}
    for line in text.splitlines():
        name, _, socket = line.strip().partition(" ")
        if name in get_args(EngineName) and wanted in (None, name):
            if socket == SYSTEM_SOCKET.removeprefix("/var"):
                socket = SYSTEM_SOCKET
            found[Candidate(cast(EngineName, name), socket)] = None
    # A dockerd that is installed and does not listen is one where no other does.
    stopped = Candidate("docker")
    if stopped in found and any(each.engine == "docker" and each.socket for each in found):
        del found[stopped]
    return tuple(found)


def ambiguous(agent: str, candidates: Sequence[Candidate]) -> EngineError:
    """Why none of several is taken, and what to write."""
    candidates = [Candidate("docker", SYSTEM_SOCKET) if each == Candidate("docker") else each for each in candidates]
    there = ", ".join(map(str, candidates))
    write = " or ".join(each.arguments for each in candidates)
    return EngineError(
        agent,
        "looking for the ioFog agent's engine",
        f"the host has more than one ({there}), and neither the program nor the Controller says which the agent uses",
        f"Write {write}",
    )
