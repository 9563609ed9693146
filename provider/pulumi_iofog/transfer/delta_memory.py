"""What a delta between two layers takes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

MOST_OF_DELTA = 1 << 31
"""Bytes of both plain tars together: how far back a match of zstd can reach."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak bytes that a delta takes: ``making`` on the operator's machine, ``applying`` on the host."""

    making: int
    applying: int


def delta_memory(old_size: int, new_size: int) -> Memory | None:
    """What a delta between two plain tars needs; None if they are too large for one.

    Measured from 61 + 61 to 501 + 501 MB, levels 3 to 12: making takes both, a sixteenth of the window for
    the table of long matches, and 6 to 48 MB; while the old tar is copied, it counts twice. Applying takes
    both, or the old tar twice where the zstd command copies it at first (1.4.5 and 1.5.4 do); and 4 MB.
    """
    both = old_size + new_size
    if old_size < 8 or both > MOST_OF_DELTA:
        return None
    table = 1 << max(both - 1, 1).bit_length() >> 4
    making = max(both + table + 64_000_000, 2 * old_size + 32_000_000)
    return Memory(making, max(both, 2 * old_size) + 8_000_000)
