"""Images as people's tools have made them, brought to the real engines by a whole rollout."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import Host, Lab, proof
from pulumi_iofog.check.lookups import Lookups
from pulumi_iofog.check.platforms import arguments, find_offer, pin
from pulumi_iofog.inputs.iofogctl_namespace import Namespace
from pulumi_iofog.inputs.spec import parse
from pulumi_iofog.oci.image import AMD64, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, sha256
from pulumi_iofog.rollout.outcome import Outcome
from pulumi_iofog.rollout.rollout import Job, roll_out
from pulumi_iofog.rollout.tools import Ready
from pulumi_iofog.session.adapters import Shared
from pulumi_iofog.session.offline_image import Session
from tests.adapters.conftest import ENGINES
from tests.adapters.host.edge import APP
from tests.adapters.host.test_travel import zstd
from tests.images import layer_tar
from tests.rollout.memory_hosts import Quiet

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("home")]
NOISE = random.Random(3).randbytes(1_500_000)
BASE = layer_tar({"etc/base": b"the base", "lib/noise": NOISE})
ABOVE = layer_tar({"app/run": b"the application"})
EMPTY = bytes(1024)
"""The layer of an instruction that changes nothing."""
GZIP, ZSTD, PLAIN = f"{OCI_LAYER}+gzip", f"{OCI_LAYER}+zstd", OCI_LAYER


@dataclass(frozen=True)
class Packed:
    """A layer: its plain tar, the blob that carries it, and what its media type claims."""

    tar: bytes
    blob: bytes
    media_type: str


def packed(tar: bytes, media_type: str = GZIP) -> Packed:
    return Packed(tar, gzip.compress(tar, mtime=0), media_type)


class Layout:
    """An OCI image layout in the making."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def put(self, data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        """A blob, and its descriptor."""
        digest = sha256(data)
        (self.folder / "blobs/sha256" / digest.hex).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data), **more}

    def image(self, *layers: Packed, **config: Any) -> dict[str, Any]:
        """A manifest's descriptor. ``config``: fields of the image's config; None omits one."""
        body = {"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/app/run"]}, **config}
        body["rootfs"] = {"type": "layers", "diff_ids": [sha256(each.tar) for each in layers]}
        raw = json.dumps({key: value for key, value in body.items() if value is not None}).encode()
        blobs = [self.put(each.blob, each.media_type) for each in layers]
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": self.put(raw, OCI_CONFIG), "layers": blobs}
        return self.put(json.dumps(manifest).encode(), OCI_MANIFEST)

    def index(self, *entries: dict[str, Any]) -> dict[str, Any]:
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        return self.put(json.dumps(body).encode(), OCI_INDEX)

    def name(self, entry: dict[str, Any]) -> None:
        named = {**entry, "annotations": {"org.opencontainers.image.ref.name": APP}}
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def brought(lab: Lab, layout: Layout, *hosts: str, empty: bool = True, **agent_fields: Any) -> list[Outcome]:
    """Resolve the layout's image and bring it to hosts."""
    for name in hosts if empty else ():
        proof.empty(lab.hosts[name])
    agents = [{**lab.hosts[name].agent(lab.known_hosts_file), **agent_fields} for name in hosts]
    spec = parse({"name": "app", "x86": f"oci:{layout.folder}:{APP}", "agents": agents})
    with Session(spec, {}.get, Shared()) as session:
        lookups = Lookups(
            manifests=session.images,
            endpoint=lambda: None,
            controller=None,
            resource=None,
            made_by=lambda endpoint, item_id: None,
            namespace=Namespace,
            ssh_host=lambda alias: None,
            key_problem=lambda file: None,
            probe=lambda agent: AMD64,
            previewed=lambda reference: None,
            recall=lambda reference, platform: None,
        )
        offer = find_offer(arguments(spec)[0], spec, {}, lookups)
        image = session.images.image(pin(offer, "x86", session.images))
        jobs = [Job(agent, image) for agent in spec.agents]
        return roll_out(jobs, Ready(session.rollout_tools(Quiet())), pool=1)


def assert_sound(lab: Lab, layout: Layout, *hosts: str) -> None:
    for outcome in brought(lab, layout, *hosts):
        assert outcome.error is None, outcome.error
        assert outcome.updated
    for name in hosts:
        host = lab.hosts[name]
        assert host.engine.content(host, APP, "etc/base") == "the base"
        assert host.engine.content(host, APP, "app/run") == "the application"


