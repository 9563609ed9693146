"""One plugin process, and the engine that it believes in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent import futures
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from lab.shell import wait_for

HANGS = 900.0
"""Seconds after which a verb has nothing more to wait for."""
LARGEST = [("grpc.max_receive_message_length", -1)]


class Refused(Exception):
    """A verb has failed; with what its user would read."""


class Plugin:
    """A running plugin process, in a session of its own.

    Args:
        folder: where it is told to halt, and where its stderr goes.
        environment: all of it.
        config: of the stack, by full key.

    Attributes:
        said: lasting lines on the resource's row.
        shown: those that were shown for a while.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], config: Mapping[str, str]) -> None:
        self.said: list[str] = []
        self.shown: list[str] = []
        self._folder, self._config = folder, config
        self.go()
        (folder / "halt").unlink(missing_ok=True)
        self._engine = grpc.server(futures.ThreadPoolExecutor(4))
        engine_pb2_grpc.add_EngineServicer_to_server(_Engine(self), self._engine)
        address = f"127.0.0.1:{self._engine.add_insecure_port('127.0.0.1:0')}"
        self._engine.start()
        with (folder / "stderr").open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", "lab.plugin", address],
                env={**environment, "LAB_PLUGIN": str(folder)},
                cwd=Path(__file__).parent.parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        assert self._process.stdout
        port = int(self._process.stdout.readline() or 0)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=LARGEST)
        self._stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        self._configured = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, verb: str, **fields: Any) -> Any:
        """One verb's answer. Raises Refused if it fails, or the process ends.

        Args:
            fields: of the request; properties as dicts.
        """
        if not self._configured:
            self._configured = True
            self.call("Configure", args=dict(self._config), acceptSecrets=False)
        request = getattr(provider_pb2, f"{verb}Request")(**{k: _sent(v) for k, v in fields.items()})
        try:
            return getattr(self._stub, verb)(request, timeout=HANGS)
        except grpc.RpcError as problem:
            if problem.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TimeoutError(f"{verb} hangs") from None
            raise Refused(f"{problem.code()}: {problem.details()}") from None

    # ---- strokes --------------------------------------------------------------------------------------

    def halt(self, line: str) -> None:
        """Halt the thread that writes the next line of the log which this regular expression is in."""
        (self._folder / "halt").write_text(line)

    def halted(self, over: Callable[[], bool], within: float = 120.0) -> bool:
        """Whether it has been, in that time, and before it was over."""
        here = self._folder / "halted"
        wait_for(lambda: here.exists() or over(), within)
        return here.exists()

    def go(self) -> None:
        """Let it go on."""
        (self._folder / "halted").unlink(missing_ok=True)

    def kill(self) -> None:
        """As ``kill -9`` of it: its children are left to themselves."""
        self._process.kill()
        self._process.wait()

    def cancel(self) -> None:
        """As the first Ctrl-C."""
        self._stub.Cancel(empty_pb2.Empty())

    def abandon(self) -> None:
        """As ``kill -9`` of pulumi: nobody listens at the engine's address any more."""
        self._engine.stop(0).wait()

    def ended(self, within: float) -> bool:
        """Whether the process has ended by itself in that time."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(within)
        return self._process.poll() is not None

    def end(self) -> None:
        """As pulumi ends its plugins; the second Ctrl-C does so at once."""
        self._channel.close()
        self._engine.stop(0).wait()
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def family(self) -> list[int]:
        """Every process of its session that is there, itself included."""
        return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit() and self._related(each)]

    def _related(self, process: Path) -> bool:
        with suppress(OSError):
            state, _, _, session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
            return int(session) == self.pid and state != "Z"
        return False


class _Engine(engine_pb2_grpc.EngineServicer):
    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin

    def Log(self, request: Any, context: Any) -> Any:
        (self._plugin.shown if request.ephemeral else self._plugin.said).append(request.message)
        return empty_pb2.Empty()


def _sent(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    struct = Struct()
    struct.update(value)
    return struct


def received(struct: Any) -> dict[str, Any]:
    """Properties as a dict; all numbers are floats, as in Pulumi's own state."""
    return dict(json_format.MessageToDict(struct))


def environment(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Of an operator who has home, cache, temporary files, log and backend in a folder of their own."""
    for name in ("home", "tmp", "plugin", "state/.pulumi"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "state/.pulumi/meta.yaml").touch()
    return {
        **os.environ,
        "HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TMPDIR": str(folder / "tmp"),
        "IOFOG_LOG": str(folder / "iofog.log"),
        "PULUMI_BACKEND_URL": f"file://{folder}/state",
        **more,
    }
