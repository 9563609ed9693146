"""How large a compressed blob says that it is unpacked: looked up in its file, and not proven.

Sources: RFC 1952, 2.3.1 (ISIZE); RFC 8878, 3.1.1.1 (frame header).
"""

from __future__ import annotations

import os
from pathlib import Path

from pulumi_iofog.oci.image import Compression

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_FLAG_BYTES = (0, 2, 4, 8)
"""Of the frame's content size, by its flag."""


def announced_size(path: Path, compression: Compression) -> int | None:
    """Bytes; None if the file does not tell."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if compression == "gzip":
                file.seek(max(size - 4, 0))
                return _of_gzip(file.read(4), size)
            return _of_zstd(file.read(18)) if compression == "zstd" else None
    except OSError:
        return None


def _of_gzip(tail: bytes, size: int) -> int | None:
    """Its last member's size, modulo 4 GiB. Of a file that has several, or is larger, that is mostly less than what is
    compressed, and so of no use; what does not compress is a little less too (RFC 1951, 3.2.4: 5 bytes a block)."""
    announced = int.from_bytes(tail, "little")
    return announced if announced >= size - size // 1000 - 64 else None


def _of_zstd(head: bytes) -> int | None:
    if len(head) < 6 or not head.startswith(ZSTD_MAGIC):
        return None
    descriptor = head[4]
    flag, single = descriptor >> 6, bool(descriptor & 0x20)
    count = _FLAG_BYTES[flag] or (1 if single else 0)
    begin = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3]
    if not count or len(head) < begin + count:
        return None
    return int.from_bytes(head[begin : begin + count], "little") + (256 if count == 2 else 0)
