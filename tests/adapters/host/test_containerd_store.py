"""Docker's containerd store: what it has, not what it seems to have. Whatever came before, all of an image is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from lab import Lab, proof
from lab.engines.docker import Docker29
from pulumi_iofog.adapters.host.engines.blobs import Blobs
from pulumi_iofog.adapters.host.engines.docker_containerd import is_available
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Digest
from tests.adapters.host.device import Device
from tests.adapters.host.edge import APP, BASE, V1, V2
from tests.images import make_image

pytestmark = pytest.mark.lab
BLOBS = "/var/lib/docker/containerd/daemon/io.containerd.content.v1.content/blobs/sha256"
ONE, TWO = make_image(BASE, V1), make_image(BASE, V2)
PLAIN_ONE = make_image(BASE, V1, plain=True)
LAYER, TOP = (layer.blob for layer in TWO.image.layers)


@pytest.fixture(params=[None, True], ids=["as a user", "as root"])
def device(request: pytest.FixtureRequest, lab: Lab, tmp_path: Path) -> Device:
    """A user of the docker group is answered by the daemon, and cannot read its store."""
    host = lab.hosts["edge-docker29"]
    agent = Agent(**host.agent(lab.known_hosts_file), sudo=request.param)  # type: ignore[arg-type]
    return Device(host, agent, BLOBS, tmp_path, ONE, TWO)


def test_layers_that_came_as_a_docker_archive_has_them(device: Device) -> None:
    """As iofogctl sends them. The diff ids are equal, the blobs are not."""
    device.bring_whole(PLAIN_ONE)
    outcome = device.up(TWO)
    assert (outcome.error, outcome.sent) == (None, LAYER.size + TOP.size)
    assert Docker29().lacks(device.host, APP) == set()
    assert device.refresh(TWO)
    again = device.up(TWO)
    assert again.sent == 0
    half = "" if device.agent.sudo else "; the bytes in it are not proven, which takes sudo=True"
    assert f" (containerd store{half}), unix:///" in again.engine


def test_an_image_that_seems_whole_is_found_by_refresh_and_mended_by_up(device: Device) -> None:
    """As earlier versions of this provider left it: its lower layer is there unpacked, and not as a blob."""
    device.bring_whole(PLAIN_ONE)
    device.bring_whole(TWO, frozenset([TWO.image.diff_ids[0]]))
    assert proof.can_create(device.host, APP)
    assert Docker29().lacks(device.host, APP) >= {LAYER.digest}
    assert not device.refresh(TWO)
    assert device.up(TWO).error is None
    assert device.refresh(TWO)
    assert Docker29().lacks(device.host, APP) == set()


def test_an_old_layer_is_given_back_as_its_blob(device: Device) -> None:
    """To the user who logs in, also where only root can read it."""
    device.up(ONE)
    with device.connect() as host:
        (source,) = host.inventory(TWO.image).images
        host.spool.make(TWO.image)
        folder = f"{host.spool.folder(TWO.image)}/saved/one"
        path = host._engine.give_back(source, [ONE.image.diff_ids[0]], folder)[ONE.image.diff_ids[0]]
        assert host._connection.run(f"sha256sum < {path}").text.split()[0] == LAYER.digest.hex
        host.clear_spool(TWO.image)
    assert device.host.run("find /home/*/.cache/pulumi-iofog/spool -mindepth 1 -name 'image-*'") == ""


def test_nothing_is_hashed_twice(device: Device, mocker: MockerFixture) -> None:
    hashed = mocker.spy(Blobs, "_hash")
    device.up(ONE)
    assert hashed.call_count == 0, "the spool has proven it, and containerd has"
    device.up(TWO)
    as_root = [[LAYER.digest]] if device.agent.sudo else []
    assert [call.args[1] for call in hashed.call_args_list] == as_root


def test_the_next_version_leaves_out_what_is_there(device: Device) -> None:
    device.up(ONE)
    outcome = device.up(TWO)
    assert (outcome.error, outcome.sent) == (None, TOP.size)
    assert Docker29().lacks(device.host, APP) == set()


@pytest.mark.parametrize("device", [True], indirect=True, ids=["as root"])
@pytest.mark.parametrize("damage", ["rot", "truncate", "lose"])
def test_damage_is_found_where_the_store_can_be_read(device: Device, damage: str) -> None:
    device.up(ONE)
    getattr(device, damage)(LAYER.digest)
    assert not device.refresh(ONE)
    # The next version inherits nothing of it.
    outcome = device.up(TWO)
    assert (outcome.error, outcome.sent) == (None, LAYER.size + TOP.size)
    assert device.is_right(LAYER.digest)
    getattr(device, damage)(LAYER.digest)
    outcome = device.up(TWO)
    assert (outcome.error, outcome.sent) == (None, LAYER.size)
    assert Docker29().lacks(device.host, APP) == set()


@pytest.mark.parametrize("device", [True], indirect=True, ids=["as root"])
@pytest.mark.parametrize("blob", [ONE.image.manifest.manifest_digest, ONE.image.image_id], ids=["manifest", "config"])
def test_a_damaged_manifest_or_config_is_mended(device: Device, blob: Digest) -> None:
    device.up(ONE)
    device.rot(blob)
    assert not device.refresh(ONE)
    assert device.up(ONE).error is None
    assert device.refresh(ONE)
    assert Docker29().lacks(device.host, APP) == set()


@pytest.mark.parametrize(
    ("said", "available"),
    [
        ({"Manifests": [{"Descriptor": {"digest": LAYER.digest}, "Available": True}]}, True),
        ({"Manifests": [{"Descriptor": {"digest": LAYER.digest}, "Available": False}]}, False),
        # One of another platform, in an index, may be absent.
        ({"Manifests": [{"Descriptor": {"digest": TOP.digest}, "Available": False}]}, True),
        # Docker 27 and older do not say.
        ({"Id": LAYER.digest}, True),
        ({"Manifests": None}, True),
        ({"message": "No such image"}, True),
    ],
)
def test_what_the_daemon_says_of_an_images_blobs(said: object, available: bool) -> None:
    answer = f"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{json.dumps(said)}\n"
    assert is_available(answer, LAYER.digest) is available
    assert is_available(answer[:30], LAYER.digest)
    assert is_available("", LAYER.digest)
