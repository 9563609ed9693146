"""Where agents are and how to log in: their own fields, then ~/.ssh/config.

Source: ssh_config(5).
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pulumi_iofog.adapters.ssh import ssh_config
from pulumi_iofog.adapters.ssh.host_config import HostConfig, at_home
from pulumi_iofog.errors import AgentError
from pulumi_iofog.inputs.spec import Agent

KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}
STRICT = {
    **dict.fromkeys(("yes", "true", "ask"), False),
    # Even then a changed key is refused.
    **dict.fromkeys(("accept-new", "no", "off", "false"), True),
}
"""StrictHostKeyChecking → whether a new key is accepted."""
METHODS = {
    "pubkeyauthentication": "publickey",
    "passwordauthentication": "password",
    "kbdinteractiveauthentication": "keyboard-interactive",
}
_HOP = re.compile(r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?:\[(?P<v6>[^]]+)\]|(?P<host>[^:@\[\]]+))(?::(?P<port>\d+))?/?")
_BRACKETS = re.compile(r"\[([^]]+)\](?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Destination:
    """One host to log in to.

    Attributes:
        login: the agent whose credentials are used; its secrets never show.
        alias: the name that was looked up in ~/.ssh/config.
        key_files, certificate_files: those of the configuration, besides the agent's own.
        default_keys: whether those in ~/.ssh are tried too.
        agent_socket: an ssh-agent's; empty for none.
        identities_only: whether an ssh-agent's keys are tried only if a file names them.
        methods: ways to log in that may be tried (RFC 4252, 4256).
        known_hosts, global_known_hosts: files; at least one of the user's.
        revoked: a RevokedHostKeys file.
        known_as: the name to look for in known_hosts; empty for host and port.
        accept_new: accept an unknown host key.
        hash_known_hosts: hide the name of a host whose key is added.
        jump: hosts to go through, in ProxyJump's syntax.
        proxy_command: a command to go through; empty for none.
        family: the address family, as a constant of socket.
        timeout: seconds for each step of connecting; None for the default.
        hop: ``jump host 1 of 2`` for a jump host; empty for the agent itself.
    """

    login: Agent
    alias: str
    host: str
    port: int
    user: str
    key_files: tuple[str, ...]
    certificate_files: tuple[str, ...]
    default_keys: bool
    agent_socket: str
    identities_only: bool
    methods: frozenset[str]
    known_hosts: tuple[Path, ...]
    global_known_hosts: tuple[Path, ...]
    revoked: Path | None
    known_as: str
    accept_new: bool
    hash_known_hosts: bool
    jump: tuple[str, ...]
    proxy_command: str
    family: int
    timeout: float | None
    hop: str = ""

    @property
    def agent(self) -> str:
        return self.login.name

    @property
    def address(self) -> str:
        """``host:port``, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.user}@{self.address}"


def configured_host(alias: str) -> str | None:
    """The host that ~/.ssh/config has for an alias: its HostName, the alias itself if a section is for it, or None."""
    found = _lookup(Agent(alias), alias)
    return found.host if found.named or found.host != alias else None


def route(agent: Agent) -> list[Destination]:
    """The jump hosts, first to last, and then the agent itself.

    Raises AgentError if ~/.ssh/config or proxy_jump cannot be read.
    """
    destination = _destination(agent, agent.name)
    destinations = [*_hops(destination, destination.jump, {(destination.host, destination.port)}), destination]
    hops = len(destinations) - 1
    return [
        replace(
            destination,
            # A later host is reached through the previous one, whatever its section says.
            proxy_command="" if number else destination.proxy_command,
            hop=f"jump host {number + 1} of {hops}" if number < hops else "",
        )
        for number, destination in enumerate(destinations)
    ]


def command(destinations: Sequence[Destination]) -> str:
    """The beginning of a shell command that runs the rest on the last of these hosts; empty if there are none."""
    if not destinations:
        return ""
    *before, last = destinations
    jump = f"-J {','.join(map(str, before))} " if before else ""
    return f"ssh {jump}-p {last.port} {shlex.quote(f'{last.user}@{last.host}')} "


def _hops(target: Destination, jump: Sequence[str], seen: set[tuple[str, int]]) -> list[Destination]:
    destinations: list[Destination] = []
    for number, text in enumerate(jump):
        hop = _hop(target.login, text)
        # With `Host *` a jump host's own section may name itself.
        if (hop.host, hop.port) in seen:
            continue
        seen.add((hop.host, hop.port))
        # The list says how to get to all hosts but the first.
        destinations += [*_hops(target, hop.jump, seen), hop] if number == 0 else [hop]
    return destinations


def _hop(agent: Agent, text: str) -> Destination:
    """``[user@]host[:port]`` of a ProxyJump, with ~/.ssh/config applied to it.

    Its login has the agent's keys, but never its password, which is for the agent alone.
    """
    found = _HOP.fullmatch(text)
    if found is None:
        raise AgentError(agent.name, "reading proxy_jump", f"{text!r} is not [user@]host[:port]")
    port = int(found["port"]) if found["port"] else None
    host = found["v6"] or found["host"]
    login = replace(agent, host=host, user=found["user"], port=port, password=None, host_key=None, proxy_jump=None)
    destination = _destination(login, host)
    # A jump host's key may be another than the agent's.
    return replace(destination, default_keys=not destination.key_files)


