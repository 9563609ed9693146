"""What is hooked into the SDK's plugin process, held against the SDK that is installed.

The SDK's own program is run here, all but its last line, which would serve; its verbs are called as gRPC calls them.
Where one of these tests fails with a new SDK, its sentence says what has moved.
"""

from __future__ import annotations

import ast
import pkgutil
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime.proto import provider_pb2

from pulumi_iofog import plugin
from pulumi_iofog.errors import IofogError

SDK = f"pulumi {version('pulumi')}"
URN = "urn:pulumi:lab::e2e::pulumi-python:dynamic/iofog:OfflineImage::gateway"


class Probe(ResourceProvider):
    """Says what a verb can find out about its call, or raises."""

    raises: BaseException | None = None
    refuses: tuple[CheckFailure, ...] = ()
    urns: list[str | None] = []  # noqa: RUF012  # in one list, whatever the SDK makes of the object
    configured: Any = None

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (pkgutil.resolve_name, (f"{__name__}:PROBE",))

    def configure(self, req: Any) -> None:
        Probe.configured = req.config.get("iofog:log")

    def _look(self) -> None:
        self.urns.append(plugin.console().urn)
        if self.raises:
            raise self.raises

    def check(self, _olds: Any, news: Any) -> CheckResult:
        self._look()
        return CheckResult(news, list(self.refuses))

    def diff(self, _id: str, _olds: Any, _news: Any) -> DiffResult:
        self._look()
        return DiffResult(changes=True)

    def create(self, props: Any) -> CreateResult:
        self._look()
        return CreateResult("1", props)

    def update(self, _id: str, _olds: Any, news: Any) -> UpdateResult:
        self._look()
        return UpdateResult(news)

    def read(self, id_: str, props: Any) -> ReadResult:
        self._look()
        return ReadResult(id_, props)

    def delete(self, _id: str, _props: Any) -> None:
        self._look()


PROBE = Probe()
PROPERTIES = {"__provider": serialize_provider(PROBE)}
VERBS = {
    "Check": provider_pb2.CheckRequest(urn=URN, olds=PROPERTIES, news=PROPERTIES),
    "Diff": provider_pb2.DiffRequest(urn=URN, id="1", olds=PROPERTIES, news=PROPERTIES),
    "Create": provider_pb2.CreateRequest(urn=URN, properties=PROPERTIES),
    "Update": provider_pb2.UpdateRequest(urn=URN, id="1", olds=PROPERTIES, news=PROPERTIES),
    "Read": provider_pb2.ReadRequest(urn=URN, id="1", properties=PROPERTIES),
    "Delete": provider_pb2.DeleteRequest(urn=URN, id="1", properties=PROPERTIES),
}


class Aborted(Exception):
    """What grpc's abort raises, with what the engine is told."""


class Context:
    """Of a gRPC call, as far as the SDK uses it."""

    def abort(self, _code: grpc.StatusCode, details: str) -> None:
        raise Aborted(details)


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The SDK's program as this process's ``__main__``."""
    spec = find_spec("pulumi.dynamic.__main__")
    assert spec, f"{SDK} has no pulumi/dynamic/__main__.py, which is what Pulumi runs providers in"
    assert spec.origin
    assert spec.origin.endswith("__main__.py"), f"the URN is looked for in frames of __main__.py, not of {spec.origin}"
    *program, last = ast.parse(Path(spec.origin).read_text()).body
    assert ast.unparse(last) == "main()", f"{SDK} does not end its program with main(): another line serves"
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(Probe, "urns", [])
    monkeypatch.setattr(Probe, "raises", None)
    # The address is the engine's; nothing is said to it here.
    monkeypatch.setattr(sys, "argv", ["pulumi.dynamic", "127.0.0.1:1"])
    exec(compile(ast.Module(program, []), spec.origin, "exec"), main.__dict__)  # noqa: S102
    assert hasattr(main, "DynamicResourceProviderServicer"), f"{SDK} has renamed DynamicResourceProviderServicer"
    return main


def call(sdk: ModuleType, verb: str, request: Any) -> Any:
    """The verb's answer; on a thread of its own, as there, where its settings then stay."""
    servicer = sdk.DynamicResourceProviderServicer()
    servicer._config = {"iofog:log": "iofog.log"}
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(getattr(servicer, verb), request, Context()).result()


# ---- which resource ------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_finds_its_urn(sdk: ModuleType, verb: str) -> None:
    call(sdk, verb, VERBS[verb])
    assert Probe.urns == [URN], (
        f"{SDK} answers {verb} without a local variable `request` that has the URN, in a frame of its __main__.py"
    )


def test_outside_a_verb_there_is_no_console() -> None:
    assert plugin.console().urn is None


def test_the_config_is_found_by_full_keys(sdk: ModuleType) -> None:
    call(sdk, "Create", VERBS["Create"])
    assert Probe.configured == "iofog.log", f"{SDK} hands the stack's config to configure() in another way"


# ---- errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_an_error_of_ours_is_its_message(sdk: ModuleType, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = IofogError("edge-1", "loading app:1", "no space left on device")
    monkeypatch.setattr(Probe, "raises", problem)
    plugin.show_errors_as_messages()
    plugin.show_errors_as_messages()
    with pytest.raises(Aborted) as caught:
        call(sdk, verb, VERBS[verb])
    assert str(caught.value) == str(problem), (
        f"{SDK} does not answer a failed {verb} with traceback.format_exc(), looked up in its __main__.py"
    )


