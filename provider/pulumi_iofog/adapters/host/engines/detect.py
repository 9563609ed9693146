"""Which engine an agent has, and as whom it can be reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from typing_extensions import assert_never

from pulumi_iofog.adapters.host.engines import docker, podman
from pulumi_iofog.adapters.host.engines.answers import About, parse_about
from pulumi_iofog.adapters.host.engines.base import Engine
from pulumi_iofog.adapters.host.engines.docker import Docker
from pulumi_iofog.adapters.host.engines.docker_containerd import DockerContainerd
from pulumi_iofog.adapters.host.engines.podman import Podman
from pulumi_iofog.adapters.host.shell import Shell, says
from pulumi_iofog.adapters.host.sudo import Runner
from pulumi_iofog.errors import EngineError
from pulumi_iofog.inputs.spec import Agent, EngineName


def find(shell: Shell, agent: Agent) -> Engine:
    """The agent's engine: the named one, else docker if it answers, else podman.

    Without ``sudo=``: Docker as the user, and as root if it does not let the user in. Podman as root, as it
    is root's images that ioFog sees. The user's own podman, and where Docker does not let the user in the
    user's own (rootless) Docker, only with ``sudo=False``.

    Raises EngineError, with what each has answered, if none can be used.
    """
    names: Sequence[EngineName] = (agent.engine,) if agent.engine else ("docker", "podman")
    reasons = []
    for name in names:
        for called, runner in _ways(shell, agent, name):
            result = runner.run(_about(name))
            if result.ok:
                return _engine(runner, agent.name, parse_about(name, result.text, agent.name))
            reasons.append(f"{called}: {result.error}")
            if says(result, f"{name}: not found", f"{name}: command not found"):
                break
            if agent.sudo is None and not says(result, "permission denied"):
                break
    who = " or ".join(names)
    raise EngineError(agent.name, f"looking for {who}", "; ".join(reasons), _hint(reasons, agent))


def _about(name: EngineName) -> str:
    """A script by which an engine says whether it answers, and what it is."""
    match name:
        case "docker":
            return docker.ABOUT
        case "podman":
            return podman.ABOUT
        case _:
            assert_never(name)


def _engine(shell: Runner, agent: str, about: About) -> Engine:
    match about.kind:
        case "docker":
            return Docker(shell, agent, about)
        case "docker-containerd":
            return DockerContainerd(shell, agent, about)
        case "podman":
            return Podman(shell, agent, about)
        case kind:
            assert_never(kind)


def _ways(shell: Shell, agent: Agent, name: EngineName) -> Iterator[tuple[str, Runner]]:
    """How to ask an engine, in this order, and what to call that."""
    user, root = Runner(shell, sudo=False), Runner(shell, sudo=True, password=agent.password)
    if not agent.sudo and (name == "docker" or agent.sudo is False):
        yield name, user
    if agent.sudo is False and name == "docker":
        yield "the user's own docker", Runner(shell, sudo=False, first=docker.OWN)
    if agent.sudo is not False:
        yield f"sudo {name}", root


def _hint(reasons: Sequence[str], agent: Agent) -> str:
    said = " ".join(reasons).lower()
    own = ", or sudo=False for the user's own podman, which ioFog does not see" if "sudo podman" in said else ""
    if "incorrect password" in said:
        return "sudo does not accept password="
    if "must have a tty" in said:
        return f"Let sudo do without a terminal: 'Defaults:{agent.user or 'USER'} !requiretty' in sudoers"
    if "a password is required" in said:
        return f"sudo asks for a password: give password=, or let the user use sudo without one{own}"
    if "permission denied" in said or "sudoers" in said:
        return f"Let {agent.user or 'the user'} reach the engine: the docker group, or sudo{own}"
    if "cannot connect" in said or "daemon running" in said:
        return "Start the engine on the agent: systemctl start docker"
    return "Install docker or podman on the agent, or name the one that is there with engine="
