"""``python -m lab.build [demo]``: brings what the lab needs and no package has: the Pulumi engine, Docker 29, edgelet.

Each is taken from where it is published, else built from its Go modules, into the lab's cache, once. ``demo`` waits
for Pulumi only; the rest is then still being built, and the demo asks ``wait`` for it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from lab.cache import SOURCES, cache_folder, edgelet_target, pulumi_bin
from lab.golang import GoProgram, Report, build, build_in, module_folder
from lab.shell import CommandFailed

PULUMI = "v3.259.0"
PULUMI_LANGUAGE_PYTHON = "v3.79.0"
"""The last one that is part of the SDK's module; it drives newer engines."""
DOCKER = "https://download.docker.com/linux/static/stable/x86_64/docker-29.4.1.tgz"
DOCKER_SHA256 = "0fb3d2b72414ab862d68517f0b17b78c93c149d1c5c461acb969aacde1a2189d"
"""As several public projects pin it, independently of each other: Docker publishes none."""
MOBY = "v2.0.0-beta.24"
CONTAINERD = "v2.4.2"
ENGINES = ("dockerd", "containerd", "containerd-shim-runc-v2")

INSTALLER = """
import sys
from pulumi.automation import PulumiCommand
from semver import VersionInfo
PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))
"""


def main(argv: Sequence[str]) -> int:
    """Build one part here if it is named; else all of them, each in a process of its own, and show how far they are."""
    if argv and argv[0] in PARTS:
        _build_here(argv[0])
        return 0
    for part in PARTS:
        if not PARTS[part][0]():
            _start(part)
    try:
        for part in ["pulumi"] if list(argv) == ["demo"] else PARTS:
            wait(part)
    except CommandFailed as problem:
        print(f"setup: {problem}", file=sys.stderr)
        return 1
    return 0


def ready(part: str) -> bool:
    """Whether ``pulumi``, or ``engines`` (Docker 29 and edgelet), need not be waited for."""
    return PARTS[part][0]()


def wait(part: str) -> None:
    """Until it is built, wherever that is done; shows on standard output how far it is.

    Raises:
        CommandFailed: it could not be built, with the reason.
    """
    began, terminal, shown = time.monotonic(), sys.stdout.isatty(), 0.0
    while not _is_idle(part):
        now = time.monotonic()
        line = f"setup: {_read(part)} ({now - began:.0f} s)"
        if terminal:
            print(f"\r{line[: shutil.get_terminal_size().columns - 1]}\033[K", end="", flush=True)
        elif now - shown > 20:
            print(line, flush=True)
            shown = now
        time.sleep(0.5)
    if terminal:
        print("\r\033[K", end="", flush=True)
    if not ready(part):
        raise CommandFailed(f"{part}: {_read(part)}")


# ---- one part, in a process of its own ------------------------------------------------------------------


def _start(part: str) -> None:
    # In the terminal's process group, so that Ctrl-C ends it too. Pulumi first: nothing can be shown without it.
    nice = [] if part == "pulumi" else ["nice", "-n", "19"]
    child = subprocess.Popen([*nice, sys.executable, "-m", "lab.build", part], stdin=subprocess.DEVNULL)
    while _is_idle(part) and child.poll() is None:
        time.sleep(0.05)
    child.returncode = 0  # it may go on when this process has ended


def _build_here(part: str) -> None:
    with _lock(part).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if not ready(part):
                _write(part, f"{part}: looking for Go")
                PARTS[part][1](lambda how_far: _write(part, how_far))
        except (CommandFailed, OSError, subprocess.SubprocessError) as problem:
            _write(part, f"failed: {problem}")


def _is_idle(part: str) -> bool:
    with _lock(part).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _lock(part: str) -> Path:
    return _status(part).with_suffix(".lock")


def _status(part: str) -> Path:
    folder = cache_folder() / "building"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / part


def _write(part: str, how_far: str) -> None:
    work = _status(part).with_suffix(".new")
    work.write_text(how_far)
    work.replace(_status(part))


def _read(part: str) -> str:
    return _status(part).read_text() if _status(part).exists() else f"{part}: nothing has been built"


