"""Live progress of a rollout, as one line that is shown again and again."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from pulumi_iofog import text

SHOW_EVERY = 0.5
"""Seconds between two lines at least."""
LOOK_BACK = 20
"""Lines over which the rate is taken."""


class Progress:
    """Turns what the agents' threads tell into one short line on the resource's row:
    ``2 of 12 agents done; edge-3 sending 61 % of 41.2 MB; 8.1 MB/s, 12 s left``."""

    def __init__(self, show: Callable[[str], None], agents: int) -> None:
        self._show_line, self._total = show, agents
        self._lock = threading.Lock()
        self._active: dict[str, tuple[str, int, int]] = {}
        self._done = 0
        self._moved = 0
        self._shown = 0.0
        self._earlier = deque([(time.monotonic(), 0)], maxlen=LOOK_BACK)

    def begin(self, agent: str, doing: str, size: int = 0) -> None:
        with self._lock:
            self._active[agent] = (doing, size, 0)
        self._show()

    def moved(self, agent: str, count: int) -> None:
        with self._lock:
            doing, size, before = self._active.get(agent, ("sending", 0, 0))
            self._active[agent] = (doing, size, before + count)
            self._moved += count
        self._show()

    def end(self, agent: str) -> None:
        with self._lock:
            self._active.pop(agent, None)
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
        parts = [f"{self._done} of {text.plural(self._total, 'agent')} done"]
        for agent, (doing, size, moved) in list(self._active.items())[:3]:
            much = f" {100 * moved // size} % of {text.size(size)}" if size else ""
            parts.append(f"{agent} {doing}{much}")
        if len(self._active) > 3:
            parts.append(f"{len(self._active) - 3} more")
        then, moved_then = self._earlier[0]
        self._earlier.append((now, self._moved))
        rate = (self._moved - moved_then) / max(now - then, 0.001)
        if rate:
            left = sum(max(size - moved, 0) for _, size, moved in self._active.values())
            parts.append(f"{text.size(rate)}/s" + (f", {text.duration(left / rate)} left" if left else ""))
        return "; ".join(parts)
