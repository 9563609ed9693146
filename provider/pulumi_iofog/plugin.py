"""The plugin process that Pulumi's Python SDK runs a dynamic provider in, and what it leaves out.

Seven things are missing there: the verbs are not told their resource's URN, nothing leads to the resource's row in the
terminal, errors reach the user as tracebacks, failures of nested inputs as ``{<nil>}``, nobody hears of Ctrl-C, the
process lives on when pulumi is killed, and a diff cannot say what differs. Everything that reaches around the SDK for
them is in this file; without it the provider works, and only says less.
What it relies on there, tests/test_plugin.py holds against the installed SDK.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from types import FrameType
from typing import Any

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2

from pulumi_iofog import log
from pulumi_iofog.errors import IofogError
from pulumi_iofog.text import visible


class Console:
    """The resource's own row in the terminal (Pulumi's ``Engine.Log``).

    All of it goes without a ``streamId``: of a stream, the terminal makes one message at the end, without line ends,
    and shows it only if the stream's first line was a lasting one (pkg/v3 3.259, backend/display/progress.go,
    mergeStreamPayloadsToSinglePayload).

    What is said, and the errors below, pass ``text.visible`` here: whatever of it came from outside, the terminal obeys
    none of it.
    """

    def __init__(self, urn: str | None, stub: engine_pb2_grpc.EngineStub | None) -> None:
        self.urn, self._stub = urn, stub

    @property
    def name(self) -> str:
        """The resource's."""
        return (self.urn or "").rpartition("::")[2]

    def status(self, text: str) -> None:
        """Show it on the row for now; nothing of it stays."""
        self._log(text, engine_pb2.INFO, ephemeral=True)

    def note(self, text: str) -> None:
        """One lasting line, under the resource."""
        self._log(text, engine_pb2.INFO, ephemeral=False)

    def warn(self, text: str) -> None:
        """One lasting line, as a warning."""
        self._log(text, engine_pb2.WARNING, ephemeral=False)

    def _log(self, text: str, severity: Any, *, ephemeral: bool) -> None:
        if not ephemeral:
            log.step("said", text)
        if self._stub is None:
            return
        message = visible(text)
        request = engine_pb2.LogRequest(severity=severity, message=message, urn=self.urn or "", ephemeral=ephemeral)
        # Words on the terminal are worth no failed update.
        with contextlib.suppress(grpc.RpcError):
            self._stub.Log(request, timeout=5)


_lock = threading.Lock()
"""For what the SDK's threads share here: the stubs, and who is hooked in."""
_stubs: dict[str, engine_pb2_grpc.EngineStub] = {}


def console() -> Console:
    """The console of the resource whose verb is running on this thread.

    The engine's address is the plugin's first argument. Outside a plugin the console is silent.
    """
    urn = _urn_of_this_call()
    if urn is None or len(sys.argv) < 2:
        return Console(None, None)
    address = sys.argv[1]
    with _lock:
        if address not in _stubs:
            _stubs[address] = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))
    return Console(urn, _stubs[address])


def _urn_of_this_call() -> str | None:
    """The URN in the gRPC request that an outer frame of this thread is answering."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        request = frame.f_locals.get("request")
        urn = getattr(request, "urn", None)
        if urn and frame.f_code.co_filename.endswith("__main__.py"):
            return str(urn)
        frame = frame.f_back
    return None


def show_errors_as_messages() -> None:
    """Let the plugin's process report an IofogError by its message alone; once is as good as twice.

    The SDK (from 3.260 on) answers a failed call with ``traceback.format_exc()``, looked up in its ``__main__`` at
    each failure.
    """
    main: Any = sys.modules["__main__"]
    with _lock:
        if _is_plugin(main, "traceback") and not isinstance(main.traceback, _Messages):
            main.traceback = _Messages(main.traceback)


class PropertyPath(str):
    """The path of a property that a check has refused, which the engine is to show.

    Of a failure's property the engine shows the value too, which it finds for whole inputs only: for ``agents[1].port``
    it has ``property agents[1].port value {<nil>} has a problem`` (pkg/v3 3.259, resource/deploy/step_generator.go,
    issueCheckFailures). So the path goes before the reason.
    """

    __slots__ = ()


def show_paths_in_reasons() -> None:
    """Let the engine show paths as they are; once is as good as twice. The SDK makes each failure for it with
    ``proto.CheckFailure``, looked up in its ``__main__`` each time."""
    main: Any = sys.modules["__main__"]
    with _lock:
        if _is_plugin(main, "proto") and not isinstance(main.proto, _Proto):
            main.proto = _Proto(main.proto)


def on_cancel(act: Callable[[], None]) -> None:
    """Have something done when Pulumi asks its plugins to stop: at the first Ctrl-C, while it waits for what
    is under way. What was asked for before is done too; the same thing only once.

    The SDK answers ``Cancel`` with ``empty_pb2.Empty()``, looked up in its ``__main__`` at each call.
    """
    main: Any = sys.modules["__main__"]
    with _lock:
        if not _is_plugin(main, "empty_pb2"):
            return
        if not isinstance(main.empty_pb2, _Empties):
            main.empty_pb2 = _Empties(main.empty_pb2)
        if act not in main.empty_pb2.acts:
            main.empty_pb2.acts += (act,)


# ---- without pulumi --------------------------------------------------------------------------------------

LOOK = 2.0
"""Seconds between two looks whether pulumi is still there."""
UNWIND = 5.0
"""Seconds that verbs have to end once it is not."""


class _Work:
    """The verbs at work, and whether there is still somebody whom they work for."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.verbs = 0
        self.abandoned = self.watched = False


