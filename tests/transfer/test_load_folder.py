"""The files beside the layers, for a whole image and for its lower layers alone."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from typing import get_args

import pytest

from pulumi_iofog.oci.image import Descriptor, Digest, parse_config, sha256
from pulumi_iofog.transfer.engine_traits import EngineKind, traits_of
from pulumi_iofog.transfer.load_folder import (
    PREFIX_REPOSITORY,
    archive,
    blob_path,
    files,
    given_size,
    head,
    head_path,
    made_for_host,
    padding,
    plain_blob,
    prefix,
    to_unpack,
)
from tests.images import make_image

IMAGE = make_image({"base": b"b"}, {"app": b"a"}, {"more": b"m"}).image
BASE, APP, MORE = IMAGE.layers
ALL = {layer.diff_id: layer.blob for layer in IMAGE.layers}


def manifest_in(made: dict[str, bytes]) -> dict[str, object]:
    entry = json.loads(made["index.json"])["manifests"][0]
    raw = made[blob_path(entry["digest"])]
    assert (sha256(raw), len(raw)) == (entry["digest"], entry["size"])
    return dict(json.loads(raw))


def test_the_registrys_own_manifest_and_blobs_are_kept_where_they_are_carried() -> None:
    for engine in get_args(EngineKind):
        made = files(made_for_host(IMAGE, ALL, traits_of(engine)), ALL, traits_of(engine))
        assert made[blob_path(IMAGE.manifest.manifest_digest)] == IMAGE.manifest.raw
        (entry,) = json.loads(made["manifest.json"])
        assert entry["Layers"] == [blob_path(layer.blob.digest) for layer in IMAGE.layers]
        assert entry["RepoTags"] == [IMAGE.reference.full_name]


def test_podman_is_told_plain_tars_for_what_is_left_out_or_decoded() -> None:
    decoded = plain_blob(APP, 2048)
    carried = {APP.diff_id: decoded, MORE.diff_id: MORE.blob}
    made = files(made_for_host(IMAGE, carried, traits_of("podman")), carried, traits_of("podman"))
    layers = manifest_in(made)["layers"]
    assert isinstance(layers, list)
    assert [layer["digest"] for layer in layers] == [BASE.diff_id, APP.diff_id, MORE.blob.digest]
    assert layers[1]["size"] == 2048
    assert layers[1]["mediaType"] == "application/vnd.oci.image.layer.v1.tar"
    assert manifest_in(made)["config"] == json.loads(IMAGE.manifest.raw)["config"], "the image id stays"


def test_edgelet_is_told_the_blobs_that_it_holds_and_those_that_are_carried() -> None:
    engine, held = traits_of("edgelet"), replace(BASE.blob, digest=Digest("sha256:" + 64 * "9"), size=7)
    carried = {APP.diff_id: plain_blob(APP, 2048)}
    image = made_for_host(IMAGE, {BASE.diff_id: held, **carried}, engine)
    assert [layer.blob for layer in image.layers] == [held, plain_blob(APP, 2048), MORE.blob]
    assert (image.image_id, image.diff_ids, image.config) == (IMAGE.image_id, IMAGE.diff_ids, IMAGE.config)
    assert manifest_in(files(image, carried, engine)) == json.loads(image.manifest.raw)
    assert image.manifest.size == IMAGE.manifest.config.size + 7 + 2048 + MORE.blob.size


@pytest.mark.parametrize(
    ("reference", "names"),
    [
        ("gateway:1.4", ["gateway:1.4", "docker.io/library/gateway:1.4"]),
        ("docker.io/library/gateway:1.4", ["gateway:1.4", "docker.io/library/gateway:1.4"]),
        ("registry.example/gateway:1.4", ["registry.example/gateway:1.4"]),
        (f"gateway@sha256:{64 * '0'}", [f"{domain}gateway:sha256-{64 * '0'}" for domain in ("", "docker.io/library/")]),
    ],
)
def test_edgelet_has_both_spellings_of_one_manifest(reference: str, names: list[str]) -> None:
    image = make_image({"base": b"b"}, reference=reference).image
    entries = json.loads(files(image, {}, traits_of("edgelet"))["index.json"])["manifests"]
    assert [entry["annotations"]["io.containerd.image.name"] for entry in entries] == names
    assert {entry["digest"] for entry in entries} == {image.manifest.manifest_digest}


def test_dockers_archive_names_what_is_carried() -> None:
    made = files(IMAGE, {APP.diff_id: plain_blob(APP, 2048)}, traits_of("docker"))
    (entry,) = json.loads(made["manifest.json"])
    assert entry["Layers"][1] == blob_path(Digest(APP.diff_id))


def test_docker_is_given_the_plain_tar_of_what_lies_packed() -> None:
    packed = Descriptor(Digest("sha256:" + 64 * "a"), 100, "application/vnd.oci.image.layer.v1.tar+zstd", 2049)
    engines: tuple[EngineKind, ...] = ("docker", "docker-containerd")
    for engine in engines:
        unpacked = to_unpack({APP.diff_id: packed, BASE.diff_id: BASE.blob}, traits_of(engine))
        assert [(layer, blob, given_size(blob)) for layer, blob in unpacked.items()] == [(APP.diff_id, packed, 2049)]
        made = files(IMAGE, {**ALL, APP.diff_id: packed}, traits_of(engine))
        (entry,) = json.loads(made["manifest.json"])
        assert entry["Layers"] == [blob_path(BASE.blob.digest), blob_path(APP.diff_id), blob_path(MORE.blob.digest)]
        header = tarfile.TarInfo.frombuf(made[head_path(APP.diff_id)], "utf-8", "strict")
        assert (header.name, header.size) == (blob_path(APP.diff_id), 2049)
    assert (padding(2049), padding(2048)) == (511, 0)


def test_the_header_of_a_layer_says_what_docker_is_given() -> None:
    blob = BASE.blob
    entry = tarfile.TarInfo.frombuf(head(BASE.diff_id, blob), "utf-8", "strict")
    assert (entry.name, entry.size) == (blob_path(blob.digest), blob.size) == (entry.name, given_size(blob))
    large = replace(blob, plain_size=9 << 30)
    entry = tarfile.TarInfo.frombuf(head(BASE.diff_id, large), "utf-8", "strict")
    assert (entry.name, entry.size) == (blob_path(BASE.diff_id), 9 << 30) == (entry.name, given_size(large))


def test_small_files_make_an_archive() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive({"a": b"1", "b/c": b"22"}))) as tar:
        assert {entry.name: (entry.size, entry.mode) for entry in tar} == {"a": (1, 0o600), "b/c": (2, 0o600)}


def test_podman_is_given_what_lies_packed_as_it_is() -> None:
    packed = Descriptor(Digest("sha256:" + 64 * "a"), 100, "application/vnd.oci.image.layer.v1.tar+zstd", 2049)
    carried = {**ALL, APP.diff_id: packed}
    made = files(made_for_host(IMAGE, carried, traits_of("podman")), carried, traits_of("podman"))
    layers = manifest_in(made)["layers"]
    assert isinstance(layers, list)
    assert layers[1] == {"mediaType": packed.media_type, "digest": packed.digest, "size": 100}
    assert head_path(APP.diff_id) not in made


def test_lower_layers_alone_are_an_image_under_a_name_of_their_own() -> None:
    lower = prefix(IMAGE, 2)
    assert lower.layers == (BASE, APP)
    assert lower.platform == IMAGE.platform
    assert parse_config(lower.config) == (IMAGE.platform, IMAGE.diff_ids[:2])
    assert lower.reference.full_name.startswith(f"{PREFIX_REPOSITORY}:")
    assert len({prefix(IMAGE, 1).reference, lower.reference, prefix(make_image({"x": b""}).image, 1).reference}) == 3
    assert lower.manifest.media_type == IMAGE.manifest.media_type
