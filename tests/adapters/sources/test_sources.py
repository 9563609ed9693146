"""Archives and layouts as sources of images: what skopeo, docker and others write is what is read."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.shell import run
from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.adapters.sources.local import Local
from pulumi_iofog.errors import SourceError
from pulumi_iofog.oci.image import (
    AMD64,
    ARM64,
    OCI_INDEX,
    OCI_MANIFEST,
    Reference,
    assemble,
    parse_config,
    parse_index,
    parse_manifest,
    pick,
    sha256,
)
from tests.images import index_of, make_image, write_layout

X86 = make_image({"bin/app": b"binary" * 1000}, {"etc/app": b"x86"}, platform=AMD64)
ARM = make_image({"bin/app": b"BINARY" * 1000}, {"etc/app": b"arm"}, platform=ARM64)
INDEX = index_of(X86, ARM, media_type=OCI_INDEX)
NAME = "registry.example/app:1"

MakeLocal = Callable[[], Local]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "cache")
    yield store
    store.close()


@pytest.fixture
def local(store: Store) -> Local:
    return Local(store.records, store)


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A layout of an index without a name."""
    return write_layout(tmp_path / "both", INDEX, OCI_INDEX, X86, ARM)


def skopeo(source: str, *there: str) -> None:
    run("skopeo", "copy", "--quiet", *there[1:], source, there[0])


@pytest.fixture
def archive(tmp_path: Path, both: Path) -> Path:
    """What skopeo makes of it for docker load: one platform, plain layers."""
    skopeo(f"oci:{both}", f"docker-archive:{tmp_path}/app.tar:{NAME}", "--override-arch=amd64")
    return tmp_path / "app.tar"


def single(local: Local, text: str) -> tuple[Reference, bytes, bytes]:
    """The complete reference, the manifest and the config of a single image, every blob of which is right."""
    reference = local.named(Reference.parse(text))
    raw, media_type = local.manifest(reference)
    manifest = parse_manifest(raw, media_type)
    for blob in (manifest.config, *manifest.layers):
        data = b"".join(local.blob(reference, blob))
        assert (sha256(data), len(data)) == (blob.digest, blob.size)
        assert b"".join(local.blob(reference, blob, 100)) == data[100:]
    config = b"".join(local.blob(reference, manifest.config))
    assemble(reference, AMD64, manifest, config)
    return reference, raw, config


# ---- layouts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["oci", "oci-archive"])
def test_an_index_from_skopeo(tmp_path: Path, both: Path, local: Local, transport: str) -> None:
    skopeo(f"oci:{both}", f"{transport}:{tmp_path}/copy:{NAME}", "--all")
    reference = local.named(Reference.parse(f"{transport}:{tmp_path}/copy"))
    assert reference.text == f"{transport}:{tmp_path}/copy:{NAME}"
    assert (reference.full_name, reference.catalog_name) == (NAME, NAME)
    raw, media_type = local.manifest(reference)
    assert (raw, media_type) == (INDEX, OCI_INDEX)
    for made, platform in ((X86, AMD64), (ARM, ARM64)):
        entry = pick(parse_index(raw), platform)
        assert entry
        assert local.manifest(reference, entry.blob.digest) == (made.image.manifest.raw, OCI_MANIFEST)
        for layer in made.image.layers:
            assert b"".join(local.blob(reference, layer.blob)) == made.blobs[layer.blob.digest]


@pytest.mark.parametrize("packed", ["", "gzip", "zstd", "bzip2", "xz"])
def test_a_single_image_of_an_archive_however_compressed(
    tmp_path: Path, both: Path, local: Local, store: Store, packed: str
) -> None:
    file = tmp_path / "gateway.tar"
    skopeo(f"oci:{both}", f"oci-archive:{file}:1.4", "--override-arch=arm64")
    if packed:
        run(packed, *(["-q", "--rm"] if packed == "zstd" else []), file)
        (file,) = tmp_path.glob("gateway.tar.*")
    reference, raw, _ = single(local, f"oci-archive:{file}")
    assert raw == ARM.image.manifest.raw
    # The tag that it has there, and the file's name.
    assert (reference.text, reference.catalog_name) == (f"oci-archive:{file}:1.4", "gateway:1.4")
    assert reference.full_name == "docker.io/library/gateway:1.4"
    assert len(list((store.root / "derived").iterdir())) == (1 if packed else 0)


