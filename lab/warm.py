"""Python processes that start warm: forked from one that has imported already what Pulumi's commands import.

A Pulumi command starts Python three times: to list the packages, to run the program, and for the provider's plugin.
Most of what a command takes is the same imports again (1.3 of 2.1 s of a core). A `Warm` has a folder that
looks to Pulumi like a virtual environment. Its ``python`` hands arguments, environment, working folder and the three
standard files over to a process that waits, and that forks. The child runs just what was asked for, by the means of
``python -m`` and ``python FILE``, and ends as every Python does. Nothing else is shared: each has an environment, a
heap and threads of its own, and nothing of an earlier command's is left in it.

What such a process cannot show is its own start: a module that is imported too late or not at all, a terminal's
Ctrl-C, what a shell has exported for Python itself. Tests of those, and some of each verb, use the real one.
"""

from __future__ import annotations

import gc
import io
import marshal
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

from lab.shell import CommandFailed

IMPORTS = (
    "asyncio",
    "argparse",
    "pulumi.dynamic.dynamic",
    "pulumi_iofog.provider",
    "pip._internal.cli.main",
    "pip._internal.commands.list",
)
CLIENT = Path(__file__).with_name("warm_client.py")
Run = Callable[[], object]


class Warm:
    """A process that waits for work, and the virtual environment to give to Pulumi.

    Args:
        folder: for it; what it is called is short, as a socket lies there (unix(7)).
    """

    def __init__(self, folder: Path) -> None:
        self.virtualenv = folder
        (folder / "bin").mkdir(parents=True)
        for name in ("python", "python3"):
            program = folder / "bin" / name
            program.write_text(f"#!{sys.executable} -IS\n{CLIENT.read_text()}")
            program.chmod(0o755)
        (folder / "bin/real").symlink_to(sys.executable)
        argv = [sys.executable, "-c", "from lab import warm; warm.serve()", str(folder / "socket")]
        # In a session of its own, as no terminal's Ctrl-C is meant for it.
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, cwd=Path(__file__).parents[1]
        )
        assert self._process.stdout
        if not self._process.stdout.readline():
            raise CommandFailed(f"a warm Python ended with {self._process.wait()}")

    def close(self) -> None:
        """End it and what it has forked."""
        self._process.communicate()


def serve() -> None:
    """Fork whenever somebody asks, until the standard input ends; ``sys.argv`` has the socket's path.

    In a child this returns from the loop, so that what it is to run ends as the whole process does: exit code,
    traceback, atexit, threads.
    """
    for name in IMPORTS:
        import_module(name)
    # What all share is not touched by their collections, and so stays shared.
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(64)
    print("ready", flush=True)
    run = _Server(listener).loop()
    run()


class _Server:
    """The loop; ``loop`` returns what a child is to run, and in the parent at its end."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, tuple[int, socket.socket]] = {}
        """By pid: its pidfd, and whoever stands for it."""

    def loop(self) -> Run:
        self._selector.register(0, selectors.EVENT_READ, lambda: self._end)
        self._selector.register(self._listener, selectors.EVENT_READ, self._fork)
        while True:
            for key, _ in self._selector.select():
                # It may have gone by what was just done for another.
                if self._selector.get_map().get(key.fileobj) == key:
                    act: Callable[[], Run | None] = key.data
                    if run := act():
                        return run

    def _fork(self) -> Run | None:
        """Whatever is to run in the child; None in the parent."""
        client, _ = self._listener.accept()
        files, request = _receive(client)
        pid = os.fork()
        if pid == 0:
            self._forget(client)
            return _prepared(files, *request)
        for file in files:
            os.close(file)
        client.sendall(pid.to_bytes(4, "big"))
        handle = os.pidfd_open(pid)
        self._children[pid] = (handle, client)
        self._selector.register(handle, selectors.EVENT_READ, partial(self._reap, pid))
        self._selector.register(client, selectors.EVENT_READ, partial(self._abandoned, pid))
        return None

    def _forget(self, client: socket.socket) -> None:
        """Close in a child what is the parent's."""
        self._selector.close()
        self._listener.close()
        client.close()
        for handle, other in self._children.values():
            os.close(handle)
            other.close()

    def _reap(self, pid: int) -> None:
        """Tell whoever stands for it how it has ended."""
        handle, client = self._children.pop(pid)
        _, status = os.waitpid(pid, 0)
        self._selector.unregister(handle)
        os.close(handle)
        with client, suppress(BrokenPipeError, KeyError):
            self._selector.unregister(client)
            client.sendall(status.to_bytes(4, "big"))

    def _abandoned(self, pid: int) -> None:
        """Whoever stood for it was killed, and so is what it stood for."""
        self._selector.unregister(self._children[pid][1])
        _kill(pid)

    def _end(self) -> None:
        for pid in self._children:
            _kill(pid)


def _kill(pid: int) -> None:
    """With its group, as the engine ends a plugin."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _receive(client: socket.socket) -> tuple[list[int], tuple[list[str], dict[str, str], str]]:
    head, files, _, _ = socket.recv_fds(client, 4, 3)
    with client.makefile("rb") as stream:
        return files, marshal.loads(stream.read(int.from_bytes(head, "big")))  # noqa: S302 - from ourselves


def _prepared(files: list[int], arguments: list[str], environment: dict[str, str], folder: str) -> Run:
    """Make this process what ``python ARGUMENTS`` would be before its first line."""
    os.setpgid(0, 0)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    unbuffered = arguments[0] == "-u"
    # The old ones do not close the numbers when they go: those are sys.__stdin__ and so on, too.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it lives as long as the process
    sys.stdout, sys.stderr = (_output(number, unbuffered) for number in (1, 2))
    rest = arguments[1:] if unbuffered else arguments
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    if rest[0] == "-m":
        sys.path[0] = folder
        sys.argv = ["-m", *rest[2:]]
        return lambda: runpy._run_module_as_main(rest[1])  # type: ignore[attr-defined]
    sys.path[0] = str(Path(rest[0]).parent)
    sys.argv = rest
    main.__file__ = rest[0]
    program = compile(Path(rest[0]).read_bytes(), rest[0], "exec")
    return lambda: exec(program, main.__dict__)  # noqa: S102 - it is what was asked for


def _output(number: int, unbuffered: bool) -> io.TextIOWrapper:
    if unbuffered:
        return io.TextIOWrapper(io.FileIO(number, "w", closefd=False), write_through=True)
    return open(number, "w", closefd=False)
