"""A load that reads layers while they arrive, and is told how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue

from pulumi_iofog.errors import IofogError
from pulumi_iofog.rollout.worker import Worker
from pulumi_iofog.transfer.signals import COMPLETE, MORE, WHOLE

EVERY = 0.25
"""Seconds after which the host looks again for what has arrived."""


class ReadAlong(Worker):
    """Loads on a thread of its own.

    Args:
        load: is given the lines to tell the host as they come, and says whether it has loaded everything. They
            end without COMPLETE where what is waited for will not come.
    """

    def __init__(self, load: Callable[[Iterator[bytes]], bool]) -> None:
        super().__init__()
        self._said: SimpleQueue[bytes | None] = SimpleQueue()
        self._loaded = False
        self._load = load
        self.do(self._run_load)

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        self._said.put(None)
        super().__exit__(kind, *raised)

    def whole(self) -> None:
        """The next layer is whole, and proven."""
        self._said.put(WHOLE)

    def complete(self) -> bool:
        """All is there: wait for the end. Whether it is loaded; where it is not, it can be in the ordinary way."""
        self._said.put(COMPLETE)
        with suppress(IofogError):
            self.finish()
        return self._loaded

    def _run_load(self) -> None:
        self._loaded = self._load(self._lines())

    def _lines(self) -> Iterator[bytes]:
        line: bytes | None = MORE
        while line is not None:
            yield line
            if line == COMPLETE:
                return
            try:
                line = self._said.get(timeout=EVERY)
            except Empty:
                line = MORE
