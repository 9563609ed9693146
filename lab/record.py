"""``python -m lab.record``: docs/assets/terminal.svg, a recording of Pulumi at work in a real terminal.

Three real hosts on slow links, a terminal of 120 columns, and what a person sees in it: the bytes go through a
pseudo-terminal into a terminal emulator, whose screens become the frames of the picture. Nothing is typed by hand.
"""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from select import select
from xml.sax.saxutils import escape

import pyte

from lab import images
from lab.controller_process import EMAIL, PASSWORD
from lab.host import HostSpec
from lab.lab import CHECKOUT, Lab
from lab.stack import Stack

TARGET = CHECKOUT / "docs/assets/terminal.svg"
COLUMNS, ROWS = 120, 26
WIDE, HIGH = 7.83, 17
"""Pixels of a character at 13 px."""
OFTEN = 0.25
"""Seconds between two frames, at least."""
LONGEST, LAST = 1.2, 6.0
"""Seconds that a frame is shown at most, and the last one."""
HOSTS = (
    HostSpec("edge-1", "docker", rate="16mbit"),
    HostSpec("edge-2", "podman", rate="10mbit"),
    HostSpec("edge-3", "docker29", rate="12mbit"),
)
COLORS = {
    "black": "#1c2128", "red": "#e5534b", "green": "#57ab5a", "brown": "#c69026", "blue": "#539bf5",
    "magenta": "#b083f0", "cyan": "#39c5cf", "white": "#909dab", "default": "#cdd9e5", "brightblack": "#768390",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Frame:
    """A screen, and how long it was there."""

    rows: tuple[str, ...]
    seconds: float


class Recorder:
    """A terminal whose screens are kept. Each row is kept as the SVG that shows it."""

    def __init__(self) -> None:
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._seen: list[tuple[float, tuple[str, ...]]] = []

    def run(self, shown: str, argv: Sequence[str], stack: Stack) -> None:
        """Run a command to its end, below a prompt that shows it."""
        self._stream.feed(f"\x1b[1m$ {shown}\x1b[0m\r\n".encode())
        self._keep()
        ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        env = {**stack.environment, "TERM": "xterm-256color", "PULUMI_DISABLE_CI_DETECTION": "1"}
        with subprocess.Popen(
            argv, cwd=stack.program, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        ):
            os.close(theirs)
            for data in _read(ours):
                self._stream.feed(data)
                self._keep()
        os.close(ours)
        self._keep(always=True)

    def frames(self) -> list[Frame]:
        """What was seen; waits are cut short."""
        ends = [at for at, _ in self._seen[1:]] + [self._seen[-1][0] + LAST]
        shown = [Frame(rows, min(end - at, LONGEST)) for (at, rows), end in zip(self._seen[:-1], ends, strict=False)]
        return [*shown, Frame(self._seen[-1][1], LAST)]

    def _keep(self, *, always: bool = False) -> None:
        now = time.monotonic()
        if self._seen and now - self._seen[-1][0] < OFTEN and not always:
            return
        rows = tuple(self._row(number) for number in range(ROWS))
        if not self._seen or rows != self._seen[-1][1]:
            self._seen.append((now, rows))

    def _row(self, number: int) -> str:
        """The texts of a row: one for each run of characters that look alike."""
        cells, texts, column = self._screen.buffer[number], [], 0
        while column < COLUMNS:
            begin, first = column, cells[column]
            while column < COLUMNS and (cells[column].fg, cells[column].bold) == (first.fg, first.bold):
                column += 1
            text = "".join(cells[each].data for each in range(begin, column))
            if text.strip():
                start, text = begin + len(text) - len(text.lstrip()), text.strip()
                style = f' fill="{COLORS.get(first.fg, "#" + first.fg)}"' if first.fg != "default" else ""
                style += ' font-weight="700"' if first.bold else ""
                length = f'x="{start * WIDE:.1f}" textLength="{len(text) * WIDE:.1f}"'
                texts.append(f"<text {length}{style}>{escape(text)}</text>")
        return "".join(texts)


def _read(terminal: int) -> Iterator[bytes]:
    """What comes out of it, until nobody holds the other end; nothing now and then, so that time is seen to pass."""
    while True:
        if not select([terminal], [], [], OFTEN)[0]:
            yield b""
            continue
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # EIO
            return
        if not data:
            return
        yield data


def svg(frames: Sequence[Frame]) -> str:
    """The frames as one picture that plays; where motion is not wanted, its last frame."""
    whole = sum(frame.seconds for frame in frames)
    rows = {row: f"r{number}" for number, row in enumerate(dict.fromkeys(r for f in frames for r in f.rows if r))}
    width, height = COLUMNS * WIDE + 32, ROWS * HIGH + 32
    style, groups, at = [], [], 0.0
    for number, frame in enumerate(frames):
        begin, end = 100 * at / whole, 100 * (at + frame.seconds) / whole
        at += frame.seconds
        hidden = f"0%{{opacity:0}}{begin:.3f}%{{opacity:1}}" if number else "0%{opacity:1}"
        after = f"{end:.3f}%{{opacity:0}}100%{{opacity:0}}" if number < len(frames) - 1 else "100%{opacity:1}"
        style.append(f"@keyframes k{number}{{{hidden}{after}}}#f{number}{{animation-name:k{number}}}")
        used = "".join(
            f'<use href="#{rows[row]}" y="{(line + 1) * HIGH}"/>' for line, row in enumerate(frame.rows) if row
        )
        groups.append(f'<g class="f{" z" if number == len(frames) - 1 else ""}" id="f{number}">{used}</g>')
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img">
<title>pulumi preview, then pulumi up, to three hosts: recorded in a terminal</title>
<style>
text {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; }}
.f {{ opacity: 0; }}
.z {{ opacity: 1; }}
@media (prefers-reduced-motion: no-preference) {{
.f {{ animation: {whole:.2f}s step-end infinite; }}
{"".join(style)}
}}
</style>
<rect width="100%" height="100%" rx="8" fill="#1c2128"/>
<defs>{"".join(f'<g id="{name}">{row}</g>' for row, name in rows.items())}</defs>
<g transform="translate(16 12)" fill="{COLORS["default"]}" font-size="13">{"".join(groups)}</g>
</svg>
"""


def main() -> None:
    """Record, and write the picture."""
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as folder, Lab.start(HOSTS, name="record") as lab:
        stack = Stack(CHECKOUT / "examples/quickstart", Path(folder) / "stack")
        image = lab.registry.push(images.build(Path(folder), "1.0"), "gateway:1.0")
        stack.configure(
            {
                "iofog:endpoint": lab.controller().endpoint,
                "iofog:email": EMAIL,
                "quickstart:agents": lab.agents(),
                "quickstart:image": image,
            },
            secrets={"iofog:password": PASSWORD},
        )
        recorder.run("pulumi preview", stack.argv("preview"), stack)
        recorder.run("pulumi up --yes --skip-preview", stack.argv("up", "--yes", "--skip-preview"), stack)
    TARGET.write_text(svg(recorder.frames()))


if __name__ == "__main__":
    main()