# ---- Pulumi: on PATH, else by its installer, else from its Go modules -----------------------------------


def _has_pulumi() -> bool:
    path = f"{os.environ['PATH']}:{pulumi_bin()}"
    return all(shutil.which(name, path=path) for name in ("pulumi", "pulumi-language-python"))


def _pulumi(report: Report) -> None:
    report("pulumi: running its installer")
    argv = [sys.executable, "-c", INSTALLER, str(pulumi_bin().parent), PULUMI.removeprefix("v")]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=300, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        done = False
    if done and _has_pulumi():
        return
    shutil.rmtree(pulumi_bin(), ignore_errors=True)
    version = f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={PULUMI}"
    sdk = "github.com/pulumi/pulumi/sdk/v3"
    language = f"{sdk}/python/cmd/pulumi-language-python"
    build(GoProgram(language, PULUMI_LANGUAGE_PYTHON, pulumi_bin() / "pulumi-language-python"), report)
    scripts = module_folder(sdk, PULUMI) / "python"
    for script in ("cmd/pulumi-language-python-exec", "dist/pulumi-resource-pulumi-python"):
        target = pulumi_bin() / Path(script).name
        shutil.copy(scripts / script, target)
        target.chmod(0o755)
    build(GoProgram("github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", PULUMI, pulumi_bin() / "pulumi", version), report)


# ---- Docker 29, whose default is containerd's image store, and the lab's edgelet -------------------------


def _has_engines() -> bool:
    return all((_docker_bin() / name).is_file() for name in ENGINES) and edgelet_target().is_file()


def _engines(report: Report) -> None:
    if not all((_docker_bin() / name).is_file() for name in ENGINES):
        try:
            _download_docker(report)
        except (OSError, CommandFailed):
            _build_docker(report)
    if not edgelet_target().is_file():
        build_in(SOURCES, ".", edgelet_target(), "", report)


def _docker_bin() -> Path:
    return cache_folder() / "docker-29" / "bin"


def _download_docker(report: Report) -> None:
    """By Docker's static archive; OSError where it can't be had, CommandFailed if it is another than it should be."""
    report("Docker 29: looking for its static archive")
    with tempfile.TemporaryFile() as archive, urllib.request.urlopen(DOCKER, timeout=10) as response:
        whole, digest = int(response.headers.get("Content-Length", 0)), hashlib.sha256()
        while part := response.read(1 << 20):
            archive.write(part)
            digest.update(part)
            report(f"Docker 29: {archive.tell() / 1e6:.0f} of {whole / 1e6:.0f} MB downloaded")
        if digest.hexdigest() != DOCKER_SHA256:
            raise CommandFailed(f"{DOCKER}: got sha256 {digest.hexdigest()}, want {DOCKER_SHA256}")
        archive.seek(0)
        unpack(archive, _docker_bin())


def unpack(archive: IO[bytes], folder: Path) -> None:
    """Put the engine's programs out of Docker's static archive into a folder, which appears when it is complete."""
    work = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with tarfile.open(fileobj=archive, mode="r:gz") as tar:
        for name in ENGINES:
            member = tar.extractfile(f"docker/{name}")
            assert member is not None
            with (work / name).open("wb") as target:
                shutil.copyfileobj(member, target)
            (work / name).chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)
    work.rename(folder)


def _build_docker(report: Report) -> None:
    containerd, moby = "github.com/containerd/containerd/v2/cmd", "github.com/moby/moby/v2"
    version = f"-X {moby}/dockerversion.Version=29.0.0-lab"
    for program in (
        GoProgram(f"{containerd}/containerd", CONTAINERD, _docker_bin() / "containerd"),
        GoProgram(f"{containerd}/containerd-shim-runc-v2", CONTAINERD, _docker_bin() / "containerd-shim-runc-v2"),
        GoProgram(f"{moby}/cmd/dockerd", MOBY, _docker_bin() / "dockerd", version),
    ):
        build(program, report)


PARTS = {"pulumi": (_has_pulumi, _pulumi), "engines": (_has_engines, _engines)}
"""What there is to build → whether it is there, and how it is made."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
