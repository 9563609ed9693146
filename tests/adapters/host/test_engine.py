"""Loading, proving and removing images on the real engines, each with its own idea of an image."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lab import Lab, proof
from lab.engines.edgelet import BLOBS
from pulumi_iofog import text
from pulumi_iofog.adapters.host.engines import docker_like as engines
from pulumi_iofog.errors import EngineError, MissingLayers, NoSpace, VerificationFailed
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.transfer.encodings import AsIs, Part
from pulumi_iofog.transfer.plan import Transfer
from tests.adapters.conftest import ENGINES
from tests.adapters.host.edge import APP, BASE, REFERENCE, V1, V2, Edge, reach
from tests.images import make_image

pytestmark = pytest.mark.lab
MAKING_CONTAINERS = [name for name in ENGINES if name != "edge-edgelet"]
"""Those whose images are proven by a container."""
ONE, TWO = make_image(BASE, V1), make_image(BASE, V2)
LOWEST = frozenset([ONE.image.diff_ids[0]])


@pytest.fixture(scope="module")
def connected(lab: Lab) -> Iterator[dict[str, Edge]]:
    """Every host, over one connection for all tests."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(reach(host, Agent(**host.agent(lab.known_hosts_file))))  # type: ignore[arg-type]
            for name, host in lab.hosts.items()
        }


@pytest.fixture(params=ENGINES)
def edge(request: pytest.FixtureRequest, connected: dict[str, Edge]) -> Edge:
    """Each engine in turn, empty."""
    return _emptied(connected[request.param])


@pytest.fixture
def small(connected: dict[str, Edge]) -> Iterator[Edge]:
    """A host with a small disk, empty."""
    yield _emptied(connected["edge-small"])
    connected["edge-small"].host.run("rm -f /run/fill")


def _emptied(edge: Edge) -> Edge:
    proof.empty(edge.host)
    edge.host.run(f"rm -rf {edge.edge.spool.root}/*")
    return edge


# ---- loading ----------------------------------------------------------------------------------------


def test_a_full_load(edge: Edge) -> None:
    image = ONE.image
    assert edge.engine.image_id(REFERENCE) is None
    assert edge.held(image) == frozenset()
    edge.bring(ONE)
    edge.engine.verify(image.pin)
    assert edge.engine.image_id(REFERENCE) == edge.expected_id(image)
    assert edge.held(image) == frozenset(image.diff_ids)
    assert proof.images(edge.host) == [APP]
    assert [edge.content(APP, path) for path in ("etc/base", "app/run")] == ["the base", "version 1"]
    assert edge.edge.inventory(image).tagged
    assert edge.edge.holds(image.pin)


def test_several_images_are_proven_at_once(edge: Edge) -> None:
    """One of them is there, one is not, and of one the name means another image."""
    edge.bring(ONE)
    other = make_image(BASE, V2, reference="registry.example/other:1")
    edge.bring(other)
    pins = [ONE.image.pin, TWO.image.pin, other.image.pin, make_image(V1, reference="absent:1").image.pin]
    at_once = {ONE.image.pin, other.image.pin} if edge.engine.kind in ("docker", "podman") else set()
    assert edge.engine.proven(pins) == at_once
    assert list(edge.edge.holds_each(pins).values()) == [True, False, True, False]
    if edge.host.spec.engine != "edgelet":
        assert edge.host.run(f"{edge.host.cli} ps --all --quiet") == ""


@pytest.mark.parametrize("name", ["app:1", "localhost/app:1", f"app@{ONE.image.manifest.manifest_digest}"])
def test_names_that_engines_complete_in_their_own_ways(edge: Edge, name: str) -> None:
    made = make_image(BASE, V1, reference=name)
    edge.bring(made)
    edge.engine.verify(made.image.pin)
    assert edge.engine.image_id(made.image.reference) == edge.expected_id(made.image)
    assert len(proof.images(edge.host)) == len(edge.engine.traits.names(made.image.reference))


def test_a_thin_load(edge: Edge) -> None:
    edge.bring(ONE)
    held = edge.held(TWO.image)
    assert held == LOWEST
    edge.bring(TWO, held)
    edge.engine.verify(TWO.image.pin)
    assert [edge.content(APP, path) for path in ("etc/base", "app/run")] == ["the base", "version 2"]


def test_layers_count_only_where_the_engine_finds_them(edge: Edge) -> None:
    """Docker's classic store knows a layer by what lies below it, the others by itself."""
    edge.bring(ONE)
    above = make_image({"etc/other": b"other"}, BASE)
    by_itself = frozenset() if edge.engine.kind == "docker" else LOWEST
    assert edge.held(above.image) == by_itself


