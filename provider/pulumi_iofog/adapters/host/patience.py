"""An engine's shell that tells when the engine does not answer, and gives up when that has lasted.

What an engine is asked to do may take it long: a load of a large image on a Raspberry Pi, half an hour. So while it is
waited for, the engine is asked on a session of its own whether it still answers anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from pulumi_iofog import log, text
from pulumi_iofog.adapters.host.shell import Result, Shell
from pulumi_iofog.adapters.ssh.errors import NO_ANSWER
from pulumi_iofog.adapters.ssh.exchange import Meanwhile
from pulumi_iofog.adapters.ssh.output import ANSWER
from pulumi_iofog.errors import EngineError, Unreachable

SILENT, LOOK = 30.0, 15.0
"""Seconds after which it is said that an engine has not answered, and between two questions whether it does."""
ANSWER_WITHIN = 120.0
"""Seconds that a busy host may take for an answer, at most; a few are enough at first."""


class Patient:
    """See host/shell.py, whose Protocol this fulfils.

    Args:
        most: seconds after which a silent engine is given up.
        say: told that the engine is silent; nothing, once it is not any more.

    Attributes:
        called: what is silent (``dockerd``).
        ping: whether the engine answers anything within so many seconds, asked over that shell; raises Unreachable if
            not. None while nobody knows how to ask it.
    """

    def __init__(self, shell: Shell, agent: str, most: float, say: Callable[[str], None]) -> None:
        self._shell, self._agent, self.most, self.say = shell, agent, most, say
        self.called = "the engine"
        self.ping: Callable[[Shell, float], bool] | None = None

    def run(
        self,
        script: str,
        *,
        stdin: bytes = b"",
        timeout: float = 60.0,
        most: int = ANSWER,
        meanwhile: Meanwhile | None = None,
    ) -> Result:
        """Run a script, and watch whether the engine is silent."""
        watch = _Watch(self, timeout)
        return self._shell.run(script, stdin=stdin, timeout=watch.most, most=most, meanwhile=watch.meanwhile)

    def send(
        self,
        script: str,
        chunks: Iterable[bytes],
        on_bytes: Callable[[int], None] = lambda count: None,
        *,
        timeout: float = 600.0,
        meanwhile: Meanwhile | None = None,
    ) -> Result:
        """Stream into a script; its end is waited for as ``run`` does."""
        watch = _Watch(self, timeout)
        return self._shell.send(script, chunks, on_bytes, timeout=watch.most, meanwhile=watch.meanwhile)

    def answers(self, within: float) -> bool:
        """Whether the engine answers on another session. One that cannot be asked there is taken to be well: what it
        was told to do has its own time."""
        if self.ping is None:
            return False
        try:
            return self.ping(self._shell, within)
        except Unreachable as problem:
            return problem.why != NO_ANSWER

    def is_silent(self, seconds: float) -> None:
        """Say so. Raises EngineError once that has lasted for too long."""
        why = f"{self.called} on {self._agent} has not answered for {text.duration(seconds)}"
        log.step("silent", why)
        if seconds < self.most:
            self.say(why)
            return
        hint = "Look at it there, and restart it; or give it more time with iofog:engineTimeout"
        raise EngineError(self._agent, "waiting for the engine", why, hint)

    def takes_too_long(self, seconds: float) -> None:
        """Raise EngineError: it answers other questions, and not this one."""
        why = f"{self.called} has not done it in {text.duration(seconds)}, though it answers"
        raise EngineError(self._agent, "waiting for the engine", why)


class _Watch:
    """One script that is waited for: when the engine was last heard, and how long the script may take if it is."""

    def __init__(self, patient: Patient, timeout: float) -> None:
        self._patient, self._timeout = patient, timeout
        self._began = self._heard = time.monotonic()
        self._silent = False
        self.meanwhile = Meanwhile(min(LOOK, patient.most / 2), self._look)
        self.most = max(timeout, patient.most) + ANSWER_WITHIN + LOOK
        """Seconds after which nobody waits any more; ``_look`` ends it before."""

    def _look(self) -> None:
        silent_for = time.monotonic() - self._heard
        within = min(max(silent_for, LOOK), ANSWER_WITHIN, max(self._patient.most - silent_for, 1.0))
        answers, now = self._patient.answers(within), time.monotonic()
        if answers:
            self._heard = now
            if self._silent:
                self._patient.say("")
        # A question is given up a little earlier or later than planned.
        self._silent = not answers and now - self._heard >= min(SILENT, self._patient.most) - 0.5
        if self._silent:
            self._patient.is_silent(now - self._heard)
        elif answers and now - self._began >= self._timeout:
            self._patient.takes_too_long(now - self._began)
