"""``check_widths.py SITE [PICTURES]``: nothing of a built page is cut off at the widths that people read it with.

Every page is looked at in a real browser (Chromium, driven over its debugging pipe), at the width of a laptop and of a
telephone: neither the page, nor a code block, nor a table may be wider than its place. With PICTURES, a folder, each
page's picture at each width goes there, for a person to look at.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDTHS = (1280, 390)
HEIGHT = 900
# What is cut off, by a pixel or more: its kind and how it begins.
MEASURE = """
(() => {
  const cut = (element) => element.scrollWidth > element.clientWidth + 1;
  const found = cut(document.documentElement) ? [`the page, ${document.documentElement.scrollWidth} pixels wide`] : [];
  const edge = document.documentElement.clientWidth + 1;
  for (const element of document.querySelectorAll('pre > code, .md-typeset__table, .md-typeset__scrollwrap, table'))
    if (element.offsetParent && (cut(element) || element.getBoundingClientRect().right > edge))
      found.push(`${element.localName} ${JSON.stringify(element.textContent.trim().slice(0, 60))}`);
  return found;
})()
"""


class Browser:
    """One page of a Chromium without a window. Its protocol: JSON, ended by a zero byte, over two pipes."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers, self._read = requests, answers, bytearray()
        self._number, self._events = 0, list[str]()
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.do("Page.enable")

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        """What a command answers; events that come before are kept."""
        self._number += 1
        session = {"sessionId": self._session} if hasattr(self, "_session") else {}
        request = {"id": self._number, "method": method, "params": params, **session}
        os.write(self._requests, json.dumps(request).encode() + b"\0")
        while (message := self._next()).get("id") != self._number:
            self._events.append(message["method"])
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return dict(message["result"])

    def open(self, path: Path, width: int) -> None:
        """Load a file, and wait until it is whole."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=HEIGHT, deviceScaleFactor=1, mobile=False)
        self._events.clear()
        self.do("Page.navigate", url=path.as_uri())
        while "Page.loadEventFired" not in self._events:
            self._events.append(self._next()["method"])

    def value(self, script: str) -> Any:
        return self.do("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def picture(self) -> bytes:
        return base64.b64decode(self.do("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            part = os.read(self._answers, 1 << 20)
            if not part:
                raise RuntimeError("chromium has ended")
            self._read += part
        message, _, self._read = self._read.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium, ended at the end; as root it does without its own sandbox."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise FileNotFoundError("no Chromium; on Debian: apt-get install chromium")
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    with tempfile.TemporaryDirectory() as home:
        flags = [
            "--headless=new",
            "--disable-gpu",
            "--no-sandbox",
            "--remote-debugging-pipe",
            f"--user-data-dir={home}",
        ]
        # It reads from descriptor 3 and writes to 4.
        shell = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        running = subprocess.Popen(
            ["sh", "-c", shell, program, *flags, f"--user-data-dir={home}"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Browser(ours_out, ours_in)
        finally:
            running.terminate()
            running.wait(20)


def main(site: Path, pictures: Path | None) -> int:
    """Print what is cut off; the exit code."""
    pages = sorted(path for path in site.rglob("*.html") if path.name != "404.html")
    wrong = []
    with browser() as chromium:
        for page in pages:
            for width in WIDTHS:
                chromium.open(page, width)
                name = page.relative_to(site)
                wrong += [f"{name} at {width} pixels: {what}" for what in chromium.value(MEASURE)]
                if pictures:
                    pictures.mkdir(parents=True, exist_ok=True)
                    target = pictures / f"{str(name.with_suffix('')).replace('/', '-')}-{width}.png"
                    target.write_bytes(chromium.picture())
    print("\n".join(wrong) or f"{len(pages)} pages fit into {' and '.join(map(str, WIDTHS))} pixels")
    return 1 if wrong or not pages else 0


if __name__ == "__main__":
    folder, *more = map(Path, sys.argv[1:])
    sys.exit(main(folder.resolve(), more[0] if more else None))
