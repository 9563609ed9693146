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
"""Seconds that a ProxyCommand has to end by itself, and then after SIGTERM."""
UNSENT = 1 << 17
"""Bytes that may wait in the kernel until the network takes them."""
Line = socket.socket | paramiko.Channel


def dial(destination: Destination, through: paramiko.SSHClient | None, timeout: float) -> Line:
    """Reach a host's sshd.

    Args:
        through: a connection to the jump host before it.
        timeout: seconds for each address.

    Raises OSError or paramiko.SSHException, as they come.
    """
    if through is not None:
        return transport_of(through).open_channel(
            "direct-tcpip", (destination.host, destination.port), ("127.0.0.1", 0), timeout=timeout
        )
    if destination.proxy_command:
        return ProxyCommand(destination.proxy_command)
    return _tcp(destination, timeout)


def _tcp(destination: Destination, timeout: float) -> socket.socket:
    """Try every address; paramiko would stop at the first one whose network is unreachable, or silent."""
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
    """Have the kernel send at once what it is given, and be given little more than the network takes (tcp(7)).

    Else it would keep small packets back for an answer that the host delays by 40 ms: measured, an empty command
    takes 47 ms, not 3. And commands would wait behind megabytes of a layer, 250 ms at 100 Mbit/s. BBR fills no
    queue on the destination: measured, a cut at 100 Mbit/s loses 0.1 MB, and with CUBIC up to 0.8.
    """
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in (("TCP_NOTSENT_LOWAT", UNSENT), ("TCP_CONGESTION", b"bbr")):
        # Neither does every system know, nor may everybody use BBR everywhere.
        with suppress(OSError, AttributeError):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class ProxyCommand(socket.socket):
    """A command of the user's shell that passes bytes on between its standard input and output and a host.

    It ends with ``close``. Paramiko's own class knows no shell, spins when the command has ended, and keeps
    what it said to itself.
    """

    def __init__(self, command: str) -> None:
        ours, theirs = socket.socketpair()
        super().__init__(fileno=ours.detach())
        self._lock, self._problem = threading.Lock(), ""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - close closes it
        with theirs:
            try:
                self._process = subprocess.Popen(
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
        """End the command, and note what it has to say."""
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
                    # A code of ours says nothing.
                    self._problem = self._describe(code if signal_ is None else 0)
                    break
            self._said.close()

    @property
    def problem(self) -> str:
        """What it ended with, if it did not end well or said anything; known once it is closed."""
        return self._problem

    def _describe(self, code: int) -> str:
        self._said.seek(0)
        lines = [line.strip() for line in self._said.read().decode(errors="replace").splitlines() if line.strip()]
        said = f": {lines[-1]}" if lines else ""
        if code:
            return f"ended with exit code {code}{said}"
        return f"said{said}" if said else ""
