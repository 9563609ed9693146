"""Limits of the rate of sending, per agent and in total: ``iofog:rateLimit``, ``iofog:rateLimitTotal``."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from pulumi_iofog.errors import Failure, InputError

BURST = 0.1
"""Seconds' worth of bytes that may go at once."""
_RATE = re.compile(r"(\d+(?:\.\d+)?) ?([kKmMgG]?)(?:(bit/s|bit|bps)|B/s|B)")
_FACTORS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}


class Limits:
    """What one plugin process may send, for all of its resources together.

    Args:
        config: asked for ``iofog:rateLimit`` and ``iofog:rateLimitTotal``.

    Raises:
        InputError: one of them is not a valid rate.
    """

    def __init__(self, config: Callable[[str], str | None]) -> None:
        self.per_agent, total = _configured(config, "iofog:rateLimit"), _configured(config, "iofog:rateLimitTotal")
        self._total = _Bucket(total) if total else None
        self._agents: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def pace(self, agent: str) -> Callable[[int], None]:
        """Called with each number of bytes that has gone to the agent, it waits until more may go."""
        buckets = [self._total] if self._total else []
        if self.per_agent:
            with self._lock:
                buckets.append(self._agents.setdefault(agent, _Bucket(self.per_agent)))

        def wait(count: int) -> None:
            for bucket in buckets:
                bucket.take(count)

        return wait


class _Bucket:
    """So many bytes/s, whoever takes them."""

    def __init__(self, rate: float) -> None:
        self._rate, self._lock = rate, threading.Lock()
        self._next = 0.0

    def take(self, count: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._next = max(self._next, now - BURST) + count / self._rate
            late = self._next - now
        if late > 0:
            time.sleep(late)


def parse_rate(text: str) -> float:
    """Bytes/s of ``500kB``, ``2 MB/s``, ``20Mbit``; ValueError for anything else."""
    match = _RATE.fullmatch(text.strip())
    if not match or float(match[1]) == 0:
        raise ValueError(f"{text!r} is not a valid rate; write it like 500kB, 2MB or 20Mbit")
    return float(match[1]) * _FACTORS[match[2].lower()] / (8 if match[3] else 1)


def _configured(config: Callable[[str], str | None], key: str) -> float | None:
    text = config(key)
    if not text:
        return None
    try:
        return parse_rate(text)
    except ValueError as problem:
        raise InputError([Failure(key, str(problem))]) from None