def test_one_of_several_by_its_name(tmp_path: Path, both: Path, local: Local) -> None:
    place = f"oci:{tmp_path}/many"
    skopeo(f"oci:{both}", f"{place}:{NAME}", "--override-arch=amd64")
    skopeo(f"oci:{both}", f"{place}:other", "--override-arch=arm64")
    assert single(local, f"{place}:{NAME}")[1] == X86.image.manifest.raw
    assert single(local, f"{place}:other")[1] == ARM.image.manifest.raw
    with pytest.raises(SourceError, match=rf"it has several images: other, {NAME}\. Write PATH:NAME"):
        local.named(Reference.parse(place))
    with pytest.raises(SourceError, match=r"absent:1 not found; it has other, registry"):
        local.manifest(Reference.parse(f"{place}:absent:1"))


def test_one_by_its_digest(both: Path, local: Local) -> None:
    for made in (X86, ARM):
        digest = made.image.manifest.manifest_digest
        reference, raw, _ = single(local, f"oci:{both}:@{digest}")
        assert raw == made.image.manifest.raw
        assert reference.full_name == f"docker.io/library/both:sha256-{digest.hex}"
        assert local.manifest(Reference.parse(f"oci:{both}:plant/app:2@{digest}"))[0] == raw
    with pytest.raises(
        SourceError,
        match=r"looking for sha256:0+: not found in it\. It may have been replaced in the meantime, or lack",
    ):
        local.manifest(Reference.parse(f"oci:{both}:@sha256:{'0' * 64}"))


def test_the_names_that_buildx_writes(tmp_path: Path, local: Local) -> None:
    """The fuller one is the image's; the tag, by which skopeo knows it, does as well."""
    names = {"io.containerd.image.name": "docker.io/plant/app:2", "org.opencontainers.image.ref.name": "2"}
    folder = write_layout(tmp_path / "out", X86.image.manifest.raw, OCI_MANIFEST, X86, annotations=names)
    for text in ("", ":2", ":plant/app:2", ":docker.io/plant/app:2"):
        reference, raw, _ = single(local, f"oci:{folder}{text}")
        assert raw == X86.image.manifest.raw
        assert reference.full_name == "docker.io/plant/app:2"


