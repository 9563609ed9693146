"""SSH to one agent, by paramiko: host keys always verified, and what a user's ~/.ssh says respected.

    connect                 through the jump hosts, if there are some, to the agent
    ├── route               who they are, and how to log in (config.py)
    ├── _open               TCP, host key (host_keys.py), login; what may pass by itself is tried again
    └── Connection          runs scripts, and streams into them (channel.py)

Sources: RFC 4251 to 4254; ssh_config(5).
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import paramiko

from pulumi_iofog.adapters.ssh import private_keys
from pulumi_iofog.adapters.ssh.channel import Connection, Patience, Pulse, Result, discard_unsent, transport_of
from pulumi_iofog.adapters.ssh.config import Way, command, configured_host, route
from pulumi_iofog.adapters.ssh.errors import refused, translated
from pulumi_iofog.adapters.ssh.host_keys import HostKeys
from pulumi_iofog.errors import LoginRefused, Unreachable
from pulumi_iofog.spec import Agent

__all__ = ["Connection", "Patience", "Result", "configured_host", "connect"]

FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")

# Without a handler of its own, paramiko's warnings would go to the plugin's stderr.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@contextmanager
def connect(agent: Agent, *, patience: Patience | None = None) -> Iterator[Connection]:
    """A connection to an agent, closed at the end.

    Args:
        agent: host and credentials; what it lacks comes from ~/.ssh/config. Jump hosts are logged in to
            with its keys, those of ~/.ssh or an ssh-agent's; never with its password.

    Raises:
        Unreachable: no connection after the last try.
        HostKeyRefused: a host's key is unknown, or another one than known; never tried again.
        LoginRefused: no key and no password was accepted; never tried again.
        AgentError: ~/.ssh/config or proxy_jump cannot be read.
    """
    patience = patience or Patience()
    ways = route(agent)
    with ExitStack() as stack:
        sock = None
        for number, way in enumerate(ways):
            client = _open(way, sock, patience, command(ways[:number]))
            stack.push(partial(_close, client))
            pulse = stack.enter_context(Pulse(client, patience))
            if number < len(ways) - 1:
                sock = _forward(client, ways[number + 1], patience)
        yield Connection(way, client, pulse, patience)


def _close(client: paramiko.SSHClient, kind: type[BaseException] | None, *raised: object) -> None:
    if kind is not None:
        discard_unsent(transport_of(client))
    client.close()


def _open(way: Way, sock: paramiko.Channel | None, patience: Patience, scan_from: str) -> paramiko.SSHClient:
    """Connect and log in; only what may pass by itself is tried again."""
    login = way.login
    keys = HostKeys(
        way.agent,
        way.host,
        way.port,
        way.known_hosts,
        pinned=login.host_key,
        accept_new=login.accept_new_host_key,
        scan_from=scan_from,
    )
    own_key = _own_key(way)
    # A jump host's channel is used up by a failed try.
    tries = patience.tries if sock is None else (0.0,)
    for number, wait in enumerate(tries, start=1):
        time.sleep(wait)
        client = paramiko.SSHClient()
        try:
            with translated(way, "connecting"):
                _log_in(client, way, keys, own_key, sock, patience.connect)
            return client
        except Unreachable:
            client.close()
            if number == len(tries):
                raise
        except BaseException:
            client.close()
            raise
    raise AssertionError("no try is configured")


def _log_in(
    client: paramiko.SSHClient, way: Way, keys: HostKeys, own_key: paramiko.PKey | None, sock: Any, timeout: float
) -> None:
    client.set_missing_host_key_policy(keys)
    files = [key for key in way.key_files if Path(key).is_file()]
    try:
        client.connect(
            way.host,
            way.port,
            way.user,
            password=way.login.password,
            pkey=own_key,
            key_filename=files or None,  # type: ignore[arg-type]  # a list is documented
            passphrase=way.login.passphrase,
            look_for_keys=way.default_keys,
            allow_agent=way.agent_keys,
            timeout=timeout,
            banner_timeout=timeout,
            auth_timeout=timeout,
            channel_timeout=timeout,
            sock=sock,
            transport_factory=_transport_factory(keys),
        )
    except paramiko.SSHException as problem:
        # Once the host is known, what fails is the login, whatever class paramiko gives it.
        if keys.verified:
            raise refused(way, problem, closed=not transport_of(client).is_active()) from None
        raise


def _transport_factory(keys: HostKeys) -> Callable[..., paramiko.Transport]:
    def make(sock: Any, *args: Any, **options: Any) -> paramiko.Transport:
        if isinstance(sock, socket.socket):
            # Else the kernel keeps small packets back for an answer that the host delays by 40 ms: measured,
            # an empty command takes 47 ms without, 3 ms with it.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(sock, *args, **options)
        security = transport.get_security_options()
        security.ciphers = _only(FAST_CIPHERS, security.ciphers)
        security.key_types = _only(keys.algorithms, security.key_types)
        return transport

    return make


def _only(wanted: tuple[str, ...], offered: Iterable[str]) -> tuple[str, ...]:
    """Those wanted that are offered; all that are offered if there are none."""
    offered = tuple(offered)
    return tuple(name for name in wanted if name in offered) or offered


def _forward(through: paramiko.SSHClient, target: Way, patience: Patience) -> paramiko.Channel:
    with translated(target, "connecting through the jump host"):
        transport, there = transport_of(through), (target.host, target.port)
        return transport.open_channel("direct-tcpip", there, ("127.0.0.1", 0), timeout=patience.connect)


def _own_key(way: Way) -> paramiko.PKey | None:
    login, what = way.login, "private_key"
    text = login.private_key
    doing = f"logging in as {way}"
    if login.private_key_file and text is None:
        what = f"the private key {login.private_key_file}"
        try:
            text = Path(login.private_key_file).expanduser().read_text()
        except (OSError, UnicodeDecodeError) as problem:
            why = getattr(problem, "strerror", None) or "it is no text"
            raise LoginRefused(way.agent, doing, f"{what}: {why}", "Check private_key_file=") from None
    if text is None:
        return None
    try:
        return private_keys.parse(text, login.passphrase)
    except private_keys.Encrypted:
        raise LoginRefused(way.agent, doing, f"{what} is encrypted", "Give its passphrase=") from None
    except ValueError as problem:
        raise LoginRefused(way.agent, doing, f"{what}: {problem}") from None
