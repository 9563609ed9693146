"""A script's session: its input streamed, its outputs read within bounds, and the wait for its end."""

from __future__ import annotations

import selectors
import shlex
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import paramiko

from pulumi_iofog import text
from pulumi_iofog.adapters.ssh import login_shell
from pulumi_iofog.adapters.ssh.errors import Stalled
from pulumi_iofog.adapters.ssh.login_shell import BEGIN
from pulumi_iofog.adapters.ssh.output import Ends, Whole

PACKET = 32768 - 64
"""Bytes that are offered to a channel at once: what every peer must accept (RFC 4254, 5.2), less what paramiko
reserves for the header. More would go as two packets, the second of 64 bytes, at twice the work."""
SLOWEST, SLOW_FOR = 1000.0, 120.0
"""Bytes/s below which sending counts as stalled, and the seconds of trying after which that is said."""
END = "pulumi-iofog: end"


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """What is done each time that a script has been waited for so many seconds; it may raise, which ends the wait."""

    every: float
    act: Callable[[], None]


class NothingRun(Exception):
    """The login shell has not begun with the script, and has ``said`` something else: within so many seconds, or before
    it ended (None)."""

    def __init__(self, said: bytes, waited: float | None) -> None:
        super().__init__(said)
        self.said, self.waited = said, waited


class Exchange:
    """One script on its session.

    Args:
        most: bytes that it may answer.
        stalled: seconds after which a script that takes no byte is given up.
        begins: seconds until the login shell must have begun with it.
    """

    def __init__(self, channel: paramiko.Channel, *, most: int, stalled: float, begins: float) -> None:
        self._channel, self._out, self._complaints, self._begins = channel, Whole(most), Ends(), begins
        channel.settimeout(stalled)

    def begin(self, script: str) -> None:
        """Run it by ``sh``; whatever the login shell's startup files print comes before the mark."""
        self._channel.exec_command(login_shell.command(script))

    def give(self, chunks: Iterable[bytes], on_bytes: Callable[[int], None]) -> None:
        """Send chunks, and then the end of input, once there are no more or the script has ended; what it prints
        meanwhile is kept. Raises EOFError, Stalled, TimeoutError, TooMuch."""
        pace = _Pace()
        for chunk in chunks:
            for start in range(0, len(chunk), PACKET):
                # Read meanwhile: a script that cannot get rid of its output takes no input either.
                while self._read():
                    pass
                if END.encode() in self._out:
                    self._channel.shutdown_write()
                    return
                packet = chunk[start : start + PACKET]
                while packet:
                    count = pace.timed(self._channel.send, packet)
                    if count == 0:
                        raise EOFError
                    on_bytes(count)
                    packet = packet[count:]
        self._channel.shutdown_write()

    def finish(self, timeout: float, meanwhile: Meanwhile | None) -> int:
        """Wait for its end, and read both outputs as they come: a script that is blocked on one of them would never
        write the other. Its exit code. Raises EOFError, NothingRun, TimeoutError, TooMuch, and what ``meanwhile``
        raises."""
        began = time.monotonic()
        looked, begun = began, False
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            while True:
                # Asked before reading, as the last bytes may arrive just before the end.
                ended = self._channel.eof_received or self._channel.closed
                now = time.monotonic()
                if now - began > timeout:
                    raise TimeoutError
                if meanwhile and now - looked >= meanwhile.every:
                    meanwhile.act()
                    looked = time.monotonic()
                elif not self._read():
                    if ended:
                        break
                    begun = begun or BEGIN.encode() in self._out
                    left = began + (timeout if begun else min(timeout, self._begins)) - now
                    if left <= 0:
                        raise NothingRun(self._said, self._begins)
                    selector.select(max(0.0, min(left, looked + meanwhile.every - now) if meanwhile else left))
        code = self._channel.recv_exit_status()
        if code < 0 and not self._channel.get_transport().is_active():
            raise EOFError
        if BEGIN.encode() not in self._out:
            raise NothingRun(self._said, None)
        return code

    @property
    def _said(self) -> bytes:
        return bytes(self._out) + self.stderr

    @property
    def stdout(self) -> bytes:
        return bytes(self._out).partition(f"{BEGIN}\n".encode())[2].removesuffix(f"{END}\n".encode())

    @property
    def stderr(self) -> bytes:
        return bytes(self._complaints)

    def _read(self) -> bool:
        """Whether there was something to read."""
        if self._channel.recv_ready():
            self._out.add(self._channel.recv(1 << 16))
        elif self._channel.recv_stderr_ready():
            self._complaints.add(self._channel.recv_stderr(1 << 16))
        else:
            return False
        return True


class _Pace:
    """How fast bytes are taken, over the time for which they are offered: neither what they are made in counts, nor
    what a rate limit has us wait."""

    def __init__(self) -> None:
        self._seconds, self._bytes = 0.0, 0

    def timed(self, send: Callable[[bytes], int], packet: bytes) -> int:
        """Bytes of the packet that are taken. Raises Stalled."""
        began = time.monotonic()
        count = send(packet)
        self._seconds += time.monotonic() - began
        self._bytes += count
        if self._seconds >= SLOW_FOR:
            if self._bytes < SLOWEST * self._seconds:
                raise Stalled(f"less than {text.size(SLOWEST)}/s for {text.duration(SLOW_FOR)}")
            self._seconds, self._bytes = 0.0, 0
        return count


def waiting(script: str) -> str:
    """The script, followed by a mark on its output, and by ``cat``, which reads the rest of its input.

    A script may end before its input does, for example if the engine refuses an archive. If its channel closed
    then, packets already on their way would reach a channel that sshd no longer knows, and sshd answers that by
    closing the whole connection ("data packet referred to nonexistent channel"), with all else that runs on it.
    So the channel stays open: the mark tells us to stop sending, our end of input ends ``cat``, and only then does
    the shell exit, with the script's own code.
    """
    return f"( {script} ); code=$?; echo {shlex.quote(END)}; cat >/dev/null; exit $code"