def test_platforms_without_an_index_of_their_own(tmp_path: Path, both: Path, local: Local) -> None:
    entries = json.loads(INDEX)["manifests"]
    (both / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    reference = local.named(Reference.parse(f"oci:{both}"))
    raw, media_type = local.manifest(reference)
    assert media_type == OCI_INDEX
    assert [entry.platform for entry in parse_index(raw)] == [AMD64, ARM64]


# ---- docker save ------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", ["", "gzip", "zstd"])
def test_a_docker_archive(local: Local, archive: Path, packed: str) -> None:
    """Its manifest is made of config and layers, which are plain; the image id is the config's digest."""
    if packed:
        run(packed, *(["-q", "--rm"] if packed == "zstd" else []), archive)
        (archive,) = archive.parent.glob("app.tar.*")
    reference, raw, config = single(local, f"docker-archive:{archive}")
    assert reference.text == f"docker-archive:{archive}:{NAME}"
    assert reference.catalog_name == NAME
    manifest = parse_manifest(raw, OCI_MANIFEST)
    assert [blob.digest for blob in manifest.layers] == list(X86.image.diff_ids)
    assert parse_config(config) == (AMD64, X86.image.diff_ids)
    assert manifest.config.digest == sha256(config)


def test_the_same_image_has_the_same_manifest_however_saved(tmp_path: Path, local: Local, archive: Path) -> None:
    """docker save of 20.10, by its layout: a folder for each layer, links for equal ones, ``./`` before names."""
    with tarfile.open(archive) as tar:
        (entry,) = json.load(tar.extractfile("manifest.json") or io.BytesIO())
        data = {name: tar.extractfile(name) for name in [entry["Config"], *entry["Layers"]]}
        data = {name: file.read() if file else b"" for name, file in data.items()}
    other = tmp_path / "other.tar"
    with tarfile.open(other, "w") as tar:
        _add(tar, f"./{entry['Config']}", data[entry["Config"]])
        _add(tar, "one/layer.tar", data[entry["Layers"][0]])
        _link(tar, "two/layer.tar", "../one/layer.tar")
        _add(tar, "three/layer.tar", data[entry["Layers"][1]])
        body = [{**entry, "Layers": ["two/layer.tar", "three/layer.tar"]}]
        _add(tar, "manifest.json", json.dumps(body).encode())
    assert single(local, f"docker-archive:{other}:{NAME}")[1] == single(local, f"docker-archive:{archive}")[1]


@pytest.mark.parametrize("name", ["blobs", "layers"])
def test_compressed_layers_in_a_docker_archive(tmp_path: Path, local: Local, name: str) -> None:
    """Docker's containerd store saves them by digest; by any other name they are read for it."""
    file = tmp_path / "app.tar"
    layers = [X86.blobs[layer.blob.digest] for layer in X86.image.layers]
    names = [f"blobs/sha256/{sha256(data).hex}" if name == "blobs" else f"{n}.tar" for n, data in enumerate(layers)]
    with tarfile.open(file, "w") as tar:
        for each, data in zip(names, layers, strict=True):
            _add(tar, each, data)
        _add(tar, "config.json", X86.image.config)
        body = [{"Config": "config.json", "RepoTags": None, "Layers": names}]
        _add(tar, "manifest.json", json.dumps(body).encode())
    reference, raw, _ = single(local, f"docker-archive:{file}")
    assert reference.catalog_name == "app:latest"
    assert parse_manifest(raw, OCI_MANIFEST).layers == X86.image.manifest.layers


def test_a_docker_archive_of_several(tmp_path: Path, local: Local, archive: Path) -> None:
    with tarfile.open(archive) as tar:
        (entry,) = json.load(tar.extractfile("manifest.json") or io.BytesIO())
    with tarfile.open(archive, "a") as tar:
        body = [entry, {**entry, "RepoTags": ["other:1", "other:2"]}]
        _add(tar, "manifest.json", json.dumps(body).encode())
    assert single(local, f"docker-archive:{archive}:other:2")[0].catalog_name == "other:2"
    wanted = rf"it has several images: {NAME}, other:1, other:2\. Write FILE:NAME:TAG"
    with pytest.raises(SourceError, match=wanted):
        local.named(Reference.parse(f"docker-archive:{archive}"))
    with pytest.raises(SourceError, match=rf"looking for app:3: it has {NAME}, other:1, other:2\. Write"):
        local.manifest(Reference.parse(f"docker-archive:{archive}:app:3"))


# ---- read once --------------------------------------------------------------------------------------


def test_an_unchanged_archive_is_not_opened_again(archive: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run("gzip", archive)
    text = f"docker-archive:{archive}.gz"
    first = single(Local(store.records, store), text)
    shutil.rmtree(store.root / "derived")
    (store.root / "derived").mkdir()
    later = Local(store.records, store)
    reference = later.named(Reference.parse(text))
    assert (reference, later.manifest(reference)) == (first[0], (first[1], OCI_MANIFEST))
    blob = parse_manifest(first[1], OCI_MANIFEST).config
    assert b"".join(later.blob(reference, blob)) == first[2]
    assert list((store.root / "derived").iterdir()) == []
    # A layer is: then it is unpacked again.
    assert single(later, text) == first


def test_a_replaced_archive_is_read_again(tmp_path: Path, both: Path, archive: Path, store: Store) -> None:
    text = f"docker-archive:{archive}"
    first = single(Local(store.records, store), text)
    before = archive.stat()
    archive.unlink()
    skopeo(f"oci:{both}", f"docker-archive:{archive}:{NAME}", "--override-arch=arm64")
    os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert archive.stat().st_size == before.st_size
    local = Local(store.records, store)
    assert local.manifest(local.named(Reference.parse(text)))[0] != first[1]
    # What the earlier one had is not there any more.
    layer = parse_manifest(first[1], OCI_MANIFEST).layers[0]
    with pytest.raises(
        SourceError, match=rf"{archive}: reading {layer.digest[:19]} of .*: not found in it\. If it has"
    ):
        list(local.blob(first[0], layer))


# ---- what cannot be used ----------------------------------------------------------------------------


def test_what_is_not_there_or_something_else(
    tmp_path: Path, both: Path, archive: Path, local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no archive at all" * 100)
    (tmp_path / "empty.tar").write_bytes(bytes(10240))
    (tmp_path / "cut.tar").write_bytes(archive.read_bytes()[:7000])
    (tmp_path / "cut.tar.gz").write_bytes(gzip.compress(archive.read_bytes())[:-100])
    run("skopeo", "copy", "--quiet", f"oci:{both}:", f"oci-archive:{tmp_path}/oci.tar")
    for text, wanted in {
        "oci-archive:absent.tar": rf"^{tmp_path}/absent\.tar: looking for oci-archive:absent\.tar: .*not found",
        "oci:absent": r"no such folder \(the current one is ",
        f"oci:{archive}": r"it is a file\. For a file, write oci-archive:FILE",
        "oci-archive:both": r"it is a folder\. For a folder, write oci:DIR",
        "oci-archive:text": "it is not a tar archive, or truncated",
        "docker-archive:empty.tar": r"it has no manifest\.json$",
        "docker-archive:oci.tar": r"it has no manifest\.json\. Is it an oci-archive: instead\?",
        f"oci-archive:{archive}": r"it has no index\.json\. Is it a docker-archive: instead\?",
        "docker-archive:cut.tar": "truncated",
        "docker-archive:cut.tar.gz": r"decompressing it: it is damaged or truncated .*Copy it again",
    }.items():
        with pytest.raises(SourceError, match=wanted):
            local.manifest(Reference.parse(text))


D = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    "body",
    [
        "no json",
        "[]",
        '{"manifests": 7}',
        '{"manifests": [{"digest": "x"}]}',
        '{"manifests": "abc"}',
        '{"manifests": [null]}',
        f'{{"manifests": [{{"digest": "{D}", "annotations": ["a"]}}]}}',
        f'{{"manifests": [{{"digest": ["{D}"]}}]}}',
        "[" * 100_000,
    ],
    ids=lambda body: body[:60],
)
def test_an_index_that_is_none(both: Path, local: Local, body: str) -> None:
    (both / "index.json").write_text(body)
    with pytest.raises(SourceError, match=r"reading its index\.json: it is not an image index"):
        local.named(Reference.parse(f"oci:{both}"))


@pytest.mark.parametrize(
    "body",
    [
        "no json",
        "{}",
        "[7]",
        '[{"Config": "absent"}]',
        '[{"Config": "manifest.json", "Layers": []}]',
        '[{"Config": "manifest.json", "Layers": [], "RepoTags": 7}]',
        '[{"Config": "manifest.json", "Layers": [], "RepoTags": "app:1"}]',
        '[{"Config": "manifest.json", "Layers": [], "RepoTags": [[1]]}]',
        '[{"Config": ["a"], "Layers": []}]',
        '[{"Config": "manifest.json", "Layers": {"a": 1}}]',
        '[{"Config": "../../etc/passwd", "Layers": ["/etc/passwd"]}]',
        "[" * 100_000,
    ],
    ids=lambda body: body[:60],
)
def test_a_list_of_images_that_is_none(tmp_path: Path, local: Local, body: str) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        _add(tar, "manifest.json", body.encode())
    with pytest.raises(SourceError, match=r"bad\.tar: (reading|looking)"):
        local.named(Reference.parse(f"docker-archive:{tmp_path}/bad.tar"))


def test_a_damaged_layout(both: Path, local: Local) -> None:
    (both / "blobs/sha256" / sha256(INDEX).hex).write_bytes(b"{}")
    with pytest.raises(SourceError, match=rf"reading {sha256(INDEX)}: it is damaged: got {sha256(b'{}')}"):
        local.named(Reference.parse(f"oci:{both}"))


@pytest.mark.parametrize(
    ("kind", "size", "why"),
    [
        (tarfile.REGTYPE, -512, "negative size"),
        (tarfile.GNUTYPE_LONGNAME, 8 << 30, "a name of more than 1 MiB"),
        (tarfile.XHDTYPE, 8 << 30, "a name of more than 1 MiB"),
        (tarfile.GNUTYPE_LONGLINK, -512, "negative size"),
    ],
)
def test_an_archive_of_absurd_sizes(tmp_path: Path, local: Local, kind: bytes, size: int, why: str) -> None:
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = kind, size
    (tmp_path / "bad.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(SourceError, match=f"it is not a tar archive, or truncated .*{why}"):
        local.named(Reference.parse(f"oci-archive:{tmp_path}/bad.tar"))


def test_an_archive_of_headers_only(tmp_path: Path, local: Local) -> None:
    (tmp_path / "bad.tar").write_bytes(tarfile.TarInfo("x").tobuf() * 50_001)
    with pytest.raises(SourceError, match="more than 50000 entries"):
        local.named(Reference.parse(f"oci-archive:{tmp_path}/bad.tar"))


def test_an_archive_without_end(both: Path, local: Local) -> None:
    """A link to itself is no file."""
    with tarfile.open(both / "loop.tar", "w") as tar:
        _link(tar, "index.json", "index.json")
    with pytest.raises(SourceError, match=r"it has no index\.json"):
        local.named(Reference.parse(f"oci-archive:{both}/loop.tar"))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)
