"""The Pythons of this machine that the package is for. ``python -m tests.pythons`` runs the pure tests on each.

Each gets a virtual environment of its own, in the lab's cache.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from lab.cache import cache_folder

MINORS = range(10, 15)
TOP = Path(__file__).parent.parent
PURE = (
    "tests/check", "tests/inputs", "tests/oci", "tests/program", "tests/rollout", "tests/session", "tests/transfer",
    "tests/adapters/recode", "tests/adapters/host/test_engine_answers.py", "tests/test_convert.py",
    "tests/test_errors.py", "tests/test_examples.py", "tests/test_plugin.py", "tests/test_saved_name.py",
)  # fmt: skip
"""Tests that need neither the lab nor a server."""


def of_this_machine() -> list[str]:
    """The interpreter of each version that is on PATH or of pyenv's, oldest first; not the one that is running."""
    found = []
    for minor in MINORS:
        names = [shutil.which(f"python3.{minor}"), *_of_pyenv(minor)]
        usable = [name for name in names if name and _runs(name, minor)]
        if usable and minor != sys.version_info.minor:
            found.append(usable[0])
    return found


def _of_pyenv(minor: int) -> list[str]:
    return [str(path) for path in Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3.{minor}")]


def _runs(python: str, minor: int) -> bool:
    """pyenv puts commands on PATH that say only that another version is selected."""
    said = subprocess.run([python, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, check=False)
    return said.stdout.strip() == str(minor).encode()


def _needs() -> Iterator[str]:
    """What the package and its pure tests need; the package itself is this checkout's."""
    for requirement in metadata.requires("pulumi-iofog") or ():
        text, _, marker = requirement.partition(";")
        if "extra" not in marker:
            yield requirement
        elif "test" in marker:
            yield text


def _environment(python: str) -> Path:
    """The interpreter of a virtual environment with what the tests need; made when the project's needs change."""
    needs = list(_needs())
    folder = cache_folder() / "pythons" / hashlib.sha256(" ".join([python, *needs]).encode()).hexdigest()[:16]
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *needs], check=True)
        (folder / "ready").touch()
    return folder / "bin" / "python"


def main() -> int:
    """Run the pure tests on each; the number of Pythons that they fail on."""
    failed = 0
    for python in of_this_machine():
        version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        print(f"== {version}", flush=True)
        argv = [str(_environment(python)), "-m", "pytest", "-q", "-p", "no:cacheprovider", *PURE]
        env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(TOP / "provider"), "HOME": str(Path.home())}
        done = subprocess.run(argv, cwd=TOP, env=env, check=False)
        failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
