"""What an SSH connection runs over: TCP, a ProxyCommand, or a channel through a jump host.

Source: ssh_config(5), ProxyCommand, AddressFamily; RFC 4254, 7.2 (direct-tcpip).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress

import paramiko

from pulumi_iofog.adapters.ssh.channel import transport_of
from pulumi_iofog.adapters.ssh.destination import Destination
from pulumi_iofog.adapters.ssh.host_config import shell

GRACE = 1.0
"""Seconds that a ProxyCommand has to end by itself, and again after SIGTERM."""
UNSENT = 1 << 17
"""Bytes that may wait in the kernel for the network."""
Line = socket.socket | paramiko.Channel


def dial(destination: Destination, through: paramiko.SSHClient | None, timeout: float) -> Line:
    """Reach a host's sshd.

    Args:
        through: a connection to the previous jump host.
        timeout: seconds for each address.

    Raises OSError or paramiko.SSHException, untranslated.
    """
    if through is not None:
        return transport_of(through).open_channel(
            "direct-tcpip", (destination.host, destination.port), ("127.0.0.1", 0), timeout=timeout
        )
    if destination.proxy_command:
        return ProxyCommand(destination.proxy_command)
    return _tcp(destination, timeout)


def _tcp(destination: Destination, timeout: float) -> socket.socket:
    """Try every address; paramiko would stop at the first one that is unreachable or silent."""
    problems: dict[str, OSError] = {}
    found = socket.getaddrinfo(destination.host, destination.port, destination.family, socket.SOCK_STREAM)
    for family, kind, protocol, _, address in found:
        line = socket.socket(family, kind, protocol)
        line.settimeout(timeout)
        try:
            line.connect(address)
            _keep_nothing_back(line)
            return line
        except OSError as problem:
            line.close()
            problems.setdefault(problem.strerror or "no answer in time", problem)
    if len(problems) == 1:
        raise next(iter(problems.values()))
    raise OSError(0, "; ".join(problems))


def _keep_nothing_back(line: socket.socket) -> None:
    """Have the kernel send at once what it is given, and accept little more than the network takes (tcp(7)).

    Otherwise it would hold back small packets until an ACK, which the host delays by 40 ms: measured, an empty
    command takes 47 ms, not 3. And commands would wait behind megabytes of a layer, 250 ms at 100 Mbit/s. BBR fills
    no queue on the way: measured, a dropped link at 100 Mbit/s loses 0.1 MB, and with CUBIC up to 0.8.
    """
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in (("TCP_NOTSENT_LOWAT", UNSENT), ("TCP_CONGESTION", b"bbr")):
        # Not every system has them, and BBR may not be allowed.
        with suppress(OSError, AttributeError):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class ProxyCommand(socket.socket):
    """A command, run by the user's shell, whose standard input and output lead to a host.

    ``close`` ends it. Paramiko's own class uses no shell, spins when the command has ended, and hides what it
    wrote to standard error.
    """

    def __init__(self, command: str) -> None:
        ours, theirs = socket.socketpair()
        super().__init__(fileno=ours.detach())
        self._lock, self._problem = threading.Lock(), ""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - close closes it
        with theirs:
            try:
                # The operator's own ProxyCommand, run as ssh runs it.
                self._process = subprocess.Popen(  # noqa: S603
                    [shell(), "-c", f"exec {command}"],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=self._said,
                    start_new_session=True,
                )
            except OSError:
                self._said.close()
                super().close()
                raise

    def close(self) -> None:
        """End the command, and keep what it wrote to standard error."""
        super().close()
        with self._lock:
            if self._said.closed:
                return
            for signal_ in (None, signal.SIGTERM, signal.SIGKILL):
                if signal_ is not None:
                    with suppress(ProcessLookupError):
                        os.killpg(self._process.pid, signal_)
                with suppress(subprocess.TimeoutExpired):
                    code = self._process.wait(GRACE)
                    # The exit code after our own signal means nothing.
                    self._problem = self._describe(code if signal_ is None else 0)
                    break
            self._said.close()

    @property
    def problem(self) -> str:
        """How it failed, and its last line of standard error, if any; known once it is closed."""
        return self._problem

    def _describe(self, code: int) -> str:
        self._said.seek(0)
        lines = [line.strip() for line in self._said.read().decode(errors="replace").splitlines() if line.strip()]
        said = f": {lines[-1]}" if lines else ""
        if code:
            return f"ended with exit code {code}{said}"
        return f"said{said}" if said else ""
