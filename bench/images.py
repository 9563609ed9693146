"""The benchmark's images, as OCI layouts with an index for linux/amd64; made on demand, kept in the cache.

v1   base, dependencies, application: 222 MB plain, 73 MB gzip
v2   another application
v3   some libraries of the base are others
v4   the same, and every file's time too
v5   the dependencies are upgraded by a patch release
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from bench import layers
from lab.cache import cache_folder
from lab.images import CONFIG, INDEX, LAYER, MANIFEST

RECIPE = "1"
"""Part of the cache's path: another recipe makes everything anew."""
IMAGES = {
    "v1": ("base", "dependencies", "application-1"),
    "v2": ("base", "dependencies", "application-2"),
    "v3": ("base-changed", "dependencies", "application-1"),
    "v4": ("base-rebuilt", "dependencies", "application-1"),
    "v5": ("base", "dependencies-patched", "application-1"),
    "blob-100mb": ("random-100",),
    "fleet-180mb": ("random-70", "random-60", "random-35", "random-12", "random-3"),
    "fleet-180mb-2": ("random-70", "random-60", "random-35", "random-12", "random-3-other"),
    "large-300mb": ("mixed-200", "mixed-100"),
    "large-3gb": ("mixed-2000", "mixed-1000"),
}
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: its gzip blob, and its plain tar's digest; sizes in bytes."""

    name: str
    digest: str
    size: int
    diff_id: str
    plain_size: int


@dataclass(frozen=True, slots=True)
class Image:
    """An image on disk."""

    name: str
    layout: Path
    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        """Bytes of all gzip blobs."""
        return sum(layer.size for layer in self.layers)

    @property
    def plain_size(self) -> int:
        return sum(layer.plain_size for layer in self.layers)

    @property
    def manifest(self) -> dict[str, Any]:
        index = json.loads((self.layout / "index.json").read_text())
        inner = json.loads(self.path(index["manifests"][0]["digest"]).read_text())
        return dict(json.loads(self.path(inner["manifests"][0]["digest"]).read_text()))

    def path(self, digest: str) -> Path:
        return self.layout / blob_path(digest)

    def blobs(self, *, besides: Image | None = None) -> list[Path]:
        """Files of the layers' gzip blobs, without those that another image has too."""
        held = {layer.digest for layer in besides.layers} if besides else set()
        return [self.path(layer.digest) for layer in self.layers if layer.digest not in held]


def image(name: str) -> Image:
    """Find or make an image of IMAGES."""
    made = tuple(_layer(layer) for layer in IMAGES[name])
    layout = _cache("images") / name
    if not (layout / "index.json").exists():
        shutil.rmtree(layout, ignore_errors=True)
        _write_layout(layout, name, made)
    return Image(name, layout, made)


def blob_path(digest: str) -> str:
    """``blobs/sha256/<hex>``."""
    return f"blobs/{digest.replace(':', '/')}"


def put(folder: Path, content: dict[str, Any], media_type: str) -> dict[str, Any]:
    """Write a JSON blob into a layout and return its descriptor."""
    data = json.dumps(content).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    (folder / blob_path(digest)).write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _write_layout(layout: Path, name: str, made: tuple[Layer, ...]) -> None:
    (layout / "blobs/sha256").mkdir(parents=True)
    for layer in made:
        (layout / blob_path(layer.digest)).hardlink_to(_cache("layers") / f"{layer.name}.tar.gz")
    platform = {"os": "linux", "architecture": "amd64"}
    config = {
        **platform,
        "created": "2026-01-01T00:00:00Z",
        "config": {"Cmd": ["/bin/true"], "Labels": {"version": name}},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in made]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": layer.name} for layer in made],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put(layout, config, CONFIG),
        "layers": [{"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in made],
    }
    entries = [{**put(layout, manifest, MANIFEST), "platform": platform}]
    index = put(layout, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, INDEX)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    # Last, as it says that the rest is there.
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))


# ---- layers ----------------------------------------------------------------------------------------------


def _layer(name: str) -> Layer:
    kept = _cache("layers") / f"{name}.tar.gz"
    record = kept.with_name(f"{name}.json")
    if not record.exists():
        with _work() as work:
            layers.make(name, work / "plain.tar", lambda other: _plain(other, work))
            layer = _compress(name, work / "plain.tar", kept)
        record.write_text(json.dumps(asdict(layer)))
    return Layer(**json.loads(record.read_text()))


def _plain(name: str, work: Path) -> Path:
    _layer(name)
    path = work / f"{name}.tar"
    with gzip.open(_cache("layers") / f"{name}.tar.gz") as packed, path.open("wb") as plain:
        shutil.copyfileobj(packed, plain, CHUNK)
    return path


def _compress(name: str, plain: Path, kept: Path) -> Layer:
    """gzip -6 as registries have it, streamed; both digests on the way."""
    diff_id, size, target = hashlib.sha256(), 0, plain.with_suffix(".gz")
    with plain.open("rb") as file, target.open("wb") as raw, _packer(raw) as packed:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            diff_id.update(chunk)
            size += len(chunk)
            packed.write(chunk)
    digest = hashlib.sha256()
    with target.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    target.replace(kept)
    return Layer(name, f"sha256:{digest.hexdigest()}", kept.stat().st_size, f"sha256:{diff_id.hexdigest()}", size)


def _packer(raw: IO[bytes]) -> gzip.GzipFile:
    return gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0)


@contextmanager
def _work() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=_cache("layers")) as folder:
        yield Path(folder)


def _cache(part: str) -> Path:
    folder = cache_folder() / "bench" / RECIPE / part
    folder.mkdir(parents=True, exist_ok=True)
    return folder
