"""The examples, as a type checker sees them that is as strict as ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
CACHE = EXAMPLES.parent / ".mypy_cache"


@pytest.mark.parametrize("example", sorted(path.parent.name for path in EXAMPLES.glob("*/Pulumi.yaml")))
def test_an_example_is_typed(example: str) -> None:
    files = [path.name for path in (EXAMPLES / example).glob("*.py")]
    # With the cache of `make check`: Pulumi's SDK takes a while to read.
    argv = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={CACHE}", "--config-file=", *files]
    done = subprocess.run(argv, cwd=EXAMPLES / example, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
