"""A script that is talked with: it answers by lines, and lives until its session is closed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import paramiko

from pulumi_iofog.adapters.ssh.login_shell import BEGIN
from pulumi_iofog.adapters.ssh.output import END, TooMuch


class Talk:
    """See the module.

    Args:
        translate: a context that raises what goes wrong inside as an AgentError.
    """

    def __init__(self, channel: paramiko.Channel, translate: Callable[[], AbstractContextManager[None]]) -> None:
        self._channel, self._translate = channel, translate
        self._heard, self._begun = b"", False

    def line(self, timeout: float) -> str:
        """Its next line; empty once there is none."""
        with self._translate():
            deadline = time.monotonic() + timeout
            # Before the mark comes what the login shell's startup files print.
            while not self._begun:
                line = self._line(deadline)
                self._begun = line in (f"{BEGIN}\n", "")
            return self._line(deadline).removesuffix("\n")

    def say(self, data: bytes) -> None:
        """Give it a few bytes."""
        with self._translate():
            self._channel.sendall(data)

    def _line(self, deadline: float) -> str:
        while b"\n" not in self._heard:
            if len(self._heard) > END:
                raise TooMuch("its answer has no end")
            self._channel.settimeout(max(deadline - time.monotonic(), 0.001))
            data = self._channel.recv(1 << 12)
            if not data:
                return ""
            self._heard += data
        line, end, self._heard = self._heard.partition(b"\n")
        return (line + end).decode(errors="replace")
