"""The registry adapter against Debian's docker-registry: what skopeo has pushed is what is read."""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest

from lab.registry import CONFIG, Registry, serve
from lab.shell import run, stop, wait_for
from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.errors import ImageNotFound, RegistryError
from pulumi_iofog.inputs.registry_settings import Mirror, RegistryOptions
from pulumi_iofog.inputs.spec import RegistryAuth
from pulumi_iofog.oci.image import (
    AMD64,
    ARM64,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Reference,
    parse_config,
    parse_index,
    parse_manifest,
    pick,
    sha256,
)
from tests.adapters.conftest import MakeRegistry
from tests.certificates import self_signed
from tests.images import MadeImage, index_of, make_image, write_layout

X86 = make_image({"bin/app": random.Random(1).randbytes(300_000)}, {"etc/app": b"x86"}, platform=AMD64)
ARM = make_image({"bin/app": random.Random(2).randbytes(300_000)}, {"etc/app": b"arm"}, platform=ARM64)
INDEX = index_of(X86, ARM, media_type=OCI_INDEX)
USER, PASSWORD = "ci", "hidden"


@dataclass(frozen=True)
class Pushed:
    """A registry with ``both:1``, ``single:1``, ``docker-both:1`` and ``docker-single:1``; the locked address
    has the same behind a user's name and password, the mirror by TLS of a private CA; it keeps what it was asked
    for under ``kept``."""

    address: str
    locked: str
    mirror: str
    ca_file: Path
    kept: Path

    def reference(self, name: str, *, locked: bool = False) -> Reference:
        return Reference.parse(f"{self.locked if locked else self.address}/{name}")


@pytest.fixture(scope="module")
def pushed() -> Iterator[Pushed]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        registry = Registry(folder / "registry")
        try:
            registry.up()
            both = write_layout(folder / "both", INDEX, OCI_INDEX, X86, ARM)
            single = write_layout(folder / "single", X86.image.manifest.raw, OCI_MANIFEST, X86)
            for kind, docker_types in (("", False), ("docker-", True)):
                registry.push(both, f"{kind}both:1", docker_types=docker_types)
                registry.push(single, f"{kind}single:1", docker_types=docker_types)
            mirror, ca_file = _up_as_mirror(folder, registry.address)
            yield Pushed(registry.address, _up_with_lock(folder), mirror, ca_file, folder / "mirror/data")
        finally:
            stop(folder / "mirror.pid")
            stop(folder / "locked.pid")
            registry.down()


