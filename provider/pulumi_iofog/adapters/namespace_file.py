"""The iofogctl namespace's file: read, and its tokens kept up to date in it."""

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
    a Controller may take a refresh token once only, and iofogctl would be signed out.

    One process at a time renews them, and each takes what another has renewed meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()

    def renew(self, refused: str, exchange: Callable[[str], Tokens | None]) -> Tokens | None:
        """Tokens in place of a refused access token; None where there are none to be had.

        Args:
            exchange: gives a refresh token to the Controller; None where that is refused.
        """
        with self._turn():
            now = _read(self._path)
            if now.token and now.token != refused:
                return now.token, now.refresh_token or ""
            if not now.refresh_token:
                return None
            new = exchange(now.refresh_token)
            if new:
                # Where the file is not ours to write, the tokens still serve for this run.
                with suppress(OSError):
                    self._write(now, new)
            return new

    def _write(self, old: Namespace, new: Tokens) -> None:
        """In the file's text, so that everything else in it stays as it is."""
        text = self._path.read_text(encoding="utf-8")
        for before, after in zip((old.token, old.refresh_token), new, strict=True):
            text = text.replace(before, after) if before and after else text
        with tempfile.NamedTemporaryFile("w", dir=self._path.parent, delete=False, encoding="utf-8") as file:
            file.write(text)
        # The new file is its owner's alone until it has the old one's mode.
        Path(file.name).chmod(self._path.stat().st_mode & 0o777)
        Path(file.name).replace(self._path)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """The folder is locked and not the file, which is replaced meanwhile."""
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
