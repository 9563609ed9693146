"""ioFog's own engine: what is true of it alone. The import that lies is containerd's own."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import Host, Lab, images, proof
from lab.engines.edgelet import BLOBS, DATA, PAUSE, Edgelet
from lab.shell import run, wait_for
from pulumi_iofog.adapters.host.engines.containerd_store import CATALOG, image_names
from pulumi_iofog.adapters.host.engines.detect import find
from pulumi_iofog.adapters.host.engines.edgelet import SURVEY, parse_survey
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.errors import CorruptLayer, EngineError, MissingLayers, VerificationFailed
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.transfer.inventory import Means
from pulumi_iofog.transfer.planner import transfer
from tests.adapters.conftest import AgentOf
from tests.adapters.host.edge import BASE, V1, V2, Edge, reach
from tests.adapters.host.test_engine_find import refused
from tests.images import MadeImage, make_image

pytestmark = pytest.mark.lab
NAME, FULL = "gateway:1", "docker.io/library/gateway:1"
ONE, TWO = make_image(BASE, V1, reference=NAME), make_image(BASE, V2, reference=NAME)
ENGINE = Edgelet()


@pytest.fixture
def edge(lab: Lab) -> Iterator[Edge]:
    host = lab.hosts["edge-edgelet"]
    proof.empty(host)
    with reach(host, Agent(**host.agent(lab.known_hosts_file))) as edge:  # type: ignore[arg-type]
        edge.host.run(f"rm -rf {edge.edge.spool.root}/*")
        yield edge


def blobs(edge: Edge) -> set[str]:
    return set(edge.host.run(f"ls {BLOBS}").split())


def await_name_of_cri(edge: Edge, made: MadeImage) -> None:
    assert wait_for(lambda: made.image.image_id in ENGINE.digests(edge.host), 10)


def load_by_hand(edge: Edge, made: MadeImage, name: str, instead: str) -> None:
    """Load what still lies in the spool, under another name in place of one."""
    edge.host.run(
        f"cd {edge.edge.spool.folder(made.image)} && sed -i 's,\"{name},\"{instead},g' index.json"
        " && tar -cf /run/by-hand.tar oci-layout index.json blobs && edgelet image load -f /run/by-hand.tar"
    )


# ---- names ------------------------------------------------------------------------------------------


def test_a_container_is_made_by_either_spelling(edge: Edge) -> None:
    edge.bring(ONE)
    assert proof.images(edge.host) == [FULL, NAME]
    for name in (NAME, FULL):
        assert edge.content(name, "app/run") == "version 1"


@pytest.mark.parametrize("name", [NAME, FULL])
def test_an_image_that_has_lost_a_name_is_not_delivered(edge: Edge, name: str) -> None:
    edge.bring(ONE)
    edge.host.run(f"edgelet image rm {name}")
    assert edge.engine.image_id(ONE.image.reference) is None
    assert not edge.edge.inventory(ONE.image).tagged
    with pytest.raises(VerificationFailed, match=f"no container can be created: no image is called {name}"):
        edge.engine.verify(ONE.image.pin)
    # All layers are there: nothing but names is brought.
    assert transfer(ONE.image, edge.edge.inventory(ONE.image), Means()).parts == ()
    edge.bring(ONE, frozenset(ONE.image.diff_ids))
    edge.engine.verify(ONE.image.pin)


def test_names_that_mean_two_images_are_none(edge: Edge) -> None:
    edge.bring(ONE)
    edge.bring(TWO)
    load_by_hand(edge, ONE, FULL, "registry.example/other:1")
    assert edge.engine.image_id(ONE.image.reference) is None
    with pytest.raises(VerificationFailed, match="got image sha256:"):
        edge.engine.verify(ONE.image.pin)


def test_every_name_is_read_from_containerds_own_database(edge: Edge) -> None:
    """So many that the database has branches; and some removed, whose bytes it keeps."""
    edge.bring(ONE)
    names = [f"registry.example/{'long-' * 10}app-{number}:1" for number in range(40)]
    entry = {"mediaType": ONE.image.manifest.media_type, "digest": ONE.image.manifest.manifest_digest}
    entry["size"] = len(ONE.image.manifest.raw)  # type: ignore[assignment]
    entries = [{**entry, "annotations": {"io.containerd.image.name": name}} for name in names]
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    with tarfile.open(edge.host.folder / "run/names.tar", "w") as tar:
        for name, data in (("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", index)):
            file = tarfile.TarInfo(name)
            file.size = len(data)
            tar.addfile(file, io.BytesIO(data))
    edge.host.run("edgelet image load --file /run/names.tar")
    for name in names[:1]:
        edge.host.run(f"edgelet image rm {name}")
    await_name_of_cri(edge, ONE)
    read = image_names((edge.host.folder / f"{DATA[1:]}/root" / CATALOG).read_bytes(), "k8s.io")
    assert read == ENGINE.digests(edge.host)
    assert {NAME, FULL, PAUSE, ONE.image.image_id, *names[1:]} <= set(read)
    assert edge.engine.image_id(ONE.image.reference) == ONE.image.image_id


@pytest.mark.parametrize("data", [b"", bytes(8192), b"bolt" * 5000], ids=["nothing", "zeros", "noise"])
def test_what_is_no_database_is_told_so(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a database"):
        image_names(data, "k8s.io")
    with pytest.raises(ValueError, match="unpack"):
        parse_survey("nothing")


def test_a_host_that_has_only_busybox_is_read_as_well(edge: Edge, tmp_path: Path) -> None:
    edge.bring(ONE)
    await_name_of_cri(edge, ONE)
    root, programs = edge.host.folder / f"{DATA[1:]}/root", tmp_path / "bin"
    programs.mkdir()
    (programs / "busybox").write_bytes(images.busybox("amd64"))
    (programs / "busybox").chmod(0o755)
    run(str(programs / "busybox"), "--install", "-s", str(programs))
    rows = edge.host.run("edgelet image ls -o json")
    (programs / "edgelet").write_text(f"#!{programs}/sh\ncat <<'END'\n{rows}\nEND\n")
    (programs / "edgelet").chmod(0o755)
    said = run("env", "-i", f"PATH={programs}", str(programs / "sh"), "-c", f"cd {root} && {SURVEY}")
    assert parse_survey(said) == parse_survey(edge.host.run(f"cd {DATA}/root && {SURVEY}"))


# ---- what the import does not say -------------------------------------------------------------------


def test_a_layer_that_it_has_not_is_known_by_name_afterwards(edge: Edge) -> None:
    base, top = TWO.image.diff_ids
    with pytest.raises(MissingLayers, match=r"edgelet has \d+ of the \d+ bytes of its content"):
        edge.bring(TWO, frozenset([base]))
    assert edge.held(TWO.image) == {top}
    assert not edge.edge.inventory(TWO.image).tagged
    assert [part.layer.diff_id for part in transfer(TWO.image, edge.edge.inventory(TWO.image), Means()).parts] == [base]
    assert not proof.can_create(edge.host, NAME)
    with pytest.raises(VerificationFailed, match="no container can be created: edgelet has"):
        edge.engine.verify(TWO.image.pin)
    # Bringing just that one mends it.
    edge.bring(TWO, frozenset([top]))
    edge.engine.verify(TWO.image.pin)
    assert edge.content(NAME, "etc/base") == "the base"


def test_wrong_bytes_are_dropped_without_a_word_and_told_from_the_size(edge: Edge) -> None:
    image, folder = ONE.image, edge.edge.spool.folder(ONE.image)
    edge.bring(ONE)
    proof.empty(edge.host)
    edge.host.run(f"echo wrong > {folder}/blobs/sha256/{image.layers[1].blob.digest.hex}")
    with pytest.raises(CorruptLayer, match=r"loading gateway:1 .*: edgelet has \d+ of the \d+ bytes"):
        edge.engine.load(image, folder, {each.diff_id: each.blob for each in image.layers})
    edge.host.run(f"rm -r {folder}")
    edge.bring(ONE)
    edge.engine.verify(image.pin)


def test_the_archive_does_not_stay(edge: Edge) -> None:
    edge.bring(ONE)
    assert edge.host.run(f"find {edge.edge.spool.folder(ONE.image)} -name '*.tar'") == ""


# ---- removing ---------------------------------------------------------------------------------------


def test_the_disk_is_freed_where_nothing_else_goes(edge: Edge) -> None:
    before = blobs(edge)
    edge.bring(ONE)
    await_name_of_cri(edge, ONE)
    assert edge.engine.remove(ONE.image.pin)
    assert (proof.images(edge.host), blobs(edge)) == ([], before)
    assert PAUSE in ENGINE.digests(edge.host)


def test_a_replaced_image_is_freed_and_what_both_have_stays(edge: Edge) -> None:
    edge.bring(ONE)
    await_name_of_cri(edge, ONE)
    edge.bring(TWO, frozenset(ONE.image.diff_ids[:1]))
    assert ONE.image.layers[1].blob.digest.hex in blobs(edge)
    assert edge.engine.remove(ONE.image.pin)
    assert ONE.image.layers[1].blob.digest.hex not in blobs(edge)
    edge.engine.verify(TWO.image.pin)
    assert [edge.content(NAME, path) for path in ("etc/base", "app/run")] == ["the base", "version 2"]


@pytest.mark.parametrize("other", ["untagged", "dangling"])
def test_nothing_is_pruned_that_is_not_ours(edge: Edge, other: str) -> None:
    edge.bring(ONE)
    theirs = make_image({"etc/theirs": b"theirs"}, reference="registry.example/theirs:1")
    edge.bring(theirs)
    await_name_of_cri(edge, theirs)
    if other == "dangling":
        edge.host.run("edgelet image rm registry.example/theirs:1")
    else:
        load_by_hand(edge, theirs, "registry.example/theirs:1", "theirs")  # a prune takes such names
    assert edge.engine.remove(ONE.image.pin)
    assert not {NAME, FULL} & set(proof.images(edge.host))
    assert theirs.image.layers[0].blob.digest.hex in blobs(edge)
    assert other == "dangling" or "theirs" in proof.images(edge.host)


# ---- where it is, and who is answered ---------------------------------------------------------------


@contextmanager
def moved(host: Host) -> Iterator[str]:
    """containerd's data elsewhere, while it runs."""
    host.run(f"mv {DATA}/root {DATA}/elsewhere")
    try:
        yield f"{DATA}/elsewhere"
    finally:
        host.run(f"mv {DATA}/elsewhere {DATA}/root")


