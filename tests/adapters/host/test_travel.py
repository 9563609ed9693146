"""Each way in which a layer travels, on the real engines: what it is made of on the host, and that it is proven."""

from __future__ import annotations

import gzip
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import Lab, proof
from pulumi_iofog.adapters.host.spool import Arrived
from pulumi_iofog.errors import CorruptLayer, EngineError
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Descriptor, sha256
from pulumi_iofog.transfer.encodings import AsIs, Copied, Delta, Encoding, Part, Recoded, TokenDelta
from pulumi_iofog.transfer.inventory import HeldImage, Inventory
from pulumi_iofog.transfer.load_folder import plain_blob, prefix
from tests.adapters.conftest import ENGINES
from tests.adapters.host.edge import APP, REFERENCE, Edge, reach
from tests.gzip_tokens import gzip_tokens
from tests.images import MadeImage, layer_tar, make_image

pytestmark = pytest.mark.lab
NOISE = random.Random(5).randbytes(200_000)
OLD_BASE, NEW_BASE = {"lib/noise": NOISE, "lib/note": b"old"}, {"lib/noise": NOISE, "lib/note": b"new"}
ABOVE = {"app/run": b"the application"}
NOTHING = Arrived({}, {})
EARLY = [name for name in ENGINES if name != "edge-edgelet"]
"""Those that are given lower layers ahead of the rest."""
OLD, NEW = make_image(OLD_BASE, ABOVE), make_image(NEW_BASE, ABOVE)


@contextmanager
def emptied(lab: Lab, name: str) -> Iterator[Edge]:
    """A host whose engine and spool hold nothing."""
    host = lab.hosts[name]
    proof.empty(host)
    with reach(host, Agent(**host.agent(lab.known_hosts_file))) as edge:  # type: ignore[arg-type]
        edge.host.run(f"rm -rf {edge.edge.spool.root}/*")
        yield edge


@pytest.fixture(params=ENGINES)
def edge(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Edge]:
    with emptied(lab, request.param) as edge:
        yield edge


@pytest.fixture(params=("edge-docker", "edge-podman", "edge-edgelet"))
def recoding(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Edge]:
    """The engines whose image id does not depend on how a layer came."""
    with emptied(lab, request.param) as edge:
        yield edge


def zstd(data: bytes, *options: str) -> bytes:
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, capture_output=True, check=True).stdout


def bring(edge: Edge, made: MadeImage, travelling: list[tuple[Encoding, bytes]]) -> None:
    """Send every layer in its encoding, and load the image."""
    image = made.image
    parts = [Part(layer, way) for layer, (way, _) in zip(image.layers, travelling, strict=True)]
    delivery = edge.delivery(image, *parts)
    delivery.take_back(parts, edge.edge.inventory(image))
    carried = {}
    for part, (_, data) in zip(parts, travelling, strict=True):
        if not isinstance(part.encoding, Copied):
            delivery.receive(part, lambda offset, data=data: [data[offset:]], lambda count: None)  # type: ignore[misc]
        carried[part.layer.diff_id] = delivery.prove(part, expected(part, data))
    delivery.load(image, carried)


def expected(part: Part, data: bytes) -> Descriptor:
    """What a part must lie in the spool as."""
    if part.plain:
        return plain_blob(part.layer)
    if isinstance(part.encoding, Recoded):
        plain = len(layer_tar(ABOVE if part.layer.diff_id == sha256(layer_tar(ABOVE)) else OLD_BASE))
        return Descriptor(sha256(data), len(data), "application/vnd.oci.image.layer.v1.tar+zstd", plain)
    if isinstance(part.encoding, TokenDelta):
        return part.layer.blob
    unpack = isinstance(part.encoding, AsIs) and part.encoding.unpack
    plain = len(gzip.decompress(data)) if unpack else None
    return Descriptor(sha256(data), len(data), part.layer.blob.media_type, plain)


