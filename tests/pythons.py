"""The Pythons of this machine that the package is for. ``python -m tests.pythons`` runs the pure tests on each.

Each gets a virtual environment of its own, in the lab's cache.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
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


def _environment(python: str) -> Path:
    """The interpreter of a virtual environment with what the tests need; made when the project's needs change."""
    wanted = hashlib.sha256(f"{python} {(TOP / 'pyproject.toml').read_text()}".encode()).hexdigest()[:16]
    folder = cache_folder() / "pythons" / wanted
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", folder], check=True)
        needs = ["--quiet", "--disable-pip-version-check", f"{TOP}[test]"]
        subprocess.run([folder / "bin" / "pip", "install", *needs], check=True, cwd=TOP)
        # This checkout's package is tested, and another one's may be next.
        quiet = ["--quiet", "--disable-pip-version-check", "--yes"]
        subprocess.run([folder / "bin" / "pip", "uninstall", *quiet, "pulumi-iofog"], check=True)
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
