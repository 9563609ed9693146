"""Open connections, kept for the next user of the same agent.

One process serves all resources of a ``pulumi up``, and what takes time on a slow link is connecting, not
asking. So 20 images to 50 agents make 50 connections here, and not 1,000.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pulumi_iofog.errors import INTERRUPTED, AgentError
from pulumi_iofog.inputs.spec import Agent

if TYPE_CHECKING:
    from pulumi_iofog.adapters.ssh.connect import Connection

IDLE = 300.0
"""Seconds for which an idle connection is kept: the next image may first go to many other agents."""
KEPT = 200
"""The most connections that are kept; each is two threads and a file."""
FRESH = 2.0
"""Seconds after which a kept connection is tested before it is used again."""
WAIT = 5.0
"""Seconds to wait for a connection in use, before a second one is opened: questions take milliseconds, but a
transfer may take hours. Two rollouts on one host are kept apart elsewhere, by a turn at the cache."""


def _connect(agent: Agent) -> AbstractContextManager[Connection]:
    # Here, as paramiko takes a quarter of a second to import, and most commands of Pulumi connect to nobody.
    from pulumi_iofog.adapters.ssh.connect import connect

    return connect(agent)


@dataclass(slots=True)
class _Open:
    """A connection, and what closes it."""

    connection: Connection
    stack: ExitStack
    since: float = 0.0

    def usable(self) -> bool:
        if time.monotonic() - self.since < FRESH:
            return self.connection.active
        with suppress(AgentError):
            return self.connection.active and self.connection.run("true").ok
        return False


class Pool:
    """Connections by how to log in: host, user, keys and so on; one for each, unless that is in use for long.

    Args:
        opener: opens a connection, for a ``with``.
        idle: seconds for which an idle one is kept.
    """

    def __init__(
        self, opener: Callable[[Agent], AbstractContextManager[Connection]] = _connect, *, idle: float = IDLE
    ) -> None:
        self._opener, self._idle_for = opener, idle
        self._changed = threading.Condition()
        self._busy: Counter[Agent] = Counter()
        self._used: list[_Open] = []
        self._kept: dict[Agent, _Open] = {}
        """The one that has been idle longest comes first."""
        self._tidying = False
        self.interrupted = False

    @contextmanager
    def connection(self, agent: Agent) -> Iterator[Connection]:
        """A connection for one user at a time. After an error of any kind it is closed, as something may
        still be running on it.

        Raises what ``connect`` raises, and AgentError after ``interrupt``.
        """
        key = replace(agent, engine=None, engine_socket=None, arch=None, sudo=None, spool=None)
        kept = self._reserve(key)
        opened: _Open | None = None
        try:
            opened = self._use(self._still_good(kept) or self._new(key))
            yield opened.connection
        except BaseException as problem:
            self._release(key, opened, keep=False)
            if opened:
                opened.stack.__exit__(type(problem), problem, problem.__traceback__)
            raise
        if not self._release(key, opened, keep=True):
            opened.stack.close()

    def interrupt(self) -> None:
        """Close all connections now, also those in use, and open no more. May be called from any thread."""
        with self._changed:
            self.interrupted = True
            used, kept = list(self._used), list(self._kept.values())
            self._kept.clear()
            self._changed.notify_all()
        for each in used:
            each.connection.abort()
        for each in kept:
            each.stack.close()

    def pause(self, seconds: float) -> None:
        """Sleep; ``interrupt`` ends it."""
        with self._changed:
            self._changed.wait_for(lambda: self.interrupted, seconds)

    # ---- parts ------------------------------------------------------------------------------------------

    def _reserve(self, key: Agent) -> _Open | None:
        """Wait until nobody else has a connection with this login; the one that is kept for it, if any."""
        with self._changed:
            self._changed.wait_for(lambda: self.interrupted or not self._busy[key], WAIT)
            self._busy[key] += 1
            return self._kept.pop(key, None)

    @staticmethod
    def _still_good(kept: _Open | None) -> _Open | None:
        if kept and not kept.usable():
            kept.stack.close()
            return None
        return kept

    def _new(self, agent: Agent) -> _Open:
        self._refuse_if_interrupted(agent)
        stack = ExitStack()
        return _Open(stack.enter_context(self._opener(agent)), stack)

    def _use(self, opened: _Open) -> _Open:
        with self._changed:
            self._used.append(opened)
        if self.interrupted:
            # It was being opened while all others were closed.
            opened.connection.abort()
        return opened

    def _refuse_if_interrupted(self, agent: Agent) -> None:
        if self.interrupted:
            raise AgentError(agent.name, "connecting", INTERRUPTED, "Run pulumi up again: it resumes where it stopped")

    def _release(self, key: Agent, opened: _Open | None, *, keep: bool) -> bool:
        """Let the next user have this login; whether the connection is kept for them."""
        with self._changed:
            self._busy[key] -= 1
            if opened:
                self._used.remove(opened)
            keep = keep and not self.interrupted and key not in self._kept and len(self._kept) < KEPT
            if keep and opened:
                opened.since = time.monotonic()
                self._kept[key] = opened
            if keep and not self._tidying:
                self._tidying = True
                threading.Thread(target=self._tidy, name="ssh pool", daemon=True).start()
            self._changed.notify_all()
            return keep

    def _tidy(self) -> None:
        """Close what has been idle for too long, until nothing is kept."""
        while gone := self._wait_for_idle():
            gone.stack.close()

    def _wait_for_idle(self) -> _Open | None:
        with self._changed:
            while self._kept:
                key, oldest = next(iter(self._kept.items()))
                left = oldest.since + self._idle_for - time.monotonic()
                if left <= 0:
                    return self._kept.pop(key)
                self._changed.wait(left)
            self._tidying = False
            return None