def held_id(edge: Edge, made: MadeImage) -> str:
    """How the engine calls the image that is there."""
    return next(each.id for each in edge.engine.images(REFERENCE).images if each.diff_ids == made.image.diff_ids)


def blobs(made: MadeImage) -> list[tuple[Encoding, bytes]]:
    return [(AsIs(), made.blobs[layer.blob.digest]) for layer in made.image.layers]


@pytest.mark.parametrize("options", [("-9",), ("-12", "--long=27")])
def test_recoded_layers_make_the_same_image(recoding: Edge, options: tuple[str, ...]) -> None:
    bring(recoding, OLD, [(Recoded(9, 23), zstd(layer_tar(files), *options)) for files in (OLD_BASE, ABOVE)])
    recoding.engine.verify(OLD.image.pin)
    assert recoding.content(APP, "lib/note") == "old"


def test_plain_layers_may_be_recoded_for_containerds_store(lab: Lab) -> None:
    made = make_image(OLD_BASE, ABOVE, plain=True)
    with emptied(lab, "edge-docker29") as edge:
        bring(edge, made, [(Recoded(9, 23), zstd(layer_tar(files))) for files in (OLD_BASE, ABOVE)])
        edge.engine.verify(made.image.pin)


@pytest.mark.parametrize("base", [zstd(layer_tar(NEW_BASE)), b"not zstd"], ids=["another layer", "no zstd"])
def test_docker_takes_no_recoded_layer_that_does_not_come_out_right(lab: Lab, base: bytes) -> None:
    with emptied(lab, "edge-docker") as edge:
        with pytest.raises(CorruptLayer, match="loading"):
            bring(edge, OLD, [(Recoded(9, 23), base), (Recoded(9, 23), zstd(layer_tar(ABOVE)))])
        assert edge.engine.image_id(REFERENCE) is None


def test_blobs_that_the_host_unpacks_make_the_same_image(lab: Lab) -> None:
    with emptied(lab, "edge-docker") as edge:
        bring(edge, OLD, [(AsIs(unpack=True), data) for _, data in blobs(OLD)])
        edge.engine.verify(OLD.image.pin)
        assert edge.content(APP, "lib/note") == "old"


def test_a_delta_against_a_held_layer_and_a_layer_that_the_engine_gives_back(recoding: Edge, tmp_path: Path) -> None:
    bring(recoding, OLD, blobs(OLD))
    source = held_id(recoding, OLD)
    old, new, patch = tmp_path / "old", tmp_path / "new", tmp_path / "patch"
    old.write_bytes(layer_tar(OLD_BASE))
    new.write_bytes(layer_tar(NEW_BASE))
    subprocess.run(["zstd", "-q", f"--patch-from={old}", new, "-o", patch], check=True)
    assert patch.stat().st_size < 1000
    bring(recoding, NEW, [(Delta(OLD.image.diff_ids[0], source, AsIs()), patch.read_bytes()), (Copied(source), b"")])
    recoding.engine.verify(NEW.image.pin)
    assert [recoding.content(APP, path) for path in ("lib/note", "app/run")] == ["new", "the application"]
    recoding.edge.clear_spool(NEW.image)
    recoding.edge.clear_spool(OLD.image)
    assert recoding.host.run("find /home/edge/.cache/pulumi-iofog/spool -mindepth 1") == ""


def token_patch(old: MadeImage, new: MadeImage, folder: Path) -> bytes:
    """A patch between the tokens of both images' lowest layers."""
    for name, made in (("old", old), ("new", new)):
        (folder / name).write_bytes(gzip_tokens("parse", made.blobs[made.image.layers[0].blob.digest]))
    subprocess.run(["zstd", "-q", f"--patch-from={folder / 'old'}", folder / "new", "-o", folder / "patch"], check=True)
    return (folder / "patch").read_bytes()


