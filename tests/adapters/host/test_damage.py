"""Blobs that a host's disk has damaged behind its containerd's back: found by their bytes, and brought anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from lab import Lab, images, proof
from lab.engines.edgelet import BLOBS
from lab.shell import CommandFailed, run, wait_for
from pulumi_iofog.adapters.host.engines.blobs import Blobs
from pulumi_iofog.adapters.host.hashing import SOUND
from pulumi_iofog.errors import MissingLayers, VerificationFailed
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Digest
from tests.adapters.host.device import Device
from tests.adapters.host.edge import BASE, V1, V2
from tests.images import make_image

pytestmark = pytest.mark.lab
NAME, FULL = "gateway:1", "docker.io/library/gateway:1"
ONE, TWO = make_image(BASE, V1, reference=NAME), make_image(BASE, V2, reference=NAME)
LAYER, TOP = (layer.blob for layer in ONE.image.layers)
WHOLE = LAYER.size + TOP.size
BASE_ZIPPED_OTHERWISE = make_image(BASE, {"app/run": b"another"}, reference="other:1", level=1)


@pytest.fixture
def device(lab: Lab, tmp_path: Path) -> Device:
    host = lab.hosts["edge-edgelet"]
    agent = Agent(**host.agent(lab.known_hosts_file))  # type: ignore[arg-type]
    device = Device(host, agent, BLOBS, tmp_path, ONE, TWO, BASE_ZIPPED_OTHERWISE)
    host.run("edgelet image prune")  # names of CRI's that came while the others went
    return device


@pytest.mark.parametrize(
    ("damage", "blob", "sent"),
    [
        ("rot", LAYER.digest, LAYER.size),
        ("truncate", LAYER.digest, LAYER.size),
        ("lose", LAYER.digest, LAYER.size),
        # Without them it is not known which layers are whose.
        ("rot", ONE.image.image_id, WHOLE),
        ("truncate", ONE.image.image_id, WHOLE),
        ("rot", ONE.image.manifest.manifest_digest, WHOLE),
        ("lose", ONE.image.manifest.manifest_digest, WHOLE),
    ],
    ids=lambda each: each[:12] if isinstance(each, str) else None,
)
def test_damage_is_found_by_refresh_and_mended_by_up(device: Device, damage: str, blob: Digest, sent: int) -> None:
    assert device.up(ONE).error is None
    assert device.refresh(ONE)
    getattr(device, damage)(blob)
    assert not device.refresh(ONE)
    outcome = device.up(ONE)
    assert (outcome.error, outcome.updated, outcome.sent) == (None, True, sent)
    assert ("1 damaged blob in its engine's store, replaced now: check its disk" in outcome.note) == (damage != "lose")
    assert device.refresh(ONE)
    assert device.is_right(blob)
    assert device.content(NAME) == ("the base", "version 1")
    assert device.up(ONE).sent == 0


def test_a_container_of_a_rotten_layer_cannot_be_made(device: Device) -> None:
    """What all of this is for: containerd itself lists the image as complete."""
    device.up(ONE)
    device.rot(LAYER.digest)
    assert proof.images(device.host) == [FULL, NAME]
    with pytest.raises(CommandFailed, match="failed to extract layer"):
        device.content(NAME)


def test_a_rotten_layer_that_would_be_left_out_is_sent(device: Device) -> None:
    """Somebody removed the names; CRI's own keeps the blobs. So nothing but names would be sent."""
    device.up(ONE)
    assert wait_for(lambda: f"{ONE.image.image_id} " in device.host.run("edgelet lab names"), 10)
    for name in (NAME, FULL):
        device.host.run(f"edgelet image rm {name}")
    device.rot(TOP.digest)
    outcome = device.up(ONE)
    assert (outcome.error, outcome.sent) == (None, TOP.size)
    assert device.content(FULL) == ("the base", "version 1")


def test_the_next_version_inherits_no_rotten_layer(device: Device) -> None:
    device.up(ONE)
    device.rot(LAYER.digest)
    outcome = device.up(TWO)
    assert (outcome.error, outcome.sent) == (None, LAYER.size + TWO.image.layers[1].blob.size)
    assert device.content(NAME) == ("the base", "version 2")


def test_of_two_blobs_of_one_layer_the_sound_one_is_used(device: Device) -> None:
    other = BASE_ZIPPED_OTHERWISE
    assert other.image.diff_ids[0] == ONE.image.diff_ids[0]
    assert other.image.layers[0].blob.digest != LAYER.digest
    for rotten, sound in ((LAYER, other.image.layers[0].blob), (other.image.layers[0].blob, LAYER)):
        proof.empty(device.host)
        device.bring_whole(make_image(BASE, V1, reference="first:1"))
        device.bring_whole(other)
        assert device.is_right(sound.digest)
        device.rot(rotten.digest)
        outcome = device.up(TWO)
        assert (outcome.error, outcome.sent) == (None, TWO.image.layers[1].blob.size)
        assert device.content(NAME) == ("the base", "version 2")


def test_a_damaged_file_that_cannot_be_removed_is_named(device: Device) -> None:
    device.up(ONE)
    file = f"{BLOBS}/{LAYER.digest.hex}"
    device.host.run(f"echo rotten > /run/rotten && mount --bind /run/rotten {file}")
    try:
        outcome = device.up(ONE)
    finally:
        device.host.run(f"umount {file}")
    assert re.fullmatch(
        rf"edge-edgelet: loading gateway:1 .*{LAYER.digest.hex} is damaged and cannot be removed: .*busy",
        outcome.error or "",
    )
    assert device.up(ONE).error is None


def test_nothing_is_hashed_twice(device: Device, mocker: MockerFixture) -> None:
    hashed = mocker.spy(Blobs, "_hash")
    device.up(ONE)
    assert hashed.call_count == 0, "the spool has proven it, and containerd has"
    device.up(TWO)
    assert [call.args[1] for call in hashed.call_args_list] == [[LAYER.digest]]


def test_a_layer_that_is_left_out_is_not_loaded_before_it_is_proven(device: Device, mocker: MockerFixture) -> None:
    device.up(ONE)
    device.rot(LAYER.digest)
    with device.connect() as host:
        loaded = mocker.spy(host._engine, "load")
        with pytest.raises(MissingLayers, match=f"{LAYER.digest} is missing or damaged on its disk"):
            host._engine.prove_held([LAYER])
        assert loaded.call_count == 0
        with pytest.raises(VerificationFailed, match="no container can be created"):
            host.verify(ONE.image.pin)


def test_a_host_that_has_only_busybox_hashes_as_well(tmp_path: Path) -> None:
    programs, files = tmp_path / "bin", tmp_path / "files"
    programs.mkdir()
    files.mkdir()
    (programs / "busybox").write_bytes(images.busybox("amd64"))
    (programs / "busybox").chmod(0o755)
    run(str(programs / "busybox"), "--install", "-s", str(programs))
    (files / LAYER.digest.hex).write_bytes(ONE.blobs[LAYER.digest])
    (files / TOP.digest.hex).write_bytes(b"other")
    asked = " ".join(str(files / name) for name in (LAYER.digest.hex, TOP.digest.hex, "nowhere"))
    script = f'{SOUND}for each in {asked}; do sound "$each" && echo "${{each##*/}}"; done; true'
    for path in (programs, "/usr/bin:/bin"):
        said = run("env", "-i", f"PATH={path}", f"{programs}/sh", "-c", script)
        assert said.split() == [LAYER.digest.hex]
    with pytest.raises(CommandFailed, match="computes a sha256"):
        run("env", "-i", f"PATH={files}", "/bin/sh", "-c", script)
