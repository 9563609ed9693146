"""Which engine an agent has, and as whom it can be reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from typing_extensions import assert_never

from pulumi_iofog.adapters.host.engines import docker, edgelet, podman
from pulumi_iofog.adapters.host.engines.answers import About, parse_about
from pulumi_iofog.adapters.host.engines.base import Engine
from pulumi_iofog.adapters.host.engines.candidates import CANDIDATES, ambiguous, parse_candidates
from pulumi_iofog.adapters.host.engines.docker import Docker
from pulumi_iofog.adapters.host.engines.docker_containerd import DockerContainerd
from pulumi_iofog.adapters.host.engines.edgelet import Edgelet
from pulumi_iofog.adapters.host.engines.podman import Podman
from pulumi_iofog.adapters.host.shell import Shell, says
from pulumi_iofog.adapters.host.sudo import Runner
from pulumi_iofog.errors import EngineError
from pulumi_iofog.inputs.spec import Agent, EngineName


def find(shell: Shell, agent: Agent) -> Engine:
    """The agent's engine: the named one at the named socket, else the only one that the host has.

    Without ``sudo=``: Docker as the user, and as root if it does not let the user in. Podman as root, as it
    is root's images that ioFog sees; edgelet as root, as it answers nobody else. The user's own podman, and where
    Docker does not let the user in the user's own (rootless) Docker, only with ``sudo=False`` or by its socket.
    Where sudo allows no shell, the engine's command alone is tried with it.

    Raises EngineError if none can be used, with what each has answered, or if there are several.
    """
    named, agent = agent.engine, _only_one(shell, agent)
    names: Sequence[EngineName] = (agent.engine,) if agent.engine else get_args(EngineName)
    reasons = []
    for name in names:
        for way in _ways(shell, agent, name):
            result = way.runner.run(_about(name))
            if result.ok:
                return _engine(way, agent.name, parse_about(name, result.text, agent.name))
            by_sudo = says(result, *SUDO_REFUSES)
            if not (way.alone and by_sudo):
                reasons.append(f"{way.called}: {result.error}")
            if says(result, f"{name}: not found"):
                break
            if agent.sudo is None and not (by_sudo or says(result, "permission denied")):
                break
    who = " or ".join(names)
    raise EngineError(agent.name, f"looking for {who}", "; ".join(reasons), _hint(reasons, agent, named))


def _only_one(shell: Shell, agent: Agent) -> Agent:
    """The agent with the only engine that its host has, where nobody has said which it is. Docker may be there
    more than once; nothing in the login's environment decides which."""
    if agent.engine_socket or agent.engine not in (None, "docker"):
        return agent
    candidates = parse_candidates(shell.run(CANDIDATES).text, agent.engine)
    if len(candidates) > 1:
        raise ambiguous(agent.name, candidates)
    for each in candidates:
        agent = replace(agent, engine=each.engine)
        if agent.sudo is False and each.socket not in ("", docker.SYSTEM_SOCKET):
            agent = replace(agent, engine_socket=each.socket)
    return agent


def _about(name: EngineName) -> str:
    """A script by which an engine says whether it answers, and what it is."""
    return (
        f'command -v {name} >/dev/null || {{ echo "{name}: not found on PATH ($PATH)" >&2; exit 127; }}\n{_ABOUT[name]}'
    )


_ABOUT: Mapping[EngineName, str] = {"docker": docker.ABOUT, "podman": podman.ABOUT, "edgelet": edgelet.ABOUT}


def _engine(way: _Way, agent: str, about: About) -> Engine:
    match about.kind:
        case "docker":
            return Docker(way.runner, agent, about, way.where)
        case "docker-containerd":
            return DockerContainerd(way.runner, agent, about, way.where)
        case "podman":
            return Podman(way.runner, agent, about, way.where)
        case "edgelet":
            return Edgelet(way.runner, agent, about, way.where)
        case kind:
            assert_never(kind)


