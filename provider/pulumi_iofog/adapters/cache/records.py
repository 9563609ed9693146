"""Small records of the cache: what was resolved or found out, and when. Each is a file of JSON."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pulumi_iofog.adapters.cache import files

MOST = 1000
"""Records that are kept; beyond that, the oldest are removed."""


class Records:
    """Records by key, under one folder that threads and processes share.

    Args:
        folder: it exists.
        translated: turns an OSError inside into a StoreError; is told what is being done.
    """

    def __init__(self, folder: Path, translated: Callable[[str], AbstractContextManager[None]]) -> None:
        self._folder, self._translated = folder, translated

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep a record, with the time; it replaces the key's earlier one. Raises StoreError."""
        with self._translated("keeping a record"):
            files.write(self._path(key), json.dumps({"at": time.time(), "value": value}).encode())

    def get(self, key: str, max_age: float) -> dict[str, Any] | None:
        """The record, if it is at most ``max_age`` seconds old and readable."""
        try:
            record = json.loads(self._path(key).read_bytes())
            fresh = time.time() - record["at"] <= max_age
            return dict(record["value"]) if fresh else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remove(self, key: str) -> None:
        """Remove the key's record, if there is one. Raises StoreError."""
        with self._translated("removing a record"):
            self._path(key).unlink(missing_ok=True)

    def trim(self) -> None:
        """Remove the oldest beyond ``MOST``, and what interrupted writes have left. Raises OSError."""
        for number, (changed, _, path) in enumerate(reversed(files.by_age(self._folder))):
            if number >= MOST or files.left_lying(path, changed):
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.json"
