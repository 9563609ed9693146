"""A terminal of so many columns, and what a person sees on it while a command runs and after it.

The bytes go through a real pseudo-terminal into a terminal emulator: Pulumi draws, and draws again, otherwise than
where its output is a file.
"""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

import pyte

ROWS = 40


@dataclass(frozen=True, slots=True)
class Seen:
    """What was on the screen.

    Attributes:
        rows: every row that was there at any time, in the order of their coming.
        end: what its user can scroll back to afterwards, from top to bottom.
    """

    exit_code: int
    rows: list[str]
    end: str


def watch(argv: Sequence[str], *, columns: int, cwd: Path, env: Mapping[str, str]) -> Seen:
    """Run a command in a terminal, to its end."""
    screen = pyte.HistoryScreen(columns, ROWS, history=10_000)
    stream, rows = pyte.ByteStream(screen), dict[str, None]()
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    # In a build Pulumi would take the terminal for the build's log.
    env = {**env, "TERM": "xterm-256color", "PULUMI_DISABLE_CI_DETECTION": "1"}
    with subprocess.Popen(argv, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        with suppress(OSError):  # EIO: nobody holds the other end any more
            while data := os.read(ours, 1 << 16):
                stream.feed(data)
                rows.update(dict.fromkeys(map(str.rstrip, screen.display)))
        os.close(ours)
    return Seen(running.returncode, list(rows), _all_rows(screen))


def _all_rows(screen: pyte.HistoryScreen) -> str:
    above = ["".join(row[column].data for column in range(screen.columns)) for row in screen.history.top]
    return "\n".join(row.rstrip() for row in (*above, *screen.display))
