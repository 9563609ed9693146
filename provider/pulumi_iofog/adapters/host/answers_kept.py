"""What a host has answered a moment ago, to be used again by the next resource on the same connection.

Which engine there is takes two commands to find out, and each may start three processes. Twenty images would ask
twenty times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

from pulumi_iofog.adapters.host.shell import Result, Shell
from pulumi_iofog.adapters.ssh.exchange import Meanwhile
from pulumi_iofog.adapters.ssh.output import ANSWER

KEPT = 30.0
"""Seconds for which an answer is used again; an engine that is stopped meanwhile says so at the next command."""
_answers: WeakKeyDictionary[Shell, dict[tuple[str, bytes], tuple[float, Result]]] = WeakKeyDictionary()


class Repeating:
    """A shell on a connection; until ``fresh`` is set, what has succeeded there a moment ago is not run again."""

    def __init__(self, connection: Shell) -> None:
        self._connection, self._kept = connection, _answers.setdefault(connection, {})
        self.fresh = False

    def run(
        self,
        script: str,
        *,
        stdin: bytes = b"",
        timeout: float = 60.0,
        most: int = ANSWER,
        meanwhile: Meanwhile | None = None,
    ) -> Result:
        at, answer = self._kept.get((script, stdin), (0.0, None))
        if self.fresh or answer is None or time.monotonic() - at > KEPT:
            answer = self._connection.run(script, stdin=stdin, timeout=timeout, most=most, meanwhile=meanwhile)
            if answer.ok and not self.fresh:
                self._kept[script, stdin] = time.monotonic(), answer
        return answer

    def send(
        self,
        script: str,
        chunks: Iterable[bytes],
        on_bytes: Callable[[int], None] = lambda count: None,
        *,
        timeout: float = 600.0,
        meanwhile: Meanwhile | None = None,
    ) -> Result:
        return self._connection.send(script, chunks, on_bytes, timeout=timeout, meanwhile=meanwhile)
