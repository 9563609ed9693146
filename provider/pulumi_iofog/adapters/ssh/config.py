"""Where agents are and how to log in: their own fields, then ~/.ssh/config.

Source: ssh_config(5).
"""

from __future__ import annotations

import getpass
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import paramiko

from pulumi_iofog.errors import AgentError
from pulumi_iofog.spec import Agent

KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
_HOP = re.compile(r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?:\[(?P<v6>[^]]+)\]|(?P<host>[^:@\[\]]+))(?::(?P<port>\d+))?/?")


@dataclass(frozen=True, slots=True)
class Way:
    """One host to log in to.

    Attributes:
        login: the agent whose credentials are used; its secrets never show.
        key_files: private keys to try, besides the agent's own.
        agent_keys: whether an ssh-agent's keys are tried too.
        default_keys: whether those in ~/.ssh are tried too.
        known_hosts: at least one file.
        jump: hosts to go through, as ProxyJump has them.
    """

    login: Agent
    host: str
    port: int
    user: str
    key_files: tuple[str, ...]
    agent_keys: bool
    default_keys: bool
    known_hosts: tuple[Path, ...]
    jump: tuple[str, ...]

    @property
    def agent(self) -> str:
        return self.login.name

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


def configured_host(alias: str) -> str | None:
    """The HostName that ~/.ssh/config has for an alias, or None."""
    found = _lookup(alias, alias).get("hostname")
    return found if found != alias else None


def route(agent: Agent) -> list[Way]:
    """The jump hosts, first to last, and then the agent itself."""
    way = _way(agent, agent.name)
    return [*_hops(way, way.jump, {(way.host, way.port)}), way]


def command(ways: Sequence[Way]) -> str:
    """What reaches the last of these hosts, as the beginning of a shell command; empty for none."""
    if not ways:
        return ""
    *before, last = ways
    jump = f"-J {','.join(map(str, before))} " if before else ""
    return f"ssh {jump}-p {last.port} {shlex.quote(f'{last.user}@{last.host}')} "


def _hops(target: Way, jump: Sequence[str], seen: set[tuple[str, int]]) -> list[Way]:
    ways: list[Way] = []
    for number, text in enumerate(jump):
        hop = _hop(target.login, text)
        # With `Host *` a jump host's own section may name itself.
        if (hop.host, hop.port) in seen:
            continue
        seen.add((hop.host, hop.port))
        # Only how to get to the first is left open by the list.
        ways += [*_hops(target, hop.jump, seen), hop] if number == 0 else [hop]
    return ways


def _hop(agent: Agent, text: str) -> Way:
    """``[user@]host[:port]`` of a ProxyJump, with ~/.ssh/config applied to it.

    Its login has the agent's keys, but never its password: that is for the agent alone.
    """
    found = _HOP.fullmatch(text)
    if found is None:
        raise AgentError(agent.name, "reading proxy_jump", f"{text!r} is not [user@]host[:port]")
    port = int(found["port"]) if found["port"] else None
    host = found["v6"] or found["host"]
    login = replace(agent, host=host, user=found["user"], port=port, password=None, host_key=None, proxy_jump=None)
    # A jump host's key may be another than the agent's.
    return replace(_way(login, host), default_keys=True)


def _way(agent: Agent, alias: str) -> Way:
    config = _section(agent, alias)
    files = [agent.known_hosts_file] if agent.known_hosts_file else config.get("userknownhostsfile", "").split()
    jump = agent.proxy_jump or config.get("proxyjump", "")
    return Way(
        login=agent,
        host=config["hostname"],
        port=agent.port or _port(agent.name, config.get("port", "22")),
        user=agent.user or config.get("user") or getpass.getuser(),
        key_files=tuple(str(Path(key).expanduser()) for key in config.get("identityfile", [])),
        agent_keys=config.get("identitiesonly", "no") != "yes",
        default_keys=not (agent.private_key or agent.private_key_file),
        known_hosts=tuple(Path(file).expanduser() for file in files or KNOWN_HOSTS),
        jump=() if jump.lower() == "none" else tuple(hop.strip() for hop in jump.split(",") if hop.strip()),
    )


def _section(agent: Agent, alias: str) -> paramiko.SSHConfigDict:
    """What the file says of an alias if that means the agent's host, else of the host."""
    found = _lookup(agent.name, alias)
    if agent.host in (None, alias, found["hostname"]):
        return found
    return _lookup(agent.name, str(agent.host))


def _lookup(agent: str, name: str) -> paramiko.SSHConfigDict:
    path = Path("~/.ssh/config").expanduser()
    try:
        config = paramiko.SSHConfig.from_path(str(path)) if path.is_file() else paramiko.SSHConfig()
        return config.lookup(name)
    except (paramiko.SSHException, ImportError, LookupError, OSError, ValueError) as problem:
        # ImportError: `Match exec` needs a package that paramiko does not bring.
        why = " ".join(str(problem).split())
        raise AgentError(agent, "reading ~/.ssh/config", why, "Give host=, user= and the rest of it") from None


def _port(agent: str, text: str) -> int:
    if not text.isdigit():
        raise AgentError(agent, "reading ~/.ssh/config", f"{text!r} is no port")
    return int(text)
