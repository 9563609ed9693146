"""The tutorial does what it says: its commands are run, and its outputs compared.

Blocks of ``sh`` are run, one after the other in one shell. A block of ``text`` shows lines of what the block before
it says, in this order; ``…`` stands for anything. Nothing is set in that shell but what a login sets.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from lab import Lab
from tests.reader import login
from tests.worker import WORKER

pytestmark = pytest.mark.lab
TOP = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_tutorial(tmp_path: Path) -> None:
    name = f"tutorial-{WORKER}"
    blocks = [(kind, text) for kind, text in BLOCK.findall((TOP / "docs/tutorial.md").read_text())]
    script = "".join(f"echo '@@ {number}'\n{text}\n" for number, (kind, text) in enumerate(blocks) if kind == "sh")
    try:
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=TOP,
            env={**login(tmp_path), "LAB_NAME": name},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    finally:
        Lab.found(name).down()
    assert done.returncode == 0, done.stdout
    said = {int(number): text for number, text in re.findall(r"^@@ (\d+)\n(.*?)(?=^@@ |\Z)", done.stdout, re.M | re.S)}
    for number, (kind, text) in enumerate(blocks):
        if kind == "text":
            missing = _missing(text, said[number - 1])
            assert not missing, said[number - 1]


def _missing(wanted: str, said: str) -> list[str]:
    """The lines that do not come in what was said, in this order."""
    rest, missing = said, []
    for line in wanted.splitlines():
        pattern = r"\s+".join(re.escape(word).replace("…", ".*?") for word in line.split())
        found = re.search(pattern, rest)
        if found:
            rest = rest[found.end() :]
        else:
            missing.append(line)
    return missing
