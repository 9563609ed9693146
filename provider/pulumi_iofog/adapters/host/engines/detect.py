"""Which engine an agent has, and as whom it can be reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pulumi_iofog.adapters.host.engines.answers import parse_about
from pulumi_iofog.adapters.host.engines.base import Engine
from pulumi_iofog.adapters.host.shell import Shell, says
from pulumi_iofog.adapters.host.sudo import Runner
from pulumi_iofog.errors import EngineError
from pulumi_iofog.inputs.spec import Agent, EngineName

OWN_DOCKER = """for folder in "$XDG_RUNTIME_DIR" "/run/user/$(id -u)" "$HOME/.docker/run"; do
[ -S "$folder/docker.sock" ] && DOCKER_HOST="unix://$folder/docker.sock" && break; done
[ -n "$DOCKER_HOST" ] || { echo "no docker.sock in /run/user/$(id -u)" >&2; exit 1; }
export DOCKER_HOST
"""
"""Where dockerd-rootless.sh puts its socket; a session that PAM has not made has no XDG_RUNTIME_DIR."""
ABOUT: Mapping[EngineName, str] = {
    # Both at once; where the daemon does not answer, the first says so better.
    "docker": r"""uname -m; docker version --format '{{.Server.Arch}}' &
info=$(docker info --format '{{json .DockerRootDir}} {{json .DriverStatus}}' 2>/dev/null); code=$?
wait $! && printf '%s\n' "$info" && exit $code """,
    # Not podman info, which takes six times as long, unless nothing else tells the root.
    "podman": r"""uname -m; arch=$(podman version --format '{{.Client.OsArch}}') && echo "${arch#*/}" &&
root=$(podman image ls --quiet --log-level debug 2>&1 | sed -n 's/.*Using graph root \([^"]*\).*/\1/p' | tail -n 1)
[ -n "$root" ] || root=$(podman info --format '{{.Store.GraphRoot}}') && printf '"%s" []\n' "$root" """,
}
"""What an engine is asked to find out whether it answers; parse_about reads it."""


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
            result = runner.run(ABOUT[name])
            if result.ok:
                return Engine(runner, agent.name, parse_about(name, result.text, agent.name))
            reasons.append(f"{called}: {result.error}")
            if says(result, f"{name}: not found", f"{name}: command not found"):
                break
            if agent.sudo is None and not says(result, "permission denied"):
                break
    who = " or ".join(names)
    raise EngineError(agent.name, f"looking for {who}", "; ".join(reasons), _hint(reasons, agent))


def _ways(shell: Shell, agent: Agent, name: EngineName) -> Iterator[tuple[str, Runner]]:
    """How to ask an engine, in this order, and what to call that."""
    user, root = Runner(shell, sudo=False), Runner(shell, sudo=True, password=agent.password)
    if not agent.sudo and (name == "docker" or agent.sudo is False):
        yield name, user
    if agent.sudo is False and name == "docker":
        yield "the user's own docker", Runner(shell, sudo=False, first=OWN_DOCKER)
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
