"""Numbers and lists, formatted for people in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def size(count: float) -> str:
    """Bytes in decimal units with three significant figures: ``14.2 MB``, ``238 MB``, ``1.24 GB``, ``512 B``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5 or unit == "GB":
            break
        count /= 1000
    digits = 0 if unit == "B" or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f} {unit}"


def plural(count: int, noun: str) -> str:
    """``1 agent``, ``3 agents``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listing(names: Sequence[str], most: int = 12) -> str:
    """``edge-1, edge-2``; a long list ends in ``… and 288 more``."""
    if len(names) <= most:
        return ", ".join(names)
    return ", ".join(names[: most - 1]) + f", … and {len(names) - most + 1} more"


def duration(seconds: float) -> str:
    """``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