def test_a_load_that_lacks_a_layer(edge: Edge) -> None:
    """Nothing that can be taken for the image is left, and a full load mends what is."""
    with pytest.raises(MissingLayers, match=r"^edge-\w+: loading registry\.example/app:1 \(linux/amd64\): .+"):
        edge.bring(TWO, LOWEST)
    with pytest.raises(VerificationFailed, match="no container can be created: "):
        edge.engine.verify(TWO.image.pin)
    assert not edge.edge.holds(TWO.image.pin)
    listed = edge.engine.image_id(REFERENCE) is not None
    assert listed == (edge.engine.kind == "edgelet")
    edge.bring(TWO)
    edge.engine.verify(TWO.image.pin)
    assert edge.content(APP, "etc/base") == "the base"
    assert edge.containers() == []


def test_a_load_of_what_is_no_image(edge: Edge) -> None:
    edge.bring(TWO)
    folder = edge.edge.spool.folder(TWO.image)
    edge.host.run(f"cd {folder} && echo broken | tee index.json > manifest.json")
    with pytest.raises(EngineError, match="loading ") as caught:
        edge.engine.load(TWO.image, folder, {each.diff_id: each.blob for each in TWO.image.layers})
    assert not isinstance(caught.value, MissingLayers)


# ---- proving ----------------------------------------------------------------------------------------


def test_what_is_not_there_cannot_be_proven(edge: Edge) -> None:
    with pytest.raises(VerificationFailed, match=r"verifying registry\.example/app:1 \(linux/amd64\): no container"):
        edge.engine.verify(ONE.image.pin)


def test_another_image_of_the_same_name(edge: Edge) -> None:
    edge.bring(ONE)
    got, want = (edge.expected_id(made.image) for made in (ONE, TWO))
    with pytest.raises(VerificationFailed, match=f"got image {got}, want {want}"):
        edge.engine.verify(TWO.image.pin)
    assert not edge.edge.inventory(TWO.image).tagged
    assert edge.containers() == []


def test_an_image_whose_layer_is_gone_from_the_disk(edge: Edge) -> None:
    edge.bring(ONE)
    away = {
        "docker": "/var/lib/docker/overlay2",
        "podman": "/var/lib/containers/storage/$(podman info --format '{{.Store.GraphDriverName}}')",
        "docker-containerd": "/var/lib/docker/containerd/daemon/io.containerd.snapshotter.v1.overlayfs/snapshots",
        "edgelet": BLOBS,
    }[edge.engine.kind]
    edge.host.run(f"cd {away} && mkdir /run/away && mv * /run/away")
    try:
        assert proof.images(edge.host) == [APP]
        with pytest.raises(VerificationFailed, match="no container can be created"):
            edge.engine.verify(ONE.image.pin)
    finally:
        edge.host.run(f"cd {away} && rm -rf * && mv /run/away/* . && rmdir /run/away")
    edge.engine.verify(ONE.image.pin)


# ---- removing ---------------------------------------------------------------------------------------


def test_an_image_is_removed_once_and_gone_is_success(edge: Edge) -> None:
    edge.bring(ONE)
    assert edge.engine.remove(ONE.image.pin)
    assert proof.images(edge.host) == []
    assert edge.engine.image_id(REFERENCE) is None
    assert edge.engine.remove(ONE.image.pin)


def test_an_image_that_a_container_uses_stays(edge: Edge) -> None:
    edge.bring(ONE)
    edge.host.engine.use(edge.host, APP)
    assert not edge.engine.remove(ONE.image.pin)
    assert edge.engine.image_id(REFERENCE) == edge.expected_id(ONE.image)
    edge.host.engine.release(edge.host)
    assert edge.engine.remove(ONE.image.pin)


def test_only_the_image_that_is_meant_is_removed(edge: Edge) -> None:
    """Not another one that has got its name since, nor another name of it."""
    edge.bring(ONE)
    edge.bring(TWO)
    assert edge.engine.remove(ONE.image.pin)
    assert proof.images(edge.host) == [APP]
    assert edge.held(ONE.image) == LOWEST
    edge.engine.verify(TWO.image.pin)
    edge.bring(make_image(BASE, V2, reference="registry.example/kept:1"))
    assert edge.engine.remove(TWO.image.pin)
    assert proof.images(edge.host) == ["registry.example/kept:1"]


