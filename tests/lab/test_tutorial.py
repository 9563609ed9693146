"""The tutorial does what it says: its commands are run, and its outputs compared.

Blocks of ``sh`` are run, one after the other in one shell. A block of ``text`` shows lines of what the block before
it says, in this order; ``…`` stands for anything. Blocks of ``bash`` are for reading only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab import Lab
from lab.cache import cache_folder
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
            cwd=tmp_path,
            env={**_environment(tmp_path), "LAB_NAME": name},
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


def _environment(folder: Path) -> dict[str, str]:
    """The user's, after ``. .venv/bin/activate`` in the project's folder, with a home of its own."""
    cache = folder / "home/.cache"
    cache.mkdir(parents=True)
    (cache / cache_folder().name).symlink_to(cache_folder())
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "XDG_"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**kept, "HOME": str(folder / "home"), "PATH": path, "PYTHONPATH": f"{TOP}:{TOP / 'provider'}"}


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
