"""Live progress of a rollout, as one line that is shown again and again.

What matters comes first, as Pulumi cuts the line where the terminal ends. While a resource of a short name is created,
Pulumi's own columns leave 2 of a terminal's 80 to it, and 42 of 120. While one is updated, the names of the inputs that
have changed are in between, and it begins some 35 columns later.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pulumi_iofog import text

SHOW_EVERY = 0.5
"""Seconds between two lines at least."""
LOOK_BACK = 20
"""Lines over which the rate is taken."""
NAMED = 3
"""Agents that are named at most, of those that are at work and of those that failed."""


@dataclass(slots=True)
class _Agent:
    """One agent at work; sizes in bytes.

    Attributes:
        share: how much of its way it is, from 0 to 1; it never falls, whatever begins next.
    """

    doing: str = ""
    size: int = 0
    moved: int = 0
    share: float = 0.0

    def __str__(self) -> str:
        return _percent(self.moved / self.size) if self.size else self.doing


class Progress:
    """Turns what the agents' threads tell into one short line on the resource's row:
    ``61% 25.1 of 82.4 MB: edge-3 80%, edge-4 loading; 37 of 40 done, 1 failed (edge-9); 8.1 MB/s, 12 s left``."""

    def __init__(self, show: Callable[[str], None], agents: int) -> None:
        self._show_line, self._total = show, agents
        self._lock = threading.Lock()
        self._active: dict[str, _Agent] = {}
        self._done = 0
        self._failed: list[str] = []
        self._waits: dict[str, str] = {}
        self._moved = 0
        self._shown = 0.0
        self._earlier = deque([(time.monotonic(), 0)], maxlen=LOOK_BACK)

    def begin(self, agent: str, doing: str, size: int = 0) -> None:
        """An agent begins with something; with how many bytes to move, where it moves some."""
        with self._lock:
            before = self._active.get(agent, _Agent())
            self._active[agent] = _Agent(doing, size, share=before.share)
        self._show()

    def waits(self, agent: str, why: str) -> None:
        """What an agent waits for, where that is not the link: it comes first in the line. Empty once it is over."""
        with self._lock:
            if self._waits.get(agent, "") == why:
                return
            self._waits[agent] = why
            # Nothing else may happen for long.
            self._shown = 0.0
        self._show()

    def moved(self, agent: str, count: int) -> None:
        """So many bytes more have gone to an agent."""
        with self._lock:
            at_work = self._active.setdefault(agent, _Agent("sending"))
            at_work.moved += count
            if at_work.size:
                at_work.share = max(at_work.share, at_work.moved / at_work.size)
            self._moved += count
        self._show()

    def end(self, agent: str, *, failed: bool = False) -> None:
        """An agent is done, or has failed."""
        with self._lock:
            self._active.pop(agent, None)
            self._waits.pop(agent, None)
            if failed:
                self._failed.append(agent)
            else:
                self._done += 1
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._shown < SHOW_EVERY:
                return
            self._shown = now
            line = self._line(now)
        self._show_line(line)

    def _line(self, now: float) -> str:
        sending = [each for each in self._active.values() if each.size]
        size, moved = sum(each.size for each in sending), sum(each.moved for each in sending)
        ended = self._done + len(self._failed)
        # Where all has been sent, there is still something to do.
        head = _percent(min((ended + sum(each.share for each in self._active.values())) / self._total, 0.99))
        if size:
            head += f" {_part(moved, size)}"
        if self._active:
            head += f": {_named([f'{name} {each}' for name, each in self._active.items()])}"
        count = f"{self._done} of {text.plural(self._total, 'agent')} done"
        if self._failed:
            count += f", {len(self._failed)} failed ({_named(self._failed)})"
        waits = [f"{_named(reasons)};"] if (reasons := list(filter(None, self._waits.values()))) else []
        return " ".join([*waits, "; ".join([head, count, *self._rate(now, size - moved)])])

    def _rate(self, now: float, left: int) -> list[str]:
        then, moved_then = self._earlier[0]
        self._earlier.append((now, self._moved))
        rate = (self._moved - moved_then) / max(now - then, 0.001)
        if not rate:
            return []
        return [f"{text.size(rate)}/s" + (f", {text.duration(left / rate)} left" if left > 0 else "")]


def _percent(share: float) -> str:
    return f"{int(100 * min(share, 1))}%"


def _part(moved: int, size: int) -> str:
    """``25.1 of 82.4 MB``, ``512 kB of 1.24 GB``."""
    whole, (figures, unit) = text.size(size), text.size(moved).split()
    return f"{figures} of {whole}" if whole.endswith(f" {unit}") else f"{figures} {unit} of {whole}"


def _named(items: list[str]) -> str:
    more = [f"{len(items) - NAMED} more"] if len(items) > NAMED else []
    return ", ".join(items[:NAMED] + more)