def test_containerds_store_has_the_registrys_own_blob_after_a_delta_of_tokens(lab: Lab, tmp_path: Path) -> None:
    patch = token_patch(OLD, NEW, tmp_path)
    assert len(patch) < 4000
    base = OLD.image.layers[0]
    with emptied(lab, "edge-docker29") as edge:
        bring(edge, OLD, blobs(OLD))
        delta = TokenDelta(base.diff_id, base.blob.digest, held_id(edge, OLD), AsIs())
        bring(edge, NEW, [(delta, patch), blobs(NEW)[1]])
        edge.engine.verify(NEW.image.pin)
        saved = edge.host.run(f"docker save {APP} | tar -tf -")
        assert all(f"blobs/sha256/{digest.hex}\n" in saved for digest in NEW.blobs)
        # The program stays for the next time; it is not brought again, and one that was tampered with is.
        (program,) = edge.host.run(f"ls -d {edge.edge.spool.root}/gzip-tokens-*").split()
        before = edge.host.run(f"stat -c %i {program}")
        bring(edge, NEW, [(delta, patch), blobs(NEW)[1]])
        assert edge.host.run(f"stat -c %i {program}") == before
        edge.host.run(f"echo true > {program}")
        bring(edge, NEW, [(delta, patch), blobs(NEW)[1]])
        assert edge.host.run(f"sha256sum < {program}").startswith(program.rpartition("-")[2])


def test_a_host_that_runs_no_program_of_ours_says_so(lab: Lab) -> None:
    base = OLD.image.layers[0]
    with emptied(lab, "edge-docker29") as edge:
        bring(edge, OLD, blobs(OLD))
        part = Part(NEW.image.layers[0], TokenDelta(base.diff_id, base.blob.digest, held_id(edge, OLD), AsIs()))
        root = edge.edge.spool.root
        edge.host.run(f"mount --bind {root} {root} && mount -o remount,noexec,bind {root}")
        try:
            with pytest.raises(CorruptLayer, match=r"trying gzip-tokens: .*denied.*iofog:hostProgram"):
                edge.delivery(NEW.image, part).take_back([part], edge.edge.inventory(NEW.image))
        finally:
            edge.host.run(f"umount {root}")


def test_a_delta_against_what_is_not_there_is_told_from_the_layer(recoding: Edge) -> None:
    part = Part(NEW.image.layers[0], Delta(OLD.image.diff_ids[0], "sha256:none", AsIs()))
    delivery = recoding.delivery(NEW.image)
    delivery.receive(part, lambda offset: [b"no patch at all"], lambda count: None)
    with pytest.raises(CorruptLayer, match=r"proving layer sha256:\w+: what arrived has another sha256"):
        delivery.prove(part, expected(part, b""))
    assert recoding.edge.spool.arrived(NEW.image) == NOTHING, "what was wrong is not gone on with"


def test_a_damaged_blob_is_told_from_the_right_one_and_sent_again(edge: Edge) -> None:
    part, data = Part(OLD.image.layers[0], AsIs()), OLD.blobs[OLD.image.layers[0].blob.digest]
    damaged = bytes([data[0] ^ 1]) + data[1:]
    delivery = edge.delivery(OLD.image)
    delivery.receive(part, lambda offset: [damaged[offset:]], lambda count: None)
    with pytest.raises(CorruptLayer):
        delivery.prove(part, expected(part, data))
    bring(edge, OLD, blobs(OLD))
    edge.engine.verify(OLD.image.pin)


def test_a_part_is_gone_on_with_where_it_was_cut_off(edge: Edge) -> None:
    part, data = Part(OLD.image.layers[0], AsIs()), OLD.blobs[OLD.image.layers[0].blob.digest]
    sent: list[int] = []
    edge.delivery(OLD.image).receive(part, lambda offset: [data[:70_000]], sent.append)
    delivery = edge.delivery(OLD.image, part)
    assert not delivery.has(part)
    delivery.receive(part, lambda offset: [data[offset:]], sent.append)
    delivery = edge.delivery(OLD.image, part)
    assert delivery.has(part)
    delivery.prove(part, expected(part, data))
    assert sum(sent) == len(data)
    # And one that is proven is not sent again.
    delivery = edge.delivery(OLD.image, part)
    assert delivery.has(part)
    delivery.receive(part, lambda offset: pytest.fail("sent again"), sent.append)
    delivery.prove(part, expected(part, data))


