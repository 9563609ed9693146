"""More hands for one agent: what the host does with one layer while the next is on its way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from typing_extensions import Self

from pulumi_iofog import log
from pulumi_iofog.errors import IofogError, Unreachable


class Worker:
    """Does one thing after the other on a thread of its own. After the first error nothing more is done, and
    the next call raises it."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="lane")
        self._given: list[Future[None]] = []
        self._failed: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        # What still runs ends with a lost connection, or with an interrupted process; after another error, whoever
        # tries again must find the host at rest.
        waits = kind is None or (issubclass(kind, IofogError) and not issubclass(kind, Unreachable))
        self._worker.shutdown(wait=waits, cancel_futures=True)

    def do(self, act: Callable[[], None]) -> Future[None]:
        self._raise_from(each for each in self._given if each.done())
        self._given.append(self._worker.submit(log.carried(self._run), act))
        return self._given[-1]

    def finish(self) -> None:
        """Wait until all is done."""
        self._raise_from(self._given)

    def _run(self, act: Callable[[], None]) -> None:
        if self._failed:
            raise self._failed  # as others may wait for this one alone
        try:
            act()
        except BaseException as problem:
            self._failed = problem
            raise

    @staticmethod
    def _raise_from(given: Iterable[Future[None]]) -> None:
        for each in given:
            each.result()


def after(first: Future[None], act: Callable[[], None]) -> Callable[[], None]:
    """Wait for what other hands do, then act."""

    def both() -> None:
        first.result()
        act()

    return both
