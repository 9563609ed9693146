"""Which engine an agent's images go to: what the program says, then the Controller's record. Pure.

Only the ioFog agent's own engine will do: an image in another one on the same host is never seen by it. Where
neither says which that is, the host is asked when it is visited, and must have no more than one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from pulumi_iofog.errors import Failures
from pulumi_iofog.inputs.catalog import KnownAgent
from pulumi_iofog.inputs.spec import Agent, EngineName, socket_path

NAMES: tuple[EngineName, ...] = get_args(EngineName)


def with_engine(agent: Agent, known: KnownAgent | None, path: str, failures: Failures) -> Agent:
    """The agent, with the engine and the socket that the Controller's record says, where the program says none.

    Args:
        path: the agent's, for failures: an engine that is not known here, a socket that is not a local one.
    """
    if known is None:
        return agent
    if agent.engine is None:
        agent = replace(agent, engine=_known_engine(known, path, failures))
    if agent.engine_socket is None and agent.engine == _engine(known):
        agent = replace(agent, engine_socket=_known_socket(known, path, failures))
    return agent


def differences(agent: Agent, known: KnownAgent | None) -> list[str]:
    """A line for each thing in which the program goes against the Controller's record."""
    if known is None:
        return []
    lines, engine, socket = [], _engine(known), _socket(known)
    if agent.engine and engine and agent.engine != engine:
        lines.append(_warning(agent.name, f"engine={agent.engine}", engine))
    elif agent.engine_socket and socket and agent.engine_socket != socket:
        lines.append(_warning(agent.name, f"engine_socket={agent.engine_socket}", socket))
    return lines


def moved(agent: Agent, known: KnownAgent | None) -> str:
    """That the record names another engine or socket than the agent that the state has; nothing if it does not.

    The program may say so itself, which the state does not tell from the record.
    """
    if known is None:
        return ""
    what, had, now = "engine", str(agent.engine), _engine(known)
    if had == now:
        what, had, now = "socket", agent.engine_socket or "the default", _socket(known)
    if now is None or had == now:
        return ""
    return f"The state's {what} is {had}, the Controller's record now says {now}: run pulumi up to go by that. "


def _warning(agent: str, program: str, record: str) -> str:
    return (
        f"{agent}: the program says {program}, the Controller says that the ioFog agent uses {record};"
        " the agent sees no image that is brought elsewhere"
    )


def _known_engine(known: KnownAgent, path: str, failures: Failures) -> EngineName | None:
    engine = _engine(known)
    if engine is None or engine in NAMES:
        return engine
    failures.add(
        f"{path}.engine",
        f"the Controller says that agent {known.name} uses the engine {engine!r}, which is not supported:"
        f" those that are: {', '.join(NAMES)}. Set engine= if the record is wrong",
    )
    return None


def _known_socket(known: KnownAgent, path: str, failures: Failures) -> str | None:
    socket = _socket(known)
    if socket is None or socket_path(socket):
        return socket and socket_path(socket)
    failures.add(
        f"{path}.engine_socket",
        f"the Controller says that the engine of agent {known.name} listens at {socket}, which is not a unix socket:"
        " set engine_socket=",
    )
    return None


def _engine(known: KnownAgent) -> str | None:
    """Controllers before 3.5 do not say: their agents know Docker's API only, which podman has at its own socket."""
    if known.engine:
        return known.engine.lower()
    if known.engine_socket is None:
        return None
    return "podman" if "podman" in known.engine_socket else "docker"


def _socket(known: KnownAgent) -> str | None:
    """The record's, where it is the engine's: every new agent's record has Docker's, whatever its engine."""
    engine, socket = _engine(known), known.engine_socket
    if socket is None or engine not in ("docker", "podman"):
        return None
    mine = engine == "docker" or "podman" in socket
    return (socket_path(socket) or socket) if mine else None
