"""Images of real structure, made without any registry: base, dependencies, application.

    base            busybox, statically linked, of the image's own architecture (Debian's busybox-static)
    dependencies    the Python packages that this project itself depends on
    application     a script that says its version, and some data; the only layer that versions change

Every image is an OCI image layout whose index has linux/amd64, linux/arm64 and linux/arm/v7.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import sysconfig
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lab.cache import cache_folder
from lab.shell import run

PLATFORMS = {"amd64": "linux/amd64", "arm64": "linux/arm64", "armhf": "linux/arm/v7"}
"""Debian's architecture → the image's platform."""
PACKAGES = ("requests", "urllib3", "yaml", "docker", "paramiko", "cryptography", "idna")
APPLETS = ("sh", "cat", "echo", "ls", "sleep", "true", "uname")
LARGE = 500_000
"""Bytes of a layer whose compression is worth keeping."""
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class Layer:
    """A gzip layer and the digest of its plain tar."""

    blob: bytes
    diff_id: str
    made_by: str


def build(folder: Path, version: str, *, platforms: Sequence[str] = tuple(PLATFORMS)) -> Path:
    """Make the image of a version as an OCI layout and return its folder.

    Args:
        version: what the application says that it is; equal versions are equal byte for byte.
        platforms: Debian architectures to build for.
    """
    layout = folder / f"app-{version}"
    shutil.rmtree(layout, ignore_errors=True)
    (layout / "blobs/sha256").mkdir(parents=True)
    entries = [_image(layout, version, arch) for arch in platforms]
    index = _blob(layout, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, INDEX)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    # An index of one: what is pushed from here is the image's own index, whole.
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))
    return layout


def write_pause(archive: Path, name: str) -> None:
    """The image that sandboxes are made of, which only sleeps, as an archive that containerd can import."""
    layer = _layer({"bin/busybox": busybox("amd64")}, {}, "pause")
    platform = {"os": "linux", "architecture": "amd64"}
    config = {
        **platform,
        "config": {"Entrypoint": ["/bin/busybox", "sleep", "2147483647"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
    }
    with tempfile.TemporaryDirectory() as folder:
        layout = Path(folder)
        (layout / "blobs/sha256").mkdir(parents=True)
        layers = [_blob(layout, layer.blob, LAYER)]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _blob(layout, config, CONFIG),
            "layers": layers,
        }
        entry = {**_blob(layout, manifest, MANIFEST), "annotations": {"io.containerd.image.name": name}}
        (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        with tarfile.open(archive, "w") as tar:
            tar.add(layout, arcname=".")


def single(folder: Path, version: str, arch: str) -> Path:
    """The same image for one architecture only, without an index of its own."""
    layout = build(folder / f"only-{arch}", version, platforms=[arch])
    index = json.loads((layout / "index.json").read_text())
    inner = json.loads((layout / _path(index["manifests"][0]["digest"])).read_text())
    entry = {key: value for key, value in inner["manifests"][0].items() if key != "platform"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return layout


def _image(layout: Path, version: str, arch: str) -> dict[str, Any]:
    os, architecture, *variant = PLATFORMS[arch].split("/")
    platform = {"os": os, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
    layers = [_base(arch), _dependencies(), _application(version)]
    config = {
        **platform,
        "created": "2026-01-01T00:00:00Z",
        "config": {"Entrypoint": ["/bin/sh", "/app/run"], "Env": ["PATH=/bin"], "Labels": {"version": version}},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": layer.made_by} for layer in layers],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _blob(layout, config, CONFIG),
        "layers": [_blob(layout, layer.blob, LAYER) for layer in layers],
    }
    return {**_blob(layout, manifest, MANIFEST), "platform": platform}


@cache
def _base(arch: str) -> Layer:
    files: dict[str, bytes] = {"bin/busybox": busybox(arch), "etc/passwd": b"root:x:0:0:root:/:/bin/sh\n"}
    return _layer(files, {f"bin/{name}": "busybox" for name in APPLETS}, "base")


@cache
def _dependencies() -> Layer:
    site = Path(sysconfig.get_path("platlib"))
    files = {
        f"opt/python/{path.relative_to(site)}": path.read_bytes()
        for package in PACKAGES
        for path in sorted((site / package).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    return _layer(files, {}, "dependencies")


@cache
def _application(version: str) -> Layer:
    # Data that does not compress, so that the layer's size on the wire is what it seems.
    data = random.Random(version).randbytes(300_000)
    script = f"echo application {version}\n"
    return _layer({"app/run": script.encode(), "app/data": data}, {}, "application")


def _layer(files: Mapping[str, bytes], links: Mapping[str, str], made_by: str) -> Layer:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
        for name, target in sorted(links.items()):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    diff_id = _digest(plain.getvalue())
    return Layer(_zipped(plain.getvalue(), diff_id), diff_id, made_by)


def _zipped(plain: bytes, diff_id: str) -> bytes:
    """The layer's blob. Large ones are kept in the lab's cache: they take each process that makes an image 3 seconds,
    and never change."""
    kept = cache_folder() / "layers" / diff_id.removeprefix("sha256:")
    if kept.exists():
        return kept.read_bytes()
    blob = gzip.compress(plain, 6, mtime=0)
    if len(blob) > LARGE:
        kept.parent.mkdir(parents=True, exist_ok=True)
        work = kept.with_name(f"{kept.name}.{os.getpid()}")
        work.write_bytes(blob)
        work.replace(kept)
    return blob


def _blob(layout: Path, content: bytes | dict[str, Any], media_type: str) -> dict[str, Any]:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (layout / _path(_digest(data))).write_bytes(data)
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _path(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def busybox(arch: str) -> bytes:
    """busybox of a Debian architecture, from its package; downloaded once, into the lab's cache."""
    kept = cache_folder() / "busybox" / arch
    kept.parent.mkdir(parents=True, exist_ok=True)
    with (kept.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            _download_busybox(arch, kept)
    return kept.read_bytes()


def _download_busybox(arch: str, kept: Path) -> None:
    work = kept.with_name(f"{arch}.work")
    shutil.rmtree(work, ignore_errors=True)
    for part in ("lists/partial", "archives/partial"):
        (work / part).mkdir(parents=True)
    # An apt of its own, so that the machine's architectures and lists stay as they are.
    options = {
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "APT::Sandbox::User": "root",
        "Dir::State::lists": work / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": work,
        "Acquire::Languages": "none",
    }
    flags = [f"-o{key}={value}" for key, value in options.items()]
    # A list that cannot be had need not be the one that has busybox.
    run("apt-get", *flags, "update", check=False)
    run("sh", "-c", f"cd {work} && apt-get {' '.join(flags)} download busybox-static && dpkg-deb -x *.deb tree")
    # From Debian 13 on, packages have what was in /bin under /usr/bin.
    (found,) = (work / "tree").glob("**/bin/busybox")
    found.replace(kept)
    shutil.rmtree(work)
