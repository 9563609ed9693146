"""A tar's headers, read without trusting any: tarfile believes sizes, and calls itself for each header of a header."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_ENTRIES = 50_000
"""Entries; an image of 127 layers has fewer than 600 in the formats of ``docker save``."""
LONGEST_NAME = 1 << 20
"""Bytes of a header that only has another entry's name or attributes, which tarfile reads into memory."""
OF_ANOTHER = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


class _Entry(tarfile.TarInfo):
    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        """Called for each header, before anything is made of it (tarfile.py: "subclasses can easily be added")."""
        if self.size < 0:  # it would be read again and again (CVE-2025-8194)
            raise tarfile.ReadError("an entry of negative size")
        if self.type in OF_ANOTHER and self.size > LONGEST_NAME:
            raise tarfile.ReadError("a name of more than 1 MiB")
        return super()._proc_member(archive)  # type: ignore[misc]


def entries(path: Path) -> Iterator[tarfile.TarInfo]:
    """The entries of a plain tar. Raises tarfile.TarError and OSError."""
    try:
        with tarfile.open(path, "r:", tarinfo=_Entry) as archive:
            for number, entry in enumerate(archive):
                if number >= MOST_ENTRIES:
                    raise tarfile.ReadError(f"more than {MOST_ENTRIES} entries")
                if entry.size < 0 or entry.offset_data < 0:
                    raise tarfile.ReadError("an entry of negative size")
                yield entry
    except (ValueError, OverflowError, RecursionError, TypeError, LookupError) as problem:
        raise tarfile.ReadError(f"a header that cannot be read: {type(problem).__name__}") from None
