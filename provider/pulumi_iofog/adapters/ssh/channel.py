"""An open SSH connection: scripts run over it, bytes are streamed into them.

Sources: RFC 4254; ssh_config(5), ServerAliveInterval.
"""

from __future__ import annotations

import selectors
import shlex
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import paramiko

from pulumi_iofog.adapters.ssh import login_shell
from pulumi_iofog.adapters.ssh.destination import Destination
from pulumi_iofog.adapters.ssh.errors import translated
from pulumi_iofog.adapters.ssh.login_shell import BEGIN, nothing_run

PACKET = 32768 - 64
"""Bytes that are offered to a channel at once: what every peer must accept (RFC 4254, 5.2), less what paramiko
reserves for the header. More would go as two packets, the second of 64 bytes, at twice the work."""
TCP_INFO_SIZE = 176
"""Bytes of Linux' struct tcp_info up to and with tcpi_busy_time."""
_END = "pulumi-iofog: end"


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
        """The last line of its standard error."""
        lines = [line for line in self.stderr.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"exit code {self.exit_code}"


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
    """An open SSH connection; several threads may run commands on it."""

    def __init__(
        self, destination: Destination, client: paramiko.SSHClient, keepalive: Keepalive, timeouts: Timeouts
    ) -> None:
        self.destination, self._keepalive, self._timeouts = destination, keepalive, timeouts
        self._transport = transport_of(client)

    @property
    def active(self) -> bool:
        """Whether it is open, as far as is known."""
        return bool(self._transport.is_active())

    def abort(self) -> None:
        """Close it now, from any thread; whatever runs on it fails as Unreachable."""
        discard_unsent(self._transport)
        # Behind a jump host, closing says so through the jump host's connection, which may be lost as well.
        with suppress(paramiko.SSHException, EOFError, OSError):
            self._transport.close()

    def run(self, script: str, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        """Run a POSIX shell script and wait for its end.

        Args:
            script: for ``sh -c``; whatever the user's login shell is.
            stdin: given to it; small (a password).
            timeout: seconds without any output.

        Raises:
            Unreachable: the connection was lost, or nothing came for that long.
        """
        if not stdin:
            script = f"exec </dev/null; {script}"
        return self._exchange("running a command", script, [stdin] if stdin else None, uncounted, timeout)

    def send(
        self,
        script: str,
        chunks: Iterable[bytes],
        on_bytes: Callable[[int], None] = uncounted,
        *,
        timeout: float = 600.0,
    ) -> Result:
        """Stream chunks into a script's standard input, then wait for its end.

        A script that ends early is not an exception: its Result says why.

        Args:
            on_bytes: told how many bytes have gone, as they go.
            timeout: seconds that the script may be silent for after the last byte.

        Raises:
            Unreachable: the connection was lost, or the script took no byte for a while.
        """
        return self._exchange("sending", script, chunks, on_bytes, timeout)

    def tcp_info(self) -> TcpInfo | None:
        """What the kernel knows about the connection; None if it goes through another program, or the system is
        not Linux."""
        if sys.platform != "linux":  # elsewhere the struct differs, if there is one
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
    ) -> Result:
        if chunks is not None:
            script = _waiting(script)
        stdout = bytearray()
        with translated(self.destination, doing, lambda: self._keepalive.lost):
            channel = self._transport.open_session(timeout=self._timeouts.stalled)
            try:
                channel.settimeout(self._timeouts.stalled)
                channel.exec_command(login_shell.command(script))
                if chunks is not None:
                    _give(channel, chunks, on_bytes, stdout)
                return _finish(channel, timeout, stdout, self._timeouts.begins)
            except NothingRun as problem:
                raise nothing_run(self.destination, doing, problem.said, problem.waited) from None
            finally:
                channel.close()


def _waiting(script: str) -> str:
    """The script, followed by a mark on its output, and by ``cat``, which reads the rest of its input.

    A script may end before its input does, for example if the engine refuses an archive. If its channel closed
    then, packets already on their way would reach a channel that sshd no longer knows, and sshd answers that by
    closing the whole connection ("data packet referred to nonexistent channel"), with all else that runs on it.
    So the channel stays open: the mark tells us to stop sending, our end of input ends ``cat``, and only then does
    the shell exit, with the script's own code.
    """
    return f"( {script} ); code=$?; echo {shlex.quote(_END)}; cat >/dev/null; exit $code"


def _give(
    channel: paramiko.Channel, chunks: Iterable[bytes], on_bytes: Callable[[int], None], stdout: bytearray
) -> None:
    """Send chunks, and then the end of input, once there are no more or the script has ended; what it prints
    meanwhile is kept."""
    for chunk in chunks:
        for start in range(0, len(chunk), PACKET):
            # Read meanwhile: a script that cannot get rid of its output takes no input either.
            while channel.recv_ready():
                stdout += channel.recv(1 << 16)
            if _END.encode() in stdout:
                channel.shutdown_write()
                return
            packet = chunk[start : start + PACKET]
            while packet:
                count = channel.send(packet)
                if count == 0:
                    raise EOFError
                on_bytes(count)
                packet = packet[count:]
    channel.shutdown_write()


class NothingRun(Exception):
    """The login shell has not begun with the script, and has ``said`` something else."""

    def __init__(self, said: bytes, waited: float | None) -> None:
        super().__init__(said)
        self.said, self.waited = said, waited


def _finish(channel: paramiko.Channel, timeout: float, stdout: bytearray, begins: float) -> Result:
    """Read both outputs as they come: a script that is blocked on one of them would never write the other."""
    stderr, begin, deadline = bytearray(), f"{BEGIN}\n".encode(), time.monotonic() + begins
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        while True:
            # Asked before reading, as the last bytes may arrive just before the end.
            ended = channel.eof_received or channel.closed
            if channel.recv_ready():
                stdout += channel.recv(1 << 16)
            elif channel.recv_stderr_ready():
                stderr += channel.recv_stderr(1 << 16)
            elif ended:
                break
            elif begin in stdout:
                if not selector.select(timeout):
                    raise TimeoutError
            elif not selector.select(max(deadline - time.monotonic(), 0)):
                raise NothingRun(bytes(stdout + stderr), begins)
    code = channel.recv_exit_status()
    if code < 0 and not channel.get_transport().is_active():
        raise EOFError
    _, mark, after = bytes(stdout).partition(begin)
    if not mark:
        raise NothingRun(bytes(stdout + stderr), None)
    return Result(code, after.removesuffix(f"{_END}\n".encode()), bytes(stderr))


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
