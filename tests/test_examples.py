"""The examples' own parts that need no engine: the unit test that one shows, the comment that another writes."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_the_unit_tests_that_an_example_shows_pass() -> None:
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "."]
    done = subprocess.run(argv, cwd=EXAMPLES / "unit-test", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.parametrize("example", sorted(path.parent.name for path in EXAMPLES.glob("*/Pulumi.yaml")))
def test_every_example_says_what_it_is_and_installs_what_it_needs(example: str) -> None:
    folder = EXAMPLES / example
    assert 5 <= len((folder / "README.md").read_text().splitlines()) <= 20
    assert (folder / "requirements.txt").read_text().startswith("../..")
    assert f"name: {example}\n" in (folder / "Pulumi.yaml").read_text()


def step(op: str, old: dict[str, str] | None, new: dict[str, str] | None) -> dict[str, Any]:
    urn = "urn:pulumi:prod::ci::pulumi-python:dynamic/iofog:OfflineImage::gateway"
    states = {
        key: {"inputs": {"agent_digests": digests}}
        for key, digests in (("oldState", old), ("newState", new))
        if digests is not None
    }
    return {"op": op, "urn": urn, **states}


def test_the_comment_names_agents_and_digests() -> None:
    write = runpy.run_path(str(EXAMPLES / "ci-preview" / "comment.py"))["comment"]
    old, new = {"edge-1": f"sha256:{'a' * 64}"}, {"edge-1": f"sha256:{'b' * 64}", "edge-2": f"sha256:{'b' * 64}"}
    said = step("update", old, new)
    line = {"severity": "info", "urn": said["urn"], "message": "2 of 2 agents to update (1 MB each)\n"}
    assert write({"steps": [said], "diagnostics": [line]}) == (
        "### Edge images\n\n**gateway** is updated\n> 2 of 2 agents to update (1 MB each)\n\n"
        "| agent | holds | will hold |\n|---|---|---|\n"
        "| edge-1 | `sha256:aaaaaaaaaaaa` | `sha256:bbbbbbbbbbbb` |\n| edge-2 | – | `sha256:bbbbbbbbbbbb` |\n"
    )
    assert write({"steps": [step("same", old, old)]}) == "### Edge images\n\nNo edge host is affected.\n"