@pytest.mark.parametrize("edge", MAKING_CONTAINERS, indirect=True)
def test_containers_of_an_interrupted_verification_go(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    edge.bring(ONE)
    create = f"{edge.host.cli} create --network none"
    ours = edge.host.run(f"{create} --label {engines.LABEL} {APP} true").strip()
    theirs = edge.host.run(f"{create} {APP} true").strip()
    edge.engine.remove_stale_containers()
    assert len(edge.containers()) == 2  # it may be of a verification that runs now
    monkeypatch.setattr(engines, "LEFT_AFTER", "1s")
    edge.host.run("sleep 2.2")  # podman counts in whole seconds
    edge.engine.remove_stale_containers()
    assert [theirs.startswith(short) for short in edge.containers()] == [True]
    assert ours != theirs
    edge.host.run(f"{edge.host.cli} rm {theirs}")


def test_nothing_is_left_behind(edge: Edge) -> None:
    edge.bring(ONE)
    edge.engine.verify(ONE.image.pin)
    edge.edge.clear_spool(ONE.image)
    assert edge.containers() == []
    assert edge.host.run("find /home/edge/.cache/pulumi-iofog/spool -mindepth 1") == ""


# ---- the disk ---------------------------------------------------------------------------------------


def test_room_is_asked_for_before_a_byte_is_sent(small: Edge) -> None:
    spool = small.edge.spool.root
    small.engine.require_space(spool, 2_000_000, 10_000_000, known=True)
    free = int(small.host.run("df -Pk /home | awk 'END {print $4}'")) * 1024
    assert 10_000_000 < free < 48 << 20
    with pytest.raises(NoSpace) as caught:
        small.engine.require_space(spool, 40_000_000, 100_000_000, known=True)
    # One disk for both.
    assert str(caught.value).startswith(
        "edge-small: making room for the image: 140 MB are needed under /var/lib/docker (unpacked), "
    )
    assert f"Free {text.size(140_000_000 - free)} there" in str(caught.value)


def test_two_disks_are_counted_each(small: Edge) -> None:
    small.engine.require_space("/etc", 100_000_000, 10_000_000, known=True)
    with pytest.raises(NoSpace, match="MB are needed under /var/lib/docker"):
        small.engine.require_space("/etc", 0, 100_000_000, known=True)
    with pytest.raises(NoSpace, match=r"are needed under /etc \(unpacked\), "):
        small.engine.require_space("/etc", 10**15, 0, known=True)


def test_a_disk_that_is_full_while_loading(small: Edge) -> None:
    large = make_image({"data": bytes(20_000_000)})
    small.host.run("df -Pk /run | awk 'END {print $4 - 8000}' | xargs -I @ head -c @K /dev/zero > /run/fill")
    with pytest.raises(NoSpace, match=r"loading .*: no space left on device\. Free space under /var/lib/docker"):
        small.bring(large)
    small.host.run("rm /run/fill")
    small.bring(large)
    small.engine.verify(large.image.pin)


@pytest.fixture
def little_temporary(lab: Lab) -> Iterator[Edge]:
    """A podman whose folder for temporary files is small."""
    host = lab.hosts["edge-podman"]
    proof.empty(host)
    host.run("mount -t tmpfs -o size=10m tmpfs /var/tmp")
    try:
        with reach(host, Agent(**host.agent(lab.known_hosts_file))) as edge:  # type: ignore[arg-type]
            yield edge
    finally:
        host.run("umount /var/tmp")


def test_room_for_what_podman_puts_aside(little_temporary: Edge) -> None:
    edge, spool = little_temporary, little_temporary.edge.spool.root
    edge.engine.require_space(spool, 30_000_000, 30_000_000, 9_000_000)
    with pytest.raises(
        NoSpace, match=r"making room for the image: 30\.0 MB are needed under /var/tmp, 10\.5 MB are free"
    ):
        edge.engine.require_space(spool, 30_000_000, 30_000_000, 30_000_000)
    # What is sent in a rollout is known to need it.
    large = make_image({"data": random.Random(1).randbytes(12_000_000)}, level=0)
    whole = Transfer(tuple(Part(layer, AsIs()) for layer in large.image.layers), edge.engine.traits)
    with pytest.raises(NoSpace, match="under /var/tmp"):
        edge.edge.delivery(large.image, whole)
    # Where nobody has looked before, the error says so.
    with pytest.raises(NoSpace, match=r"no space left on device under /var/tmp\. Free space under /var/tmp"):
        edge.bring(large)


def test_podman_may_have_another_folder_for_that(little_temporary: Edge) -> None:
    edge = little_temporary
    settings = '[engine]\\nimage_copy_tmp_dir = "/run/few"\\n'
    edge.host.run("mkdir /run/few; mount -t tmpfs -o size=1m tmpfs /run/few; cp -r /etc/containers /run/containers.d")
    edge.host.run(f"printf '{settings}' > /run/containers.d/containers.conf")
    edge.host.run("mount --bind /run/containers.d /etc/containers")
    try:
        with pytest.raises(NoSpace, match=r"2\.00 MB are needed under /run/few"):
            edge.engine.require_space(edge.edge.spool.root, 1000, 1000, 2_000_000)
    finally:
        edge.host.run("umount /etc/containers /run/few; rm -r /run/containers.d /run/few")
