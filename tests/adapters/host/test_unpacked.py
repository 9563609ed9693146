"""Unpacked layers whose folder a host has lost behind its engine's back: found, and brought anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lab import Lab
from lab.engines.edgelet import DATA
from pulumi_iofog.inputs.spec import Agent
from tests.adapters.host.device import Device
from tests.adapters.host.edge import APP, BASE, V1, V2
from tests.images import make_image

pytestmark = pytest.mark.lab
ONE, TWO = make_image(BASE, V1), make_image(BASE, V2)
ABOVE = "registry.example/app:2"
NEXT = make_image(BASE, V2, reference=ABOVE)
STORES = {
    "docker": "/var/lib/docker",
    "podman": "/var/lib/containers",
    "edgelet": f"{DATA}/root/io.containerd.snapshotter.v1.overlayfs",
}
FILES = {"base": "etc/base", "top": "app/run"}


@pytest.fixture(params=["edge-docker", "edge-podman"])
def device(request: pytest.FixtureRequest, lab: Lab, tmp_path: Path) -> Device:
    host = lab.hosts[request.param]
    agent = Agent(**host.agent(lab.known_hosts_file))  # type: ignore[arg-type]
    return Device(host, agent, "", tmp_path, ONE, TWO, NEXT)


def store(device: Device) -> str:
    """The engine's own folder, and nothing else: a host also sees the machine's, where other labs are."""
    return STORES[device.host.cli.split()[0]]


def lose(device: Device, layer: str) -> None:
    """The folder that a layer was unpacked into."""
    file = FILES[layer]
    found = device.host.run(f"find {store(device)} -path '*/{file}'").split()
    folders = [each.removesuffix(f"/{file}") for each in found]
    assert folders
    device.host.run(f"rm -rf {' '.join(folders)}")


def content(device: Device, name: str) -> list[str]:
    return [device.host.engine.content(device.host, name, each) for each in FILES.values()]


@pytest.mark.parametrize("layer", FILES)
def test_a_lost_layer_is_found_by_refresh_and_mended_by_up(device: Device, layer: str) -> None:
    assert device.up(ONE).error is None
    assert device.refresh(ONE)
    lose(device, layer)
    assert not device.refresh(ONE)
    outcome = device.up(ONE)
    assert (outcome.error, outcome.updated) == (None, True)
    assert device.refresh(ONE)
    assert content(device, APP) == ["the base", "version 1"]


def test_another_version_on_a_lost_base_says_what_to_remove(device: Device) -> None:
    """The layer stays as long as one of them has it, and the other may be anybody's."""
    device.up(ONE)
    lose(device, "base")
    outcome = device.up(NEXT)
    remove = f"{device.host.cli.split()[0]} image rm "
    assert outcome.error
    assert remove in outcome.error
    names = outcome.error.partition(remove)[2].partition(". ")[0]
    assert set(names.split()) == {APP, ABOVE}
    device.host.run(f"{device.host.cli} image rm {names} || true")
    assert device.up(NEXT).error is None
    assert content(device, ABOVE) == ["the base", "version 2"]


@pytest.mark.parametrize("sudo", [None, True], ids=["as the user", "as root"])
def test_an_image_that_shares_only_sound_layers_is_no_obstacle(
    lab: Lab, tmp_path: Path, device: Device, sudo: bool | None
) -> None:
    """Which layer is lost only root can see under Docker; a login of podman's is root."""
    agent = dataclasses.replace(device.agent, sudo=sudo)
    device = Device(device.host, agent, "", tmp_path, ONE, NEXT)
    device.up(ONE)
    device.up(NEXT)
    file = device.host.run(f"grep -rl 'version 1' $(find {store(device)} -path '*/{FILES['top']}')").split()[0]
    device.host.run(f"rm -rf {file.removesuffix('/' + FILES['top'])}")
    assert not device.refresh(ONE)
    assert device.refresh(NEXT)
    outcome = device.up(ONE)
    if device.host.spec.engine == "docker" and not sudo:
        assert outcome.error
        assert f"{ABOVE} share layers with it, and which one is damaged is not known" in outcome.error
    else:
        assert outcome.error is None
        assert content(device, APP) == ["the base", "version 1"]
    assert device.refresh(NEXT)


def test_refresh_of_several_images_finds_the_lost_one(device: Device) -> None:
    other = make_image({"etc/another": b"another"}, reference="registry.example/other:1")
    device.up(ONE)
    device.bring_whole(other)
    lose(device, "top")
    with device.connect() as host:
        assert list(host.holds_each([ONE.image.pin, other.image.pin]).values()) == [False, True]


def test_docker_29_keeps_a_lost_layer_and_that_is_said(lab: Lab, tmp_path: Path) -> None:
    """A container that it fails to make leaves a snapshot above the layer, which no command of Docker's removes."""
    host, name = lab.hosts["edge-docker29"], "registry.example/kept:1"
    made = make_image({"etc/base": b"kept"}, {"app/run": b"kept 1"}, reference=name)
    device = Device(host, Agent(**host.agent(lab.known_hosts_file)), "", tmp_path, made)  # type: ignore[arg-type]
    device.up(made)
    lose(device, "base")
    assert not device.refresh(made)
    outcome = device.up(made)
    assert outcome.error
    assert "no container can be created" in outcome.error
    assert "what is damaged stays in the engine's store. Check the agent's disk" in outcome.error


def test_a_container_that_uses_a_lost_layer_is_no_obstacle_to_the_message(device: Device) -> None:
    device.up(ONE)
    device.host.run(f"{device.host.cli} create --name mine --network none {APP} true")
    lose(device, "top")
    outcome = device.up(ONE)
    assert outcome.error
    assert f"image rm {APP}. Then run pulumi up again" in outcome.error
    device.host.run(f"{device.host.cli} rm mine; {device.host.cli} image rm {APP}")
    assert device.up(ONE).error is None


@pytest.fixture
def edgelet(lab: Lab, tmp_path: Path) -> Device:
    host = lab.hosts["edge-edgelet"]
    device = Device(host, Agent(**host.agent(lab.known_hosts_file)), "", tmp_path, ONE, NEXT)  # type: ignore[arg-type]
    host.run("edgelet image prune")
    return device


@pytest.mark.parametrize("layer", FILES)
def test_edgelet_unpacks_a_lost_layer_anew(edgelet: Device, layer: str) -> None:
    edgelet.up(ONE)
    assert content(edgelet, APP) == ["the base", "version 1"]
    assert edgelet.refresh(ONE)
    lose(edgelet, layer)
    assert not edgelet.refresh(ONE)
    assert edgelet.up(ONE).error is None
    assert edgelet.refresh(ONE)
    assert content(edgelet, APP) == ["the base", "version 1"]


def test_edgelet_says_what_to_remove_where_another_image_has_the_lost_layer(edgelet: Device) -> None:
    edgelet.up(ONE)
    content(edgelet, APP)
    lose(edgelet, "base")
    outcome = edgelet.up(NEXT)
    assert outcome.error
    command = f"edgelet image rm {ABOVE}; edgelet image rm {APP}; edgelet image prune"
    assert f": {command}. Then run pulumi up again" in outcome.error
    edgelet.host.run(command)
    assert edgelet.up(NEXT).error is None
    assert content(edgelet, ABOVE) == ["the base", "version 2"]
