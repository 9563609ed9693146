"""Running programs, and processes that outlive the one that started them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class CommandFailed(Exception):
    """A program ended with another exit code than 0."""


def run(*argv: str | Path, check: bool = True, stdin: bytes | None = None) -> str:
    """A program's output; CommandFailed with what it complained if it fails and ``check`` is set."""
    done = subprocess.run([str(arg) for arg in argv], input=stdin, capture_output=True, check=False)
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise CommandFailed(f"{' '.join(str(arg) for arg in argv)}: exit {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")


def start(argv: Sequence[str | Path], pid_file: Path, log: Path, env: Mapping[str, str] | None = None) -> int:
    """Start a process that stays when this one ends; its pid goes into a file."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [str(arg) for arg in argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
    pid_file.write_text(str(process.pid))
    # Its exit is noticed by pid; without this, Popen would warn that it still runs.
    process.returncode = 0
    return process.pid


def stop(pid_file: Path, within: float = 20.0) -> None:
    """End the process of a pid file and wait until it is gone; nothing to do is fine."""
    try:
        pid = int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, sent)
        except ProcessLookupError:
            break
        if _gone(pid, within):
            break
    pid_file.unlink(missing_ok=True)


def _gone(pid: int, within: float) -> bool:
    def reaped() -> bool:
        with contextlib.suppress(ChildProcessError):  # not ours to reap
            os.waitpid(pid, os.WNOHANG)
        try:
            status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):  # the latter where it ends while it is read
            return True
        return status.rpartition(")")[2].split()[0] == "Z"

    return wait_for(reaped, within)


def wait_for(condition: Callable[[], bool], within: float) -> bool:
    """Whether the condition came true within that many seconds."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if condition():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False
