"""An open SSH connection: scripts run over it, bytes are streamed into them.

Sources: RFC 4254; ssh_config(5), ServerAliveInterval.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import paramiko

from pulumi_iofog import log, text
from pulumi_iofog.adapters.ssh.destination import Destination
from pulumi_iofog.adapters.ssh.errors import translated
from pulumi_iofog.adapters.ssh.exchange import Exchange, Meanwhile, NothingRun, waiting
from pulumi_iofog.adapters.ssh.login_shell import nothing_run
from pulumi_iofog.adapters.ssh.output import ANSWER
from pulumi_iofog.adapters.ssh.talk import Talk

TCP_INFO_SIZE = 176
"""Bytes of Linux' struct tcp_info up to and with tcpi_busy_time."""
MOST_CONNECTIONS = 8
"""To one host, where it allows few sessions on each (sshd_config(5), MaxSessions)."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds.

    Attributes:
        connect: for each of TCP connect, banner and authentication.
        backoff: before each attempt to connect.
        keepalive: between keepalives (ssh_config ServerAliveInterval).
        stalled: until a link that answers none, or a script that takes no byte, is given up.
        begins: until a login shell must have begun with what it is given.
    """

    connect: float = 15.0
    backoff: tuple[float, ...] = (0.0, 1.0, 3.0)
    keepalive: float = 10.0
    stalled: float = 30.0
    begins: float = 15.0


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a command on the host."""

    exit_code: int
    stdout: bytes = field(repr=False)
    stderr: bytes

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")

    @property
    def error(self) -> str:
        """The last line of its standard error, cut and made visible."""
        lines = [line for line in self.stderr.decode(errors="replace").splitlines() if line.strip()]
        return text.excerpt(lines[-1]) if lines else f"exit code {self.exit_code}"


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """A TCP connection's account by the kernel's own clock (tcp(7), TCP_INFO; linux/tcp.h, struct tcp_info).

    Attributes:
        limited: more could have been delivered than there was to send (tcpi_delivery_rate_app_limited).
        rate: bytes/s at which the network has taken what was last sent; 0 while not known.
        acked: bytes that have arrived.
        busy: seconds in which something was in flight.
    """

    limited: bool
    rate: float
    acked: int
    busy: float


def uncounted(count: int) -> None:
    """For bytes that nobody counts."""


class Connection:
    """An open SSH connection; several threads may run commands on it.

    Args:
        another: opens one more to the same host; it is asked for where the host allows no further session on this one.
    """

    def __init__(
        self,
        destination: Destination,
        client: paramiko.SSHClient,
        keepalive: Keepalive,
        timeouts: Timeouts,
        another: Callable[[], AbstractContextManager[Connection]] | None = None,
    ) -> None:
        self.destination, self._keepalive, self._timeouts = destination, keepalive, timeouts
        self._transport = transport_of(client)
        self._another, self._others, self._stack = another, list[Connection](), ExitStack()

    def close_others(self) -> None:
        """Close what was opened besides."""
        self._stack.close()

    @property
    def host_key(self) -> bytes:
        """What the host has shown, and was verified."""
        return self._transport.get_remote_server_key().asbytes()

    @property
    def active(self) -> bool:
        """Whether it is open, as far as is known."""
        return bool(self._transport.is_active())

    def abort(self) -> None:
        """Close it now, from any thread; whatever runs on it fails as Unreachable."""
        for each in self._others:
            each.abort()
        discard_unsent(self._transport)
        # Behind a jump host, closing says so through the jump host's connection, which may be lost as well.
        with suppress(paramiko.SSHException, EOFError, OSError):
            self._transport.close()

    def run(
        self,
        script: str,
        *,
        stdin: bytes = b"",
        timeout: float = 60.0,
        most: int = ANSWER,
        meanwhile: Meanwhile | None = None,
    ) -> Result:
        """Run a POSIX shell script and wait for its end.

        Args:
            script: for ``sh -c``; whatever the user's login shell is.
            stdin: given to it; small (a password).
            timeout: seconds that it may take, whatever it prints.
            most: bytes that it may answer.
            meanwhile: what is done while it is waited for.

        Raises:
            Unreachable: the connection was lost, or it took longer.
            AgentError: it has answered more.
        """
        if not stdin:
            script = f"exec </dev/null; {script}"
        given = [stdin] if stdin else None
        return self._exchange("running a command", script, given, uncounted, timeout, most, meanwhile)

    def send(
        self,
        script: str,
        chunks: Iterable[bytes],
        on_bytes: Callable[[int], None] = uncounted,
        *,
        timeout: float = 600.0,
        meanwhile: Meanwhile | None = None,
    ) -> Result:
        """Stream chunks into a script's standard input, then wait for its end.

        A script that ends early is not an exception: its Result says why.

        Args:
            on_bytes: told how many bytes have gone, as they go.
            timeout: seconds that the script may take after the last byte.
            meanwhile: what is done while its end is waited for.

        Raises:
            Unreachable: the connection was lost, or the script took no byte, or hardly any, for a while.
        """
        return self._exchange("sending", script, chunks, on_bytes, timeout, ANSWER, meanwhile)

    @contextmanager
    def talk(self, script: str) -> Iterator[Talk]:
        """A script to talk with while the body runs; it ends with its session. Raises Unreachable, as what it yields
        does."""
        translate = partial(translated, self.destination, "running a command", lambda: self._keepalive.lost)
        with translate():
            channel = self._session()
        try:
            with translate():
                self._on(channel, ANSWER).begin(script)
            yield Talk(channel, translate)
        finally:
            channel.close()

    def tcp_info(self) -> TcpInfo | None:
        """What the kernel knows about the connection; None if it goes through another program, or the system is
        not Linux."""
        # Elsewhere the struct differs, if there is one; of several connections, nobody knows which one is used.
        if sys.platform != "linux" or self._others:
            return None
        line: Any = self._transport.sock
        try:
            facts = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)
            (limited,), (acked,) = struct.unpack_from("B", facts, 7), struct.unpack_from("Q", facts, 120)
            rate, busy = struct.unpack_from("QQ", facts, 160)
        except (OSError, AttributeError, struct.error):
            return None
        return TcpInfo(bool(limited & 1), rate, acked, busy / 1e6)

    def _exchange(
        self,
        doing: str,
        script: str,
        chunks: Iterable[bytes] | None,
        on_bytes: Callable[[int], None],
        timeout: float,
        most: int,
        meanwhile: Meanwhile | None,
    ) -> Result:
        if chunks is not None:
            script = waiting(script)
        with translated(self.destination, doing, lambda: self._keepalive.lost):
            channel = self._session()
            try:
                exchange = self._on(channel, most)
                exchange.begin(script)
                if chunks is not None:
                    exchange.give(chunks, on_bytes)
                return Result(exchange.finish(timeout, meanwhile), exchange.stdout, exchange.stderr)
            except NothingRun as problem:
                raise nothing_run(self.destination, doing, problem.said, problem.waited) from None
            finally:
                channel.close()

    def _on(self, channel: paramiko.Channel, most: int) -> Exchange:
        return Exchange(channel, most=most, stalled=self._timeouts.stalled, begins=self._timeouts.begins)

    def _session(self) -> paramiko.Channel:
        """A new session: on another connection, where the host allows no further one on this."""
        for each in (self, *self._others):
            try:
                return each._transport.open_session(timeout=self._timeouts.stalled)
            except paramiko.SSHException as problem:
                # Where several threads are refused at once, paramiko tells only one of them why.
                if not isinstance(problem, paramiko.ChannelException) and "Unable to open" not in str(problem):
                    raise
                refused = problem
        if self._another is None or len(self._others) >= MOST_CONNECTIONS:
            raise refused
        log.step("connect", f"once more, as there may be no further session on this connection: {refused}")
        self._others.append(self._stack.enter_context(self._another()))
        return self._session()


class Keepalive(threading.Thread):
    """Sends keepalives, and closes the connection if one is not answered.

    TCP alone would wait a quarter of an hour for a host that is gone, and paramiko with it. OpenSSH's client
    does the same; a server answers a request that it does not know with a refusal (RFC 4254, 4).
    """

    def __init__(self, client: paramiko.SSHClient, timeouts: Timeouts) -> None:
        super().__init__(name="ssh keepalive", daemon=True)
        self._transport, self._timeouts = transport_of(client), timeouts
        self._stopped = threading.Event()
        self.lost = False

    def __enter__(self) -> Keepalive:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopped.set()

    def run(self) -> None:
        with suppress(paramiko.SSHException, EOFError, OSError):
            while not self._stopped.wait(self._timeouts.keepalive) and self._transport.is_active():
                late = threading.Timer(self._timeouts.stalled, self._give_up)
                late.daemon = True
                late.start()
                try:
                    self._transport.global_request("keepalive@openssh.com", wait=True)
                finally:
                    late.cancel()

    def _give_up(self) -> None:
        self.lost = True
        discard_unsent(self._transport)
        # Behind a jump host, closing says so through the jump host's connection, which may be lost as well.
        with suppress(paramiko.SSHException, EOFError, OSError):
            self._transport.close()


def discard_unsent(transport: paramiko.Transport) -> None:
    """Make closing drop what has not been sent yet (socket(7), SO_LINGER). Otherwise, once the link is back, the
    kernel would send it, some megabytes, into a script whose work another connection has taken over."""
    if isinstance(transport.sock, socket.socket):
        with suppress(OSError):
            transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def transport_of(client: paramiko.SSHClient) -> paramiko.Transport:
    transport = client.get_transport()
    assert transport is not None
    return transport
