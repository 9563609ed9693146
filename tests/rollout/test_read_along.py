"""What a host is told while its engine reads layers that are still arriving."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pulumi_iofog.errors import CorruptLayer, EngineError
from pulumi_iofog.rollout import read_along
from pulumi_iofog.rollout.read_along import ReadAlong
from pulumi_iofog.transfer.signals import COMPLETE, MORE, WHOLE


class Reader:
    """An engine that listens until it is told that all is there, or that nothing more comes."""

    def __init__(self, *, loads: bool = True, fails: bool = False) -> None:
        self.loads, self.fails = loads, fails
        self.heard: list[bytes] = []
        self.ended = threading.Event()

    def __call__(self, lines: Iterator[bytes]) -> bool:
        if self.fails:
            raise EngineError("edge", "loading", "the daemon went away")
        self.heard += lines
        self.ended.set()
        return self.loads and self.heard[-1] == COMPLETE


def test_it_is_told_of_each_layer_and_of_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_along, "EVERY", 0.01)
    reader = Reader()
    with ReadAlong(reader) as load:
        load.whole()
        reader.ended.wait(0.1)
        load.whole()
        assert load.complete()
    assert [line for line in reader.heard if line != MORE] == [WHOLE, WHOLE, COMPLETE]
    assert reader.heard.index(WHOLE) > 0, "it looks at once"
    assert reader.heard.count(MORE) > 2, "and again and again"


@pytest.mark.parametrize("reader", [Reader(loads=False), Reader(fails=True)])
def test_what_it_could_not_load_is_not_taken_for_loaded(reader: Reader) -> None:
    with ReadAlong(reader) as load:
        assert not load.complete()


def test_it_is_told_when_what_it_waits_for_will_not_come() -> None:
    def fails(reader: Reader) -> None:
        with ReadAlong(reader) as load:
            load.whole()
            raise CorruptLayer("edge", "proving", "another sha256")

    reader = Reader()
    with pytest.raises(CorruptLayer):
        fails(reader)
    assert reader.ended.is_set()
    assert COMPLETE not in reader.heard