def _up_with_lock(folder: Path) -> str:
    """Another registry process over the same data, which asks for Basic credentials."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
    config = CONFIG.format(folder=folder / "registry")
    address = serve(folder, f"{config}auth: {{htpasswd: {{realm: lab, path: {folder}/htpasswd}}}}\n", "locked")
    assert "UNAUTHORIZED" in run("curl", "-s", f"http://{address}/v2/")
    return address


def _up_as_mirror(folder: Path, origin: str) -> tuple[str, Path]:
    """A pull-through cache of the registry, by TLS; its address, and who has signed its certificate."""
    (folder / "mirror").mkdir()
    public, both = self_signed(folder, "127.0.0.1")
    config = CONFIG.format(folder=folder / "mirror").replace(
        "http: {", f"http: {{tls: {{certificate: {both}, key: {both}}}, "
    )
    return serve(folder, f"{config}proxy: {{remoteurl: 'http://{origin}'}}\n", "mirror"), public


# ---- manifests --------------------------------------------------------------------------------------


def test_an_index_by_tag(pushed: Pushed, make_registry: MakeRegistry) -> None:
    assert make_registry().manifest(pushed.reference("both:1")) == (INDEX, OCI_INDEX)


def test_an_index_and_its_manifests_by_digest(pushed: Pushed, make_registry: MakeRegistry) -> None:
    registry, reference = make_registry(), pushed.reference(f"both@{sha256(INDEX)}")
    assert registry.manifest(reference) == (INDEX, OCI_INDEX)
    for made in (X86, ARM):
        manifest = made.image.manifest
        assert registry.manifest(reference, manifest.manifest_digest) == (manifest.raw, OCI_MANIFEST)


def test_dockers_manifest_list(pushed: Pushed, make_registry: MakeRegistry) -> None:
    registry, reference = make_registry(), pushed.reference("docker-both:1")
    raw, media_type = registry.manifest(reference)
    assert media_type == DOCKER_LIST
    entry = pick(parse_index(raw), ARM64)
    assert entry
    raw, media_type = registry.manifest(reference, entry.blob.digest)
    assert media_type == DOCKER_MANIFEST
    assert [blob.digest for blob in parse_manifest(raw, media_type).layers] == _digests(ARM)


@pytest.mark.parametrize(("name", "wanted"), [("single:1", OCI_MANIFEST), ("docker-single:1", DOCKER_MANIFEST)])
def test_a_single_manifest(pushed: Pushed, make_registry: MakeRegistry, name: str, wanted: str) -> None:
    registry, reference = make_registry(), pushed.reference(name)
    raw, media_type = registry.manifest(reference)
    manifest = parse_manifest(raw, media_type)
    assert media_type == wanted
    assert [blob.digest for blob in manifest.layers] == _digests(X86)
    config = b"".join(registry.blob(reference, manifest.config))
    assert parse_config(config) == (AMD64, X86.image.diff_ids)


def _digests(made: MadeImage) -> list[str]:
    return [layer.blob.digest for layer in made.image.layers]


# ---- blobs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 1, 100_000, 299_999])
def test_a_blob_from_an_offset(pushed: Pushed, make_registry: MakeRegistry, offset: int) -> None:
    layer = X86.image.layers[0].blob
    got = b"".join(make_registry().blob(pushed.reference("both:1"), layer, offset))
    assert got == X86.blobs[layer.digest][offset:]


def test_an_interrupted_pull_goes_on(pushed: Pushed, make_registry: MakeRegistry, tmp_path: Path) -> None:
    registry, reference = make_registry(), pushed.reference("both:1")
    layer = X86.image.layers[0].blob
    store, offsets = Store(tmp_path / "cache"), []

    def download(offset: int) -> Iterator[bytes]:
        offsets.append(offset)
        for chunk in registry.blob(reference, layer, offset):
            yield chunk
            if len(offsets) == 1:
                raise RegistryError("registry", "pulling", "interrupted")

    with pytest.raises(RegistryError, match="interrupted"):
        store.fetch(layer, download)
    assert store.fetch(layer, download).read_bytes() == X86.blobs[layer.digest]
    assert 0 == offsets[0] < offsets[1] < layer.size


def test_by_way_of_a_mirror_with_a_private_ca(pushed: Pushed, make_registry: MakeRegistry) -> None:
    options = {
        pushed.address: RegistryOptions((Mirror(pushed.mirror),)),
        pushed.mirror: RegistryOptions(ca_file=str(pushed.ca_file)),
    }
    registry, reference, layer = make_registry(options=options), pushed.reference("both:1"), X86.image.layers[0].blob
    assert registry.manifest(reference) == (INDEX, OCI_INDEX)
    assert b"".join(registry.blob(reference, layer)) == X86.blobs[layer.digest]
    wanted = {sha256(INDEX).hex, layer.digest.hex}
    # It finishes what it keeps after it has answered.
    assert wait_for(lambda: wanted <= {file.parent.name for file in pushed.kept.rglob("data")}, 10)


# ---- what is not there ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["absent:1", "both:absent", f"both@{sha256(b'absent')}"])
def test_a_manifest_that_is_not_there(pushed: Pushed, make_registry: MakeRegistry, name: str) -> None:
    reference = pushed.reference(name)
    wanted = rf"^{pushed.address}: looking up {reference}: not found \(manifest unknown\)\. Check repository and tag$"
    with pytest.raises(ImageNotFound, match=wanted):
        make_registry().manifest(reference)


def test_where_no_tag_was_given_it_is_said_which_was_looked_for(pushed: Pushed, make_registry: MakeRegistry) -> None:
    with pytest.raises(ImageNotFound, match=r"\. Without a tag, :latest is looked for: check the repository, or give"):
        make_registry().manifest(pushed.reference("absent"))


def test_a_blob_that_is_not_there(pushed: Pushed, make_registry: MakeRegistry) -> None:
    with pytest.raises(ImageNotFound, match=r"pulling sha256:.* of .*: not found \(blob unknown to registry\)"):
        list(make_registry().blob(pushed.reference("both:1"), Descriptor(sha256(b"absent"), 9, "")))


# ---- credentials ------------------------------------------------------------------------------------


def test_basic_credentials(pushed: Pushed, make_registry: MakeRegistry) -> None:
    registry, reference = make_registry(RegistryAuth(USER, PASSWORD)), pushed.reference("both:1", locked=True)
    assert registry.manifest(reference) == (INDEX, OCI_INDEX)
    layer = ARM.image.layers[0].blob
    assert b"".join(registry.blob(reference, layer)) == ARM.blobs[layer.digest]


def test_what_skopeo_login_has_left(pushed: Pushed, make_registry: MakeRegistry, tmp_path: Path) -> None:
    """The form of file is docker's."""
    file = tmp_path / "config.json"
    options = ["--tls-verify=false", f"--authfile={file}", f"--username={USER}", "--password-stdin"]
    run("skopeo", "login", *options, pushed.locked, stdin=PASSWORD.encode())
    registry = make_registry(docker_config=file)
    assert registry.manifest(pushed.reference("both:1", locked=True)) == (INDEX, OCI_INDEX)


def test_what_a_credential_helper_answers(
    pushed: Pushed, make_registry: MakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Called as docker calls it: ``get``, and the registry on its standard input."""
    answer = json.dumps({"ServerURL": pushed.locked, "Username": USER, "Secret": PASSWORD})
    helper = tmp_path / "docker-credential-plant"
    helper.write_text(f"#!/bin/sh\n[ $1 = get ] && [ $(cat) = {pushed.locked} ] && echo '{answer}'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"credHelpers": {pushed.locked: "plant"}}))
    registry = make_registry(docker_config=file)
    assert registry.manifest(pushed.reference("both:1", locked=True)) == (INDEX, OCI_INDEX)


@pytest.mark.parametrize(
    ("auth", "whom"),
    [(None, "anonymously"), (RegistryAuth(USER, "wrong"), "as ci"), (RegistryAuth("x", PASSWORD), "as x")],
)
def test_wrong_credentials(pushed: Pushed, make_registry: MakeRegistry, auth: RegistryAuth | None, whom: str) -> None:
    reference = pushed.reference("both:1", locked=True)
    wanted = (
        rf"^{pushed.locked}: looking up {reference}: not allowed {whom} \(authentication required\)\."
        rf" Set auth=, or run: docker login {pushed.locked}$"
    )
    with pytest.raises(RegistryError, match=wanted) as caught:
        make_registry(auth).manifest(reference)
    assert "wrong" not in str(caught.value)
    assert PASSWORD not in str(caught.value)