_work = _Work()


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """While a verb does its work: the process does not end before it, if it can be helped."""
    with _work.changed:
        _work.verbs += 1
    try:
        yield
    finally:
        with _work.changed:
            _work.verbs -= 1
            _work.changed.notify_all()


def refuse_if_abandoned() -> None:
    """To be called before what only a state could tell of later. Raises IofogError if pulumi has been killed."""
    if _work.abandoned:
        raise IofogError("", "", "pulumi has been killed", "Run pulumi up again: it resumes where this one stopped")


def end_with_pulumi(stop: Callable[[], None]) -> None:
    """End this process when pulumi has been killed, which it is not told of: nobody would keep what it does.

    Args:
        stop: has what is under way end soon.
    """
    main: Any = sys.modules["__main__"]
    with _lock:
        if _work.watched or len(sys.argv) < 2 or not _is_plugin(main, "empty_pb2"):
            return
        _work.watched = True
    threading.Thread(target=_watch, args=(sys.argv[1], stop), name="watch pulumi", daemon=True).start()


def _watch(address: str, stop: Callable[[], None]) -> None:
    # A shell is between pulumi and this process, and outlives pulumi: the parent says nothing.
    while _listens(address) or _listens(address, after=LOOK / 2):
        time.sleep(LOOK)
    log.step("pulumi", "is gone: ending")
    with _work.changed:
        _work.abandoned = True
    stop()
    with _work.changed:
        _work.changed.wait_for(lambda: not _work.verbs, UNWIND)
    # Not sys.exit, which ends a thread. The children end with their standard input.
    os._exit(1)


def _listens(address: str, after: float = 0.0) -> bool:
    """Whether somebody listens there; only a refusal says no."""
    time.sleep(after)
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), LOOK).close()
    except ConnectionRefusedError:
        return False
    except (OSError, ValueError):
        return True
    return True


def show_differences(kinds: Mapping[str, str], *, replacing: Collection[str]) -> None:
    """Tell the engine, with the diff that this thread is answering, at which paths the inputs differ.

    Without that, ``pulumi preview --diff`` prints all inputs of what is updated: 450 lines for forty agents.

    Args:
        kinds: path → ``add``, ``delete`` or ``update``.
        replacing: properties whose difference replaces the resource.

    The SDK answers with ``proto.DiffResponse(…)``, looked up in its ``__main__`` at each call.
    """
    main: Any = sys.modules["__main__"]
    with _lock:
        if not _is_plugin(main, "proto"):
            return
        if not isinstance(main.proto, _Proto):
            main.proto = _Proto(main.proto)
    _this_call.details = {
        path: f"{kind}_replace" if re.split(r"[.\[]", path)[0] in replacing else kind for path, kind in kinds.items()
    }


_this_call = threading.local()
"""``details``: of the diff that this thread answers next."""


def _is_plugin(main: object, name: str) -> bool:
    return hasattr(main, "DynamicResourceProviderServicer") and hasattr(main, name)


class _StandIn:
    """Stands in for a module in the SDK's ``__main__``; what it does not have is the module's."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Messages(_StandIn):
    """For ``traceback``; a bug still shows its whole traceback."""

    def format_exc(self, *args: Any, **options: Any) -> Any:
        problem = sys.exc_info()[1]
        return visible(str(problem) if isinstance(problem, IofogError) else self._real.format_exc(*args, **options))


class _Proto(_StandIn):
    """For ``proto``; other providers' failures stay as they are."""

    def CheckFailure(self, *, property: str, reason: str) -> Any:
        if isinstance(property, PropertyPath):
            return self._real.CheckFailure(reason=f"{property}: {reason}" if property else reason)
        return self._real.CheckFailure(property=property, reason=reason)

    @property
    def DiffResponse(self) -> Any:
        return _DiffResponse(self._real.DiffResponse)


class _DiffResponse(_StandIn):
    """For ``proto.DiffResponse``; with the details of this thread's diff, once."""

    def __call__(self, **fields: Any) -> Any:
        response, details = self._real(**fields), _this_call.__dict__.pop("details", {})
        for path, kind in details.items():
            response.detailedDiff[path].kind = provider_pb2.PropertyDiff.Kind.Value(kind.upper())
            response.detailedDiff[path].inputDiff = True
        response.hasDetailedDiff = bool(details)
        return response


class _Empties(_StandIn):
    """For ``empty_pb2``; ``acts`` are done, each on a thread of its own, when ``Cancel`` is answered."""

    acts: tuple[Callable[[], None], ...] = ()

    def Empty(self) -> Any:
        if sys._getframe(1).f_code.co_name == "Cancel":
            for act in self.acts:
                threading.Thread(target=act, name="cancel", daemon=True).start()
        return self._real.Empty()