def test_an_engine_that_cannot_give_an_image_back_is_no_end(edge: Edge) -> None:
    missing = Delta(OLD.image.diff_ids[0], "sha256:" + "0" * 64, AsIs())
    held = (HeldImage(missing.source, OLD.image.diff_ids),)
    gone = Inventory(edge.engine.traits, edge.engine.platform, tagged=False, images=held)
    with pytest.raises(CorruptLayer, match=r"taking layers out of image sha256:0+"):
        edge.delivery(NEW.image).take_back([Part(NEW.image.layers[0], missing)], gone)


@pytest.mark.parametrize("edge", EARLY, indirect=True)
def test_lower_layers_are_loaded_first_and_gone_at_the_end(edge: Edge) -> None:
    image = OLD.image
    parts = [Part(layer, AsIs()) for layer in image.layers]
    delivery, carried = edge.delivery(image), {}
    for number, (part, (_, data)) in enumerate(zip(parts, blobs(OLD), strict=True)):
        delivery.receive(part, lambda offset, data=data: [data[offset:]], lambda count: None)  # type: ignore[misc]
        carried[part.layer.diff_id] = delivery.prove(part, expected(part, data))
        if number == 0:
            delivery.load(prefix(image, 1), carried)
            assert image.diff_ids[0] in edge.held(image)
            # From now on it is the engine's.
            delivery.discard([carried.pop(image.diff_ids[0])])
    delivery.load(image, carried)
    edge.engine.verify(image.pin)
    edge.edge.untag_lower_images()
    edge.edge.clear_spool(image)
    assert proof.images(edge.host) == [APP]
    edge.engine.verify(image.pin)


@pytest.mark.parametrize("edge", EARLY, indirect=True)
def test_lower_layers_that_an_interrupted_transfer_has_loaded_go_with_the_next(edge: Edge, lab: Lab) -> None:
    image, part = OLD.image, Part(OLD.image.layers[0], AsIs())
    data = OLD.blobs[part.layer.blob.digest]
    delivery = edge.delivery(image)
    delivery.receive(part, lambda offset: [data], lambda count: None)
    lower = prefix(image, 1)
    delivery.load(lower, {part.layer.diff_id: delivery.prove(part, expected(part, data))})
    assert proof.images(edge.host) == [lower.reference.full_name]
    with reach(edge.host, Agent(**edge.host.agent(lab.known_hosts_file))) as again:  # type: ignore[arg-type]
        assert again.held(image) == {part.layer.diff_id}
        again.edge.untag_lower_images()
    assert proof.images(edge.host) == []


def test_a_docker_that_is_down_is_not_taken_for_a_layer_that_is_wrong(lab: Lab) -> None:
    with emptied(lab, "edge-docker") as edge:
        edge.host.stop_engine()
        try:
            with pytest.raises(EngineError, match="Is the docker service running"):
                bring_without_engine(edge)
        finally:
            edge.host.start_engine()


def bring_without_engine(edge: Edge) -> None:
    """Send a recoded layer that no pipe holds, and load it."""
    part, data = Part(OLD.image.layers[0], Recoded(9, 23)), zstd(layer_tar(OLD_BASE))
    delivery = edge.delivery(OLD.image)
    delivery.receive(part, lambda offset: [data], lambda count: None)
    delivery.load(OLD.image, {part.layer.diff_id: delivery.prove(part, expected(part, data))})


def test_the_spool_is_private(edge: Edge) -> None:
    assert edge.edge.spool.arrived(OLD.image) == NOTHING
    modes = edge.host.run(f"stat -c %a {edge.edge.spool.root} {edge.edge.spool.folder(OLD.image)}").split()
    assert modes == ["700", "700"]
