"""What a delta between two layers takes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

MOST_OF_DELTA = 1 << 31
"""Bytes of both plain tars together: how far back a match of zstd can reach."""
TOKENS_FACTOR = 2
"""Size of a blob's tokens by its own, about."""


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
    return _memory(old_size, new_size, table_shift=4)


def token_delta_memory(old_size: int, new_size: int) -> Memory | None:
    """The same between the deflate tokens of two gzip blobs of these sizes. Of programs and libraries, tokens take 1.4
    times a blob; their long matches, of which there are more, are found in a table of half the window.

    Measured with two blobs of 49 MB: making takes 340 MB, applying 140.
    """
    return _memory(TOKENS_FACTOR * old_size, TOKENS_FACTOR * new_size, table_shift=1)


def _memory(old_size: int, new_size: int, table_shift: int) -> Memory | None:
    both = old_size + new_size
    if old_size < 8 or both > MOST_OF_DELTA:
        return None
    table = 1 << max(both - 1, 1).bit_length() >> table_shift
    making = max(both + table + 64_000_000, 2 * old_size + 32_000_000)
    return Memory(making, max(both, 2 * old_size) + 8_000_000)
