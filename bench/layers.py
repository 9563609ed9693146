"""What the benchmark's images are made of: plain tars, made once, kept, and equal at every making.

base               a Debian root as debootstrap's minbase makes it, without apt's lists and archives
base-changed       six of its libraries patched: some bytes inserted, many overwritten, as an update does
base-rebuilt       the same, and every file's time is another, as after a rebuild
dependencies(-patched)   numpy and pandas, and both upgraded by a patch release
application-1, -2  2 MB that do not compress
random-N, mixed-N  N MB that do not compress; N MB of which 60 % are zeros
"""

from __future__ import annotations

import io
import random
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from lab.shell import run

RELEASE = "bookworm"
LEFT_OUT = ("./dev", "./proc", "./sys", "./var/cache/apt", "./var/lib/apt/lists", "./var/log")
WHEELS = {
    "dependencies": ("numpy==2.3.3", "pandas==2.3.2"),
    "dependencies-patched": ("numpy==2.3.4", "pandas==2.3.3"),
}
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_27_x86_64", "manylinux_2_28_x86_64")
BUILT, REBUILT = 1_767_225_600, 1_769_904_000
"""Seconds since the epoch: when the files of the first and of the rebuilt base seem to be made."""
PATCHED_LIBRARIES = 6
MEGABYTE = 1_000_000


def make(name: str, target: Path, plain: Callable[[str], Path]) -> None:
    """Write the layer's plain tar.

    Args:
        plain: gives another layer's plain tar, for those that are made from one.
    """
    kind, _, detail = name.partition("-")
    if name == "base":
        _base(target)
    elif kind == "base":
        _changed_base(plain("base"), target, rebuilt=detail == "rebuilt")
    elif kind == "dependencies":
        _dependencies(WHEELS[name], target)
    elif kind == "application":
        _write_tar(target, [("app/version", f"{name}\n".encode()), ("app/data", _noise(name, 2 * MEGABYTE))])
    elif kind in ("random", "mixed"):
        megabytes, _, salt = detail.partition("-")
        _filler(target, int(megabytes), name + salt, mixed=kind == "mixed")
    else:
        raise KeyError(name)


# ---- base ------------------------------------------------------------------------------------------------


def _base(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        root = Path(work, "root")
        debootstrap, env = _debootstrap(Path(work))
        run("env", *env, debootstrap, "--variant=minbase", RELEASE, root)
        order = ("--sort=name", f"--mtime=@{BUILT}", "--numeric-owner", "--format=gnu")
        run("tar", "-C", root, *order, *(f"--exclude={path}" for path in LEFT_OUT), "-cf", target, ".")


def _debootstrap(work: Path) -> tuple[Path, list[str]]:
    """The program and its environment: the machine's, or from its package, which is not installed."""
    installed = shutil.which("debootstrap", path="/usr/sbin:/usr/bin")
    if installed:
        return Path(installed), []
    run("sh", "-c", f"cd {work} && apt-get -oAPT::Sandbox::User=root download debootstrap && dpkg-deb -x *.deb tool")
    return work / "tool/usr/sbin/debootstrap", [f"DEBOOTSTRAP_DIR={work}/tool/usr/share/debootstrap"]


def _changed_base(base: Path, target: Path, *, rebuilt: bool) -> None:
    with tarfile.open(base) as old, tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as new:
        members = old.getmembers()
        libraries = [m.name for m in members if m.isreg() and ".so" in m.name and 200_000 < m.size < 3 * MEGABYTE]
        patched = set(random.Random("libraries").sample(sorted(libraries), PATCHED_LIBRARIES))
        for number, member in enumerate(members):
            if rebuilt:
                # As an unpacking does: files a few to the second, in order.
                member.mtime = REBUILT + number // 50
            file = old.extractfile(member) if member.isreg() else None
            data = file.read() if file else b""
            if member.name in patched:
                data = _patched(data, random.Random(member.name))
                member.size = len(data)
            new.addfile(member, io.BytesIO(data))


def _patched(data: bytes, chance: random.Random) -> bytes:
    """A library after a small fix: one place has grown, and addresses all over it are others."""
    grown = chance.randrange(len(data) // 4, len(data) // 2)
    changed = bytearray(data[:grown] + chance.randbytes(64) + data[grown:])
    for _ in range(32):
        at = chance.randrange(len(changed) - 16)
        changed[at : at + 4] = chance.randbytes(4)
    return bytes(changed)


# ---- the others ------------------------------------------------------------------------------------------


def _dependencies(wheels: Iterable[str], target: Path) -> None:
    """The wheels, unpacked as pip would, without running anything of them."""
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        which: tuple[str, ...] = ("--no-deps", "--only-binary=:all:", "--python-version", "3.11")
        which += tuple(word for platform in PLATFORMS for word in ("--platform", platform))
        run(sys.executable, "-m", "pip", "download", "--quiet", *which, "-d", work, *wheels)
        files = [
            (f"usr/local/lib/python3.11/site-packages/{entry.filename}", archive.read(entry))
            for archive in (zipfile.ZipFile(path) for path in sorted(Path(work).glob("*.whl")))
            for entry in sorted(archive.infolist(), key=lambda entry: entry.filename)
            if not entry.is_dir()
        ]
        _write_tar(target, files)


def _filler(target: Path, megabytes: int, salt: str, *, mixed: bool) -> None:
    """Files of 10 MB; a large layer is never in memory as a whole."""
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for number in range(0, megabytes, 10):
            size = min(10, megabytes - number) * MEGABYTE
            noise = _noise(f"{salt} {number}", size * 2 // 5 if mixed else size)
            _add(tar, f"data/{number:05}", noise + bytes(size - len(noise)))


def _noise(salt: str, size: int) -> bytes:
    return random.Random(salt).randbytes(size)


def _write_tar(target: Path, files: Iterable[tuple[str, bytes]]) -> None:
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in files:
            _add(tar, name, data)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), 0o755, BUILT
    tar.addfile(entry, io.BytesIO(data))