SUDO_REFUSES = ("a password is required", "not allowed to execute", "not in the sudoers file", "may not run sudo")
"""What sudo says, without a password, where it does not allow a shell."""


@dataclass(frozen=True, slots=True)
class _Way:
    """As whom to ask an engine, what to call that, and where it listens (empty: it has no daemon). ``alone``: sudo
    allows its command and nothing else."""

    called: str
    runner: Runner
    where: str = ""
    alone: bool = False


def _ways(shell: Shell, agent: Agent, name: EngineName) -> Iterator[_Way]:
    """How to ask an engine, in this order."""
    socket = agent.engine_socket
    first = where = ""
    may_be_user, may_be_root = not agent.sudo, agent.sudo is not False
    match name:
        case "docker":
            socket = socket or docker.SYSTEM_SOCKET
            first, where = docker.at(socket), f"unix://{socket}"
        case "podman":
            may_be_user = agent.sudo is False
            if socket and socket.startswith("/run/user/"):
                first, may_be_user, may_be_root = podman.of_user(socket), True, False
        case "edgelet":
            # The socket that its Controller knows is containerd's, which its command does not ask for.
            may_be_user = agent.sudo is False
        case _:
            assert_never(name)
    if may_be_user:
        yield _Way(name, Runner(shell, sudo=False, first=first), where)
    if name == "docker" and agent.sudo is False and not agent.engine_socket:
        yield _Way("the user's own docker", Runner(shell, sudo=False, first=docker.OWN), "the user's own socket")
    if may_be_root:
        yield _Way(f"sudo {name}", Runner(shell, sudo=True, password=agent.password, first=first), where)
    # What proves an image of edgelet is read as root, which takes more than its command.
    if may_be_root and agent.password is None and name != "edgelet":
        yield _Way(f"sudo {name} alone", Runner(shell, sudo=True, first=first, alone=name), where, alone=True)


def _hint(reasons: Sequence[str], agent: Agent, named: EngineName | None) -> str:
    """What to try. ``named``: the engine that the program or the Controller's record says."""
    said = " ".join(reasons).lower()
    own = ", or sudo=False for the user's own podman, which ioFog does not see" if "sudo podman" in said else ""
    if "incorrect password" in said:
        return "sudo does not accept password="
    if "must have a tty" in said:
        return f"Let sudo do without a terminal: 'Defaults:{agent.user or 'USER'} !requiretty' in sudoers"
    if "a password is required" in said:
        least = f"python -m pulumi_iofog sudoers {agent.engine or 'ENGINE'} prints the least that it needs"
        return f"sudo asks for a password: give password=, or let the user use sudo without one ({least}){own}"
    if "unauthorized" in said:
        return f"edgelet answers only root: let {agent.user or 'the user'} use sudo, and omit sudo=False"
    if "daemon_unavailable" in said:
        return "" if "systemctl" in said else "Start edgelet on the agent: systemctl start edgelet"
    if "permission denied" in said or "sudoers" in said:
        return f"Let {agent.user or 'the user'} reach the engine: the docker group, or sudo{own}"
    if "cannot connect" in said or "daemon running" in said:
        if agent.engine_socket in (None, docker.SYSTEM_SOCKET, docker.SYSTEM_SOCKET.removeprefix("/var")):
            return "Start the engine on the agent: systemctl start docker"
        return (
            f"Check engine_socket=, or without it dockerUrl in the Controller's record of {agent.name}: nothing answers"
            f" at {agent.engine_socket}"
        )
    link = "If it is installed elsewhere, link it into /usr/local/bin. " if "not found on path" in said else ""
    if named:
        return (
            f"{link}{named} is what engine= says or, without it, the Controller's record of {agent.name}"
            " (containerEngine and dockerUrl). If that is wrong, correct the record, or set engine=, which takes"
            f" precedence; else install {named} on the agent"
        )
    return f"{link}Install docker, podman or edgelet on the agent, or name the one that is there with engine="
