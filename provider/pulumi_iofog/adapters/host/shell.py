"""What runs scripts on a host, as those see it who need one: an SSH connection, or one that becomes root first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from pulumi_iofog.adapters.ssh.exchange import Meanwhile
from pulumi_iofog.adapters.ssh.output import ANSWER


class Result(Protocol):
    """What a script has answered."""

    @property
    def ok(self) -> bool: ...
    @property
    def exit_code(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def stderr(self) -> bytes: ...
    @property
    def error(self) -> str: ...


class Shell(Protocol):
    """See ssh.channel.Connection."""

    def run(
        self,
        script: str,
        *,
        stdin: bytes = b"",
        timeout: float = 60.0,
        most: int = ANSWER,
        meanwhile: Meanwhile | None = None,
    ) -> Result: ...
    def send(
        self,
        script: str,
        chunks: Iterable[bytes],
        on_bytes: Callable[[int], None] = ...,
        *,
        timeout: float = 600.0,
        meanwhile: Meanwhile | None = None,
    ) -> Result: ...


def says(result: Result, *phrases: str) -> bool:
    """Whether a script has said one of these, in whatever case."""
    said = (result.text + result.stderr.decode(errors="replace")).lower()
    return any(phrase in said for phrase in phrases)
