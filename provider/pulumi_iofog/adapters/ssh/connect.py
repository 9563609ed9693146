"""SSH to one agent, by paramiko: host keys are always verified, and the user's ~/.ssh is respected.

    connect                 through the jump hosts, if there are any, to the agent
    ├── route               which they are, and how to log in (destination.py, ssh_config.py)
    ├── _open               retries transient failures
    │   ├── dial            TCP, a ProxyCommand, or a channel through the previous jump host (dial.py)
    │   ├── HostKeys        the host key, or its certificate (host_keys.py)
    │   └── Login           keys, certificates, ssh-agent, password (login.py, identities.py)
    └── Connection          runs scripts, and streams into them (channel.py)

keywords.py says what of ~/.ssh/config is honoured, and what is not.

Sources: RFC 4251 to 4254; ssh_config(5).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import paramiko

from pulumi_iofog import log, text
from pulumi_iofog.adapters.ssh.channel import Connection, Keepalive, Result, Timeouts, discard_unsent, transport_of
from pulumi_iofog.adapters.ssh.destination import Destination, command, configured_host, route
from pulumi_iofog.adapters.ssh.dial import Line, ProxyCommand, dial
from pulumi_iofog.adapters.ssh.errors import connecting, translated, unreachable
from pulumi_iofog.adapters.ssh.host_keys import HostKeys
from pulumi_iofog.adapters.ssh.known_hosts import HostKey
from pulumi_iofog.adapters.ssh.login import Login
from pulumi_iofog.adapters.ssh.transport import Transport
from pulumi_iofog.errors import Unreachable
from pulumi_iofog.inputs.spec import Agent

__all__ = ["Connection", "Result", "Timeouts", "configured_host", "connect", "identity"]

FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")

LONGEST_GREETING = 64 << 10
"""Bytes that an SSH server may say before and with its version; a line of that has 255 (RFC 4253, 4.2)."""
LONGEST_PACKET = 256 << 10
"""Bytes of a packet, as OpenSSH has it (packet.c, PACKET_MAX_SIZE)."""

# Without a handler of its own, paramiko's warnings would go to the plugin's stderr.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@contextmanager
def connect(agent: Agent, *, timeouts: Timeouts | None = None, only: bool = False) -> Iterator[Connection]:
    """A connection to an agent, closed at the end; more than one, where the host allows few sessions on each.

    Args:
        agent: host and credentials; what is missing comes from ~/.ssh/config. Jump hosts are logged in to
            with the keys of their own sections, the agent's, those of ~/.ssh or an ssh-agent's; never with
            the agent's password.
        only: open no other besides.

    Raises:
        Unreachable: no connection after the last attempt.
        HostKeyRefused: a host's key is unknown or has changed; never retried.
        LoginRefused: no key and no password was accepted; never retried.
        AgentError: ~/.ssh/config or proxy_jump cannot be read, or the host has no algorithm that we have.
    """
    timeouts = timeouts or Timeouts()
    destinations = route(agent)
    with ExitStack() as stack:
        client: paramiko.SSHClient | None = None
        for number in range(len(destinations)):
            client = _open(destinations[: number + 1], client, timeouts)
            stack.push(partial(_close, client))
            keepalive = stack.enter_context(Keepalive(client, timeouts))
        assert client is not None
        another = None if only else partial(connect, agent, timeouts=timeouts, only=True)
        connection = Connection(destinations[-1], client, keepalive, timeouts, another)
        stack.callback(connection.close_others)
        yield connection


def identity(agent: Agent) -> str:
    """What tells an agent's host from any other, without contacting it; see HostKeys. Raises as ``connect``."""
    return _host_keys(route(agent)[-1], "").identity


def _close(client: paramiko.SSHClient, kind: type[BaseException] | None, *raised: object) -> None:
    if kind is not None:
        discard_unsent(transport_of(client))
    client.close()