def _destination(agent: Agent, alias: str) -> Destination:
    agent = _without_brackets(agent)
    config = _section(agent, alias)
    try:
        return _read(agent, config)
    except ValueError as problem:
        raise _unreadable(agent.name, problem) from None


def _read(agent: Agent, config: HostConfig) -> Destination:
    files = [agent.known_hosts_file] if agent.known_hosts_file else config.all("userknownhostsfile")
    files = ["/dev/null"] if [file.lower() for file in files] == ["none"] else files
    jump = agent.proxy_jump or config.first("proxyjump")
    strict = config.first("stricthostkeychecking", "ask").lower()
    keys = tuple(_file(key) for key in config.all("identityfile"))
    timeout = config.first("connecttimeout", "none")
    return Destination(
        login=agent,
        alias=config.name,
        host=config.host,
        port=agent.port or _number(config.first("port", "22"), "Port", 65535),
        user=agent.user or config.first("user") or getpass.getuser(),
        key_files=tuple(key for key in keys if key != "none"),
        certificate_files=tuple(_file(name) for name in config.all("certificatefile") if name != "none"),
        default_keys=not (agent.private_key or agent.private_key_file or keys),
        agent_socket=_agent_socket(config.first("identityagent", "SSH_AUTH_SOCK")),
        identities_only=config.flag("identitiesonly", default=False),
        methods=frozenset(method for keyword, method in METHODS.items() if config.flag(keyword, default=True)),
        known_hosts=tuple(Path(_file(file)) for file in files or KNOWN_HOSTS),
        global_known_hosts=tuple(Path(file) for file in config.all("globalknownhostsfile") or GLOBAL_KNOWN_HOSTS),
        revoked=_revoked(config.first("revokedhostkeys", "none")),
        known_as=config.first("hostkeyalias"),
        accept_new=agent.accept_new_host_key or bool(_choice(STRICT, strict, "StrictHostKeyChecking")),
        hash_known_hosts=config.flag("hashknownhosts", default=False),
        jump=() if jump.lower() == "none" else tuple(hop.strip() for hop in jump.split(",") if hop.strip()),
        proxy_command=_proxy_command(config) if not agent.proxy_jump else "",
        family=_choice(FAMILIES, config.first("addressfamily", "any").lower(), "AddressFamily"),
        timeout=None if timeout == "none" else float(_number(timeout, "ConnectTimeout", 86400)),
    )


def _without_brackets(agent: Agent) -> Agent:
    """``[::1]:22``, an address as in known_hosts and URLs → host and port."""
    found = _BRACKETS.fullmatch(agent.host or "")
    if found is None:
        return agent
    return replace(agent, host=found[1], port=agent.port or (int(found[2]) if found[2] else None))


def _section(agent: Agent, alias: str) -> HostConfig:
    """What the file says about an alias; but if its host is not the agent's, what it says about the agent's host."""
    found = _lookup(agent, alias)
    if agent.host in (None, alias, found.host):
        return found
    # How to reach whatever has that name, but not where it is: `ssh -o HostName=HOST ALIAS`.
    if found.named and found.host == alias:
        return _lookup(agent, alias, agent.host)
    return _lookup(agent, str(agent.host))


def _lookup(agent: Agent, name: str, host: str | None = None) -> HostConfig:
    try:
        return ssh_config.lookup(name, host=host, user=agent.user, port=agent.port)
    except (OSError, ValueError) as problem:
        raise _unreadable(agent.name, problem) from None


def _unreadable(agent: str, problem: Exception) -> AgentError:
    said = getattr(problem, "strerror", None)
    why = f"{getattr(problem, 'filename', '')}: {said}" if said else " ".join(str(problem).split())
    return AgentError(agent, "reading ~/.ssh/config", why, f"Try: ssh -G {shlex.quote(agent)}")


# ---- values -----------------------------------------------------------------------------------------


def _file(text: str) -> str:
    return str(Path(at_home(text)))


def _number(text: str, keyword: str, highest: int) -> int:
    if not text.isdecimal() or not 0 < int(text) <= highest:
        raise ValueError(f"{text!r} is not a valid {keyword}")
    return int(text)


def _choice(table: dict[str, bool] | dict[str, socket.AddressFamily], text: str, keyword: str) -> bool | int:
    if text not in table:
        raise ValueError(f"{text!r} is not a valid {keyword}; use one of {', '.join(table)}")
    return table[text]


def _agent_socket(text: str) -> str:
    if text == "none":
        return ""
    if text == "SSH_AUTH_SOCK" or text.startswith("$"):
        return os.environ.get(text.removeprefix("$"), "")
    return text


def _revoked(text: str) -> Path | None:
    return None if text.lower() == "none" else Path(_file(text))


def _proxy_command(config: HostConfig) -> str:
    found = config.first("proxycommand", "none")
    return "" if found.lower() == "none" else found