@contextmanager
def without(host: Host, *programs: str) -> Iterator[None]:
    for program in programs:
        host.run(f"mount --bind /dev/null /usr/bin/{program}")
    try:
        yield
    finally:
        for program in programs:
            host.run(f"umount /usr/bin/{program}")


# ---- compression ------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [ZSTD, GZIP], ids=["zstd", "zstd as gzip"])
@pytest.mark.parametrize("lacking", [(), ("zstd",), ("zstd", "gzip")], ids=str)
def test_zstd_for_a_docker_that_knows_none(lab: Lab, layout: Layout, lacking: Sequence[str], label: str) -> None:
    """Whatever the host has: what that cannot unpack is unpacked here."""
    layout.name(layout.image(Packed(BASE, zstd(BASE), label), Packed(ABOVE, zstd(ABOVE), label)))
    with without(lab.hosts["edge-docker"], *lacking):
        assert_sound(lab, layout, "edge-docker")


def test_zstd_as_gzip_for_engines_that_look(lab: Lab, layout: Layout) -> None:
    layout.name(layout.image(Packed(BASE, zstd(BASE), GZIP), Packed(ABOVE, zstd(ABOVE), GZIP)))
    assert_sound(lab, layout, "edge-docker29", "edge-podman")


def test_gzip_as_plain_for_engines_that_look(lab: Lab, layout: Layout) -> None:
    layout.name(layout.image(packed(BASE, PLAIN), packed(ABOVE, PLAIN)))
    assert_sound(lab, layout, "edge-docker", "edge-podman")


# ---- what an engine refuses -------------------------------------------------------------------------


def test_an_image_that_containerd_cannot_unpack(lab: Lab, layout: Layout, tmp_path: Path) -> None:
    """Its own pull fails as well; the reason is Docker's, and what it lists is what it had before."""
    layout.name(layout.image(packed(BASE, PLAIN), packed(ABOVE, PLAIN)))
    host = lab.hosts["edge-docker29"]
    (outcome,) = brought(lab, layout, host.name)
    assert outcome.error
    assert "loading" in outcome.error
    assert "archive/tar: invalid tar header" in outcome.error
    assert "exit code 0" not in outcome.error
    assert proof.images(host) == []

    good = Layout(tmp_path / "good")
    other = layer_tar({"etc/base": b"the base", "lib/other": NOISE})
    good.name(good.image(packed(other), packed(ABOVE)))
    assert_sound(lab, good, host.name)
    (outcome,) = brought(lab, layout, host.name, empty=False)
    assert "archive/tar: invalid tar header" in (outcome.error or "")
    assert host.engine.content(host, APP, "app/run") == "the application"


# ---- layers -----------------------------------------------------------------------------------------


def test_one_layer_from_two_blobs(lab: Lab, layout: Layout) -> None:
    """The empty layer, as two tools write it in one image."""
    deflated = gzip.compress(EMPTY, mtime=0)
    # RFC 1952, 2.3.1: the same bytes, with another header.
    other = b"\x1f\x8b\x08\x00\x00\x09\x6e\x88\x00\xff" + deflated[10:]
    assert zlib.decompress(other, 31) == EMPTY
    twins = [Packed(EMPTY, deflated, GZIP), Packed(EMPTY, other, GZIP)]
    layout.name(layout.image(packed(BASE), twins[0], packed(ABOVE), twins[1]))
    assert_sound(lab, layout, *ENGINES)


# ---- platforms --------------------------------------------------------------------------------------


def test_a_config_that_says_nothing_of_its_platform(lab: Lab, layout: Layout) -> None:
    layout.name(layout.image(packed(BASE), packed(ABOVE), os=None, architecture=None))
    assert_sound(lab, layout, "edge-docker", "edge-docker29", "edge-podman")
    (outcome,) = brought(lab, layout, "edge-edgelet")
    assert "does not say what it runs on, and edgelet needs that. Build the image again" in (outcome.error or "")
    assert outcome.sent == 0


def test_an_index_below_an_index_with_an_entry_without_platform(lab: Lab, layout: Layout) -> None:
    inner = layout.index(layout.image(packed(BASE), packed(ABOVE)))
    layout.name(layout.index({**inner, "platform": {"os": "linux", "architecture": "amd64"}}))
    assert_sound(lab, layout, *ENGINES)
