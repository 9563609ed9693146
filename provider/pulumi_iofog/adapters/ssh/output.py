"""What a script writes, kept within bounds, whatever a host sends."""

from __future__ import annotations

from pulumi_iofog import text

END = 64 << 10
"""Bytes that are kept of either end, of what nobody needs whole."""
ANSWER = 4 << 20
"""Bytes of an answer, at most: some 2,500 images with their layers."""
DRAINED = 256 << 20
"""Bytes that are read and not kept, at most: of complaints, what a verbose tool may write of a large image."""


class TooMuch(Exception):
    """A script has written more than it may."""


class Whole:
    """An output that is read whole: of more than ``most`` bytes, nothing is of use."""

    def __init__(self, most: int) -> None:
        self._most, self._data = most, bytearray()

    def __contains__(self, data: bytes) -> bool:
        return data in self._data

    def __bytes__(self) -> bytes:
        return bytes(self._data)

    def add(self, data: bytes) -> None:
        """Keep it. Raises TooMuch."""
        self._data += data
        if len(self._data) > self._most:
            raise TooMuch(f"it has answered more than {text.size(self._most)}, and is listened to no longer")


class Ends:
    """An output whose beginning and end are kept."""

    def __init__(self, each: int = END, most: int = DRAINED) -> None:
        self._each, self._most, self._size = each, most, 0
        self._head, self._tail = bytearray(), bytearray()

    def __bytes__(self) -> bytes:
        left_out = self._size - len(self._head) - len(self._tail)
        gap = f"\n[{text.size(left_out)} left out]\n".encode() if left_out else b""
        return bytes(self._head) + gap + bytes(self._tail)

    def add(self, data: bytes) -> None:
        """Keep what belongs to an end. Raises TooMuch."""
        self._size += len(data)
        if self._size > self._most:
            raise TooMuch(f"it has complained with more than {text.size(self._most)}, and is listened to no longer")
        room = self._each - len(self._head)
        self._head += data[:room]
        self._tail = (self._tail + data[room:])[-self._each :]