def test_data_that_is_elsewhere_is_found_where_it_is_open(edge: Edge, agent_of: AgentOf) -> None:
    agent = agent_of("edge-edgelet")
    with moved(edge.host) as folder, ssh.connect(agent) as connection:
        assert find(connection, agent).root == folder


def test_a_daemon_that_is_down_is_said_to_be(edge: Edge, agent_of: AgentOf) -> None:
    ENGINE.stop_daemon(edge.host)
    try:
        said = refused(agent_of, "edge-edgelet", engine="edgelet")
        assert "looking for edgelet: sudo edgelet: Error[DAEMON_UNAVAILABLE]" in said
        assert said.endswith("the edgelet daemon is not running; start it: systemctl start edgelet"), "told once"
        with pytest.raises(EngineError, match=r"listing images: .*; start it: systemctl start edgelet$"):
            edge.engine.images(ONE.image.reference)
    finally:
        ENGINE.start_daemon(edge.host)


def test_only_root_is_answered(agent_of: AgentOf) -> None:
    said = refused(agent_of, "edge-edgelet", sudo=False)
    assert said.endswith("edgelet answers only root: let edge use sudo, and omit sudo=False")
    said = refused(agent_of, "edge-edgelet", user="outsider", engine="edgelet")
    assert "sudo edgelet: sudo: a password is required" in said