def _open(
    destinations: Sequence[Destination], through: paramiko.SSHClient | None, timeouts: Timeouts
) -> paramiko.SSHClient:
    """Connect and log in to the last of these; only transient failures are retried."""
    *before, destination = destinations
    keys = _host_keys(destination, command(before))
    doing = connecting(destination, before[-1] if before else None)
    for number, wait in enumerate(timeouts.backoff, start=1):
        time.sleep(wait)
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(keys)
        line: Line | None = None
        try:
            with log.timed("connect", to=destination, attempt=number) as entry, translated(destination, doing):
                line = dial(destination, through, destination.timeout or timeouts.connect)
                login = _log_in(client, destination, keys, line, destination.timeout or timeouts.connect)
                entry.update(login=login.by, host_key=_host_key(client))
            return client
        except BaseException as problem:
            client.close()
            if line is not None:
                line.close()
            if not isinstance(problem, Unreachable):
                raise
            if number == len(timeouts.backoff):
                raise _explained(destination, doing, line, problem) from None
    raise AssertionError("no attempt is configured")


def _log_in(client: paramiko.SSHClient, destination: Destination, keys: HostKeys, line: Line, timeout: float) -> Login:
    login = Login(destination)
    client.connect(
        destination.host,
        destination.port,
        destination.user,
        timeout=timeout,
        banner_timeout=timeout,
        auth_timeout=timeout,
        channel_timeout=timeout,
        sock=line,
        transport_factory=_transport_factory(keys),
        auth_strategy=login,  # type: ignore[arg-type]  # only authenticate is asked for
    )
    return login


def _host_key(client: paramiko.SSHClient) -> HostKey:
    shown = transport_of(client).get_remote_server_key()
    return HostKey(shown.get_name(), shown.get_base64())


def _explained(destination: Destination, doing: str, line: Line | None, problem: Unreachable) -> Unreachable:
    """The error, with what a ProxyCommand said, which is why there is no connection."""
    if isinstance(line, ProxyCommand) and line.problem:
        # Only the program's name: its arguments may contain a password.
        program = destination.proxy_command.split()[0]
        return unreachable(destination, doing, f"the ProxyCommand {program} {line.problem}")
    return problem


def _host_keys(destination: Destination, scan_from: str) -> HostKeys:
    login = destination.login
    return HostKeys(
        destination.agent,
        destination.host,
        destination.port,
        destination.known_hosts,
        global_files=destination.global_known_hosts,
        alias=destination.known_as,
        revoked=destination.revoked,
        pinned=login.host_key,
        accept_new=destination.accept_new,
        hashed=destination.hash_known_hosts,
        scan_from=scan_from,
        scan=f"ssh {destination.alias} true" if destination.proxy_command else "",
        hop=destination.hop,
    )


def _transport_factory(keys: HostKeys) -> Callable[..., paramiko.Transport]:
    def make(sock: Any, *args: Any, **options: Any) -> paramiko.Transport:
        transport = Transport(sock, *args, **options)
        _bound(transport.packetizer)
        security = transport.get_security_options()
        security.ciphers = _only(FAST_CIPHERS, security.ciphers)
        security.key_types = keys.algorithms(tuple(security.key_types))
        return transport

    return make


def _bound(packetizer: Any) -> None:
    """Have paramiko read no greeting and no packet without end; its own bounds are of time only (3.5, packet.py)."""
    read_some, read_all, greeted = packetizer._read_timeout, packetizer.read_all, 0

    def greeting(timeout: float) -> bytes:
        nonlocal greeted
        data: bytes = read_some(timeout)
        greeted += len(data)
        if greeted > LONGEST_GREETING:
            raise paramiko.SSHException(f"its greeting is longer than {text.size(LONGEST_GREETING)}")
        return data

    def packet(count: int, check_rekey: bool = False) -> bytes:
        if count > LONGEST_PACKET:
            raise paramiko.SSHException(f"it announces a packet of {text.size(count)}")
        data: bytes = read_all(count, check_rekey)
        return data

    packetizer._read_timeout, packetizer.read_all = greeting, packet


def _only(wanted: tuple[str, ...], offered: Iterable[str]) -> tuple[str, ...]:
    """The wanted ones that are offered; if there are none, all that are offered."""
    offered = tuple(offered)
    return tuple(name for name in wanted if name in offered) or offered
