"""Numbers and lists, formatted for people in a terminal, and the texts of others made fit for one. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

LONGEST = 500
"""Characters of somebody else's text in a message."""
LONGEST_LINE = 10_000
"""Characters of a line that is shown; all of our own are shorter."""
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Control characters other than tab and line end, what turns the direction of writing, what has no width, and lone
surrogates, which no UTF-8 can have."""


def visible(text: str) -> str:
    """A text with nothing in it that a terminal, or Pulumi's display, obeys: control characters become ``\\x1b``, and
    Pulumi's markup for colours ``<{%red%}>`` becomes ``<{\\%red%}>``. Lines of absurd length are cut."""
    text = _INVISIBLE.sub(lambda found: _escaped(found[0]), text).replace("<{%", "<{\\%")
    if len(text) <= LONGEST_LINE:
        return text
    return "\n".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…" for line in text.split("\n"))


def _escaped(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def size(count: float) -> str:
    """Bytes in decimal units with three significant figures: ``14.2 MB``, ``238 MB``, ``1.24 GB``, ``512 B``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5 or unit == "GB":
            break
        count /= 1000
    digits = 0 if unit == "B" or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f} {unit}"


def sentence(text: str) -> str:
    """A text to which others can be added: with a full stop, if it has no end."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


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


def excerpt(said: object, most: int = LONGEST) -> str:
    """Somebody else's text as one short line, with control characters shown as escapes (``\\x1b[2J``)."""
    # Of megabytes, no more is looked at than may be shown.
    line = " ".join(str(said)[: 4 * most].split())
    shown = visible(line)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def clock(since: float) -> str:
    """A moment, in seconds since 1970, by the clock on the wall: ``12:03``; with its date where it is not of today."""
    then = time.localtime(since)
    today = time.strftime("%Y-%m-%d", then) == time.strftime("%Y-%m-%d")
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)
