"""References, platforms and manifests, as their specifications have them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pulumi_iofog.oci.image import (
    AMD64,
    ARM64,
    ARM_V7,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Platform,
    Reference,
    assemble,
    media_type_of,
    packed_as,
    parse_config,
    parse_digest,
    parse_index,
    parse_manifest,
    pick,
    sha256,
    short,
)

CASES = Path(__file__).parents[1] / "cases" / "references"


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["text"] or "empty") for case in json.loads((CASES / name).read_text())]


@pytest.mark.parametrize("case", cases("good.json"))
def test_reference_is_parsed_into_its_parts(case: dict[str, str]) -> None:
    reference = Reference.parse(case["text"])
    assert {key: getattr(reference, key) for key in case} == case


@pytest.mark.parametrize("case", cases("bad.json"))
def test_bad_reference_says_why(case: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=case["why"]):
        Reference.parse(case["text"])


def test_catalog_item_never_names_an_image_by_digest() -> None:
    digest = "sha256:" + "1" * 64
    assert Reference.parse("r.example/a:1").catalog_name == "r.example/a:1"
    assert Reference.parse(f"r.example/a:1@{digest}").catalog_name == "r.example/a:1"
    assert Reference.parse(f"r.example/a@{digest}").catalog_name == "r.example/a:sha256-" + "1" * 64


def test_a_registry_may_be_said_to_be_one() -> None:
    assert Reference.parse("docker://r.example/a:1") == Reference.parse("r.example/a:1")


def test_an_archives_own_name_completes_a_reference() -> None:
    digest = "sha256:" + "1" * 64
    given = Reference.parse("oci:usb/app")
    assert given.complete("r.example/a:1") == Reference.parse("oci:usb/app:r.example/a:1")
    assert given.complete("1.4") == Reference.parse("oci:usb/app:1.4")
    assert given.complete("") is given.complete("no name, anything") is given
    assert Reference.parse(f"oci:x:@{digest}").complete("a:1").text == f"oci:x:a:1@{digest}"
    mine = Reference.parse("docker-archive:app.tar:mine:1")
    assert mine.complete("theirs:1") is mine


def test_an_earlier_reference_may_be_the_same_one() -> None:
    given, earlier = Reference.parse("oci:usb/app"), Reference.parse("oci:usb/app:r.example/a:1")
    assert given.may_be(earlier)
    assert earlier.may_be(earlier)
    assert not Reference.parse("oci:usb/app:2").may_be(earlier)
    assert not Reference.parse("oci:usb/other").may_be(earlier)
    assert not Reference.parse("a:1").may_be(Reference.parse("a:2"))


@pytest.mark.parametrize("text", ["sha256:" + "A" * 64, "sha512:" + "0" * 64, "sha256:0", "0" * 64, ""])
def test_digest_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="not a sha256 digest"):
        parse_digest(text)


def test_short_keeps_what_is_no_digest() -> None:
    assert short("sha256:" + "0" * 64) == "sha256:000000000000"
    assert short("missing") == "missing"


def descriptor(name: str, **more: Any) -> dict[str, Any]:
    return {"digest": sha256(name.encode()), "size": len(name), **more}


INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "manifests": [
            descriptor("amd64-v3", platform={"os": "linux", "architecture": "amd64", "variant": "v3"}),
            descriptor("amd64", platform={"os": "linux", "architecture": "amd64"}),
            descriptor("attestation", platform={"os": "unknown", "architecture": "unknown"}),
            descriptor("arm64", platform={"os": "linux", "architecture": "arm64", "variant": "v8"}),
            descriptor("armv6", platform={"os": "linux", "architecture": "arm", "variant": "v6"}),
            descriptor("armv7", platform={"os": "linux", "architecture": "arm", "variant": "v7"}),
        ],
    }
).encode()


@pytest.mark.parametrize(
    ("platform", "name"),
    [(AMD64, "amd64"), (ARM64, "arm64"), (ARM_V7, "armv7"), (Platform("linux", "arm", "v6"), "armv6")],
)
def test_pick_takes_the_platforms_manifest(platform: Platform, name: str) -> None:
    entry = pick(parse_index(INDEX), platform)
    assert entry is not None
    assert entry.blob.digest == sha256(name.encode())


def test_pick_finds_nothing_for_a_platform_that_is_not_there() -> None:
    assert pick(parse_index(INDEX), Platform("linux", "riscv64")) is None


@pytest.mark.parametrize("raw", [b"[]", b'{"manifests": 1}', b'{"manifests": [1]}', b'{"manifests": [{}]}', b"no json"])
def test_what_is_no_index_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_index(raw)


def test_an_index_may_have_nothing_to_offer() -> None:
    attestation = descriptor("attestation", platform={"os": "unknown", "architecture": "unknown"})
    assert parse_index(json.dumps({"manifests": [attestation, attestation]}).encode()) == ()
    assert parse_index(b'{"manifests": null}') == ()
    assert parse_index(b"{}") == ()


def config(*diff_ids: str) -> bytes:
    body = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": list(diff_ids)}}
    return json.dumps(body).encode()


def test_an_image_is_its_manifest_and_config() -> None:
    raw = json.dumps({"config": descriptor("config"), "layers": [descriptor("one"), descriptor("three")]}).encode()
    manifest = parse_manifest(raw, OCI_MANIFEST)
    assert manifest.size == len("config") + len("one") + len("three")
    assert manifest.manifest_digest == sha256(raw)
    image = assemble(Reference.parse("a:1"), AMD64, manifest, config(sha256(b"x"), sha256(b"y")))
    assert image.diff_ids == (sha256(b"x"), sha256(b"y"))
    assert image.layers[1].blob == Descriptor(sha256(b"three"), 5, "")
    assert image.image_id == sha256(b"config")
    assert str(image) == "a:1 (linux/amd64)"


def test_manifest_and_config_must_fit_each_other() -> None:
    raw = json.dumps({"config": descriptor("config"), "layers": [descriptor("one")]}).encode()
    with pytest.raises(ValueError, match="layers: 1 in the manifest, 2 in the config"):
        assemble(Reference.parse("a"), AMD64, parse_manifest(raw, ""), config(sha256(b"x"), sha256(b"y")))


@pytest.mark.parametrize("raw", [b"[]", b"{}", b'{"config": {}, "layers": []}', b"no json"])
def test_what_is_no_manifest_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_manifest(raw, OCI_MANIFEST)


@pytest.mark.parametrize("raw", [b"[]", b"{}", b'{"rootfs": {"diff_ids": ["x"]}}'])
def test_what_is_no_config_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_config(raw)


@pytest.mark.parametrize(
    ("data", "compression"),
    [
        (gzip.compress(b"x", mtime=0), "gzip"),
        (b"\x28\xb5\x2f\xfd rest", "zstd"),
        (b"\x50\x2a\x4d\x18\x00\x00\x00\x00", "zstd"),
        (b"etc/passwd", "none"),
        (b"", "none"),
        (b"\x1f", "none"),
    ],
)
def test_the_first_bytes_tell_a_layers_compression(data: bytes, compression: str) -> None:
    assert packed_as(data) == compression


def test_media_type_may_be_left_away() -> None:
    assert media_type_of(INDEX) == OCI_INDEX
    assert media_type_of(b'{"config": {}}') == OCI_MANIFEST
    assert media_type_of(b'{"mediaType": "x"}') == "x"
