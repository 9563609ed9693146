"""What is hooked into the SDK's plugin process; that it is what the SDK does is seen in e2e."""

from __future__ import annotations

import sys
import threading
from types import ModuleType, SimpleNamespace

import pytest

from pulumi_iofog import plugin


def test_cancel_is_heard_and_other_empty_answers_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    main.DynamicResourceProviderServicer = object  # type: ignore[attr-defined]
    main.empty_pb2 = SimpleNamespace(Empty=lambda: "empty")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", main)
    heard = threading.Event()
    plugin.on_cancel(heard.set)

    def Delete() -> str:
        return str(main.empty_pb2.Empty())

    def Cancel() -> str:
        return str(main.empty_pb2.Empty())

    assert Delete() == "empty"
    assert not heard.wait(0.2)
    assert Cancel() == "empty"
    assert heard.wait(5)


def test_outside_a_plugin_nothing_is_hooked(monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    plugin.on_cancel(lambda: None)
    assert not hasattr(main, "empty_pb2")