def test_no_error_has_anything_that_a_terminal_obeys(sdk: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Probe, "raises", IofogError("edge-1", "asking", "\x1b[2J<{%fg 1%}>\rall is well"))
    plugin.show_errors_as_messages()
    with pytest.raises(Aborted) as caught:
        call(sdk, "Create", VERBS["Create"])
    assert str(caught.value) == r"edge-1: asking: \x1b[2J<{\%fg 1%}>\x0dall is well"


@pytest.mark.parametrize("say", [plugin.Console.status, plugin.Console.note, plugin.Console.warn])
def test_no_line_has_anything_that_a_terminal_obeys(mocker: Any, say: Callable[[plugin.Console, str], None]) -> None:
    stub = mocker.Mock()
    say(plugin.Console("urn:pulumi:s::p::t::gateway", stub), "a \x1b]0;title\x07 host")
    assert stub.Log.call_args.args[0].message == r"a \x1b]0;title\x07 host"


def test_a_bug_is_its_whole_traceback(sdk: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Probe, "raises", KeyError("a bug"))
    plugin.show_errors_as_messages()
    with pytest.raises(Aborted) as caught:
        call(sdk, "Create", VERBS["Create"])
    assert "in _look" in str(caught.value)
    assert "KeyError: 'a bug'" in str(caught.value)


def test_what_already_stands_in_for_the_traceback_is_kept(sdk: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package's provider in the same process may have the same idea."""

    class Theirs:
        @staticmethod
        def format_exc() -> str:
            return "theirs"

    monkeypatch.setattr(sdk, "traceback", Theirs)
    monkeypatch.setattr(Probe, "raises", KeyError("a bug"))
    plugin.show_errors_as_messages()
    with pytest.raises(Aborted, match="theirs"):
        call(sdk, "Create", VERBS["Create"])


# ---- refused inputs ------------------------------------------------------------------------------------


def test_a_nested_path_is_shown_with_its_reason(sdk: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [plugin.PropertyPath("agents[1].port"), plugin.PropertyPath(""), "theirs"]
    monkeypatch.setattr(Probe, "refuses", tuple(CheckFailure(path, "why") for path in paths))
    plugin.show_paths_in_reasons()
    plugin.show_paths_in_reasons()
    answer = call(sdk, "Check", VERBS["Check"])
    assert [(each.property, each.reason) for each in answer.failures] == [
        ("", "agents[1].port: why"),
        ("", "why"),
        ("theirs", "why"),
    ], f"{SDK} does not make failures with proto.CheckFailure(property=, reason=), looked up in its __main__.py"
    assert answer.inputs["__provider"] == PROPERTIES["__provider"]


# ---- what differs --------------------------------------------------------------------------------------


def test_the_engine_is_told_what_differs_once(sdk: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    told = [{'agent_digests["edge-1"]': "update", "agents[2]": "add", "controller.endpoint": "update"}, {}]

    def diff(self: Probe, *_: object) -> DiffResult:
        plugin.show_differences(told.pop(0), replacing=["controller"])
        return DiffResult(changes=True, replaces=["controller"])

    monkeypatch.setattr(Probe, "diff", diff)
    answer = call(sdk, "Diff", VERBS["Diff"])
    assert (answer.changes, list(answer.replaces)) == (sdk.proto.DiffResponse.DIFF_SOME, ["controller"])
    kinds = {path: provider_pb2.PropertyDiff.Kind.Name(each.kind) for path, each in answer.detailedDiff.items()}
    assert kinds == {
        'agent_digests["edge-1"]': "UPDATE",
        "agents[2]": "ADD",
        "controller.endpoint": "UPDATE_REPLACE",
    }, f"{SDK} does not answer Diff with proto.DiffResponse(), looked up in its __main__.py"
    assert answer.hasDetailedDiff
    assert all(each.inputDiff for each in answer.detailedDiff.values())
    assert not call(sdk, "Diff", VERBS["Diff"]).hasDetailedDiff


def test_a_diff_that_says_nothing_of_it_is_as_the_sdk_answers_it(sdk: ModuleType) -> None:
    answer = call(sdk, "Diff", VERBS["Diff"])
    assert (answer.changes, answer.hasDetailedDiff, dict(answer.detailedDiff)) == (1 + 1, False, {})


# ---- Ctrl-C --------------------------------------------------------------------------------------------


def test_cancel_is_heard_by_all_who_asked_and_by_each_once(sdk: ModuleType) -> None:
    heard = dict[str, int]()
    both = threading.Barrier(3)

    def hear(who: str) -> None:
        heard[who] = heard.get(who, 0) + 1
        both.wait()

    first, second = partial(hear, "first"), partial(hear, "second")
    for act in (first, second, first):
        plugin.on_cancel(act)
    assert call(sdk, "Cancel", Empty()) == Empty()
    try:
        both.wait(5)
    except threading.BrokenBarrierError:
        pytest.fail(
            f"{SDK} does not answer Cancel with empty_pb2.Empty(), looked up in its __main__.py; heard: {heard}"
        )
    assert heard == {"first": 1, "second": 1}


def test_other_empty_answers_are_no_cancel(sdk: ModuleType) -> None:
    heard = threading.Event()
    plugin.on_cancel(heard.set)
    assert call(sdk, "Delete", VERBS["Delete"]) == Empty()
    assert sdk.empty_pb2.DESCRIPTOR.name == "google/protobuf/empty.proto"
    assert not heard.wait(0.2)


def test_outside_a_plugin_nothing_is_hooked(monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    main.traceback = main.empty_pb2 = "their own"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", main)
    plugin.on_cancel(lambda: None)
    plugin.show_errors_as_messages()
    plugin.show_differences({"x86": "update"}, replacing=())
    assert main.traceback == main.empty_pb2 == "their own"
