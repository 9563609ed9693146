"""The file of an iofogctl namespace: read, and its tokens kept up to date."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pulumi_iofog.errors import Failure, InputError
from pulumi_iofog.inputs.iofogctl_namespace import FOLDERS, Namespace, parse_namespace

Tokens = tuple[str, str]
"""Access token and refresh token."""


def read_namespace(name: str, home: Path) -> Namespace:
    """The namespace's file under the home folder, iofogctl's or potctl's; empty if there is none.

    Raises InputError for a file that is not a namespace.
    """
    for folder in FOLDERS:
        path = home / folder / f"{name}.yaml"
        if path.is_file():
            return _read(path)
    return Namespace()


class StoredTokens:
    """The tokens of a namespace file. Whoever renews them writes them back, as iofogctl does itself:
    a Controller may accept a refresh token only once, and iofogctl would be signed out.

    One process at a time renews them, and the others use what it has renewed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()

    def renew(self, refused: str, exchange: Callable[[str], Tokens | None]) -> Tokens | None:
        """Tokens in place of a refused access token; None if none can be obtained.

        Args:
            exchange: gives a refresh token to the Controller; returns None if that is refused.
        """
        with self._turn():
            now = _read(self._path)
            if now.token and now.token != refused:
                return now.token, now.refresh_token or ""
            if not now.refresh_token:
                return None
            new = exchange(now.refresh_token)
            if new:
                # If we may not write the file, the tokens are still good for this run.
                with suppress(OSError):
                    self._write(now, new)
            return new

    def _write(self, old: Namespace, new: Tokens) -> None:
        """Replace them in the file's text, so that everything else in it stays as it is."""
        text = self._path.read_text(encoding="utf-8")
        for before, after in zip((old.token, old.refresh_token), new, strict=True):
            text = text.replace(before, after) if before and after else text
        with tempfile.NamedTemporaryFile("w", dir=self._path.parent, delete=False, encoding="utf-8") as file:
            file.write(text)
        # Until it has the old file's mode, only its owner can read the new one.
        Path(file.name).chmod(self._path.stat().st_mode & 0o777)
        Path(file.name).replace(self._path)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Lock the folder, and not the file, as that is replaced."""
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


def _read(path: Path) -> Namespace:
    try:
        return parse_namespace(path.read_text(encoding="utf-8"), path)
    except (OSError, ValueError) as problem:
        raise InputError([Failure("namespace", f"{path}: {problem}")]) from None
