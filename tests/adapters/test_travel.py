"""Each way in which a layer travels, on the real engines: what it is made of on the host, and that it is proven."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import Lab, proof
from pulumi_iofog.errors import CorruptLayer, EngineError, Unreachable
from pulumi_iofog.layout import archive, prefix
from pulumi_iofog.spec import Agent
from pulumi_iofog.transfer import AsIs, Copied, Delta, HeldImage, Inventory, Part, Recoded, Way
from tests.adapters.conftest import ENGINES
from tests.adapters.edge import APP, Edge, reach
from tests.images import MadeImage, layer_tar, make_image

pytestmark = pytest.mark.lab
NOISE = random.Random(5).randbytes(200_000)
OLD_BASE, NEW_BASE = {"lib/noise": NOISE, "lib/note": b"old"}, {"lib/noise": NOISE, "lib/note": b"new"}
ABOVE = {"app/run": b"the application"}
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


@pytest.fixture(params=("edge-docker", "edge-podman"))
def recoding(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Edge]:
    """The engines whose image id does not depend on how a layer came."""
    with emptied(lab, request.param) as edge:
        yield edge


def zstd(data: bytes, *options: str) -> bytes:
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, capture_output=True, check=True).stdout


def bring(edge: Edge, made: MadeImage, travelling: list[tuple[Way, bytes]]) -> None:
    """Send every layer in its way, and load the image."""
    image = made.image
    parts = [Part(layer, way) for layer, (way, _) in zip(image.layers, travelling, strict=True)]
    edge.edge.give_back(image, parts, edge.edge.inventory(image))
    carried = {}
    for part, (_, data) in zip(parts, travelling, strict=True):
        if not isinstance(part.way, Copied):
            edge.edge.receive(image, part, lambda offset, data=data: [data[offset:]], lambda count: None)  # type: ignore[misc]
        carried[part.layer.diff_id] = edge.edge.settle(image, part)
    edge.edge.load(image, carried, image)


def held_id(edge: Edge, made: MadeImage) -> str:
    """How the engine calls the image that is there."""
    return next(each.id for each in edge.engine.images() if each.diff_ids == made.image.diff_ids)


def kept(edge: Edge) -> str:
    """The archive that is loaded as it arrives, on the host."""
    return f"{edge.edge.spool.folder(OLD.image)}/parts/archive"


def blobs(made: MadeImage) -> list[tuple[Way, bytes]]:
    return [(AsIs(), made.blobs[layer.blob.digest]) for layer in made.image.layers]


def test_recoded_layers_make_the_same_image(recoding: Edge) -> None:
    travelling = [(Recoded(9, 23), zstd(layer_tar(files), "-9")) for files in (OLD_BASE, ABOVE)]
    bring(recoding, OLD, travelling)  # type: ignore[arg-type]
    recoding.engine.verify(OLD.image.pin)
    assert recoding.content(APP, "lib/note") == "old"


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
    recoding.edge.clean(NEW.image)
    recoding.edge.clean(OLD.image)
    assert recoding.host.run(f"find {recoding.edge.spool.root} -mindepth 1") == ""


def test_a_delta_against_what_is_not_there_is_told_from_the_layer(recoding: Edge) -> None:
    part = Part(NEW.image.layers[0], Delta(OLD.image.diff_ids[0], "sha256:none", AsIs()))
    recoding.edge.receive(NEW.image, part, lambda offset: [b"no patch at all"], lambda count: None)
    with pytest.raises(CorruptLayer, match=r"proving layer sha256:\w+: what arrived has another sha256"):
        recoding.edge.settle(NEW.image, part)
    assert not recoding.edge.spool.arrived(NEW.image), "what was wrong is not gone on with"


def test_a_damaged_blob_is_told_from_the_right_one_and_sent_again(edge: Edge) -> None:
    part, data = Part(OLD.image.layers[0], AsIs()), OLD.blobs[OLD.image.layers[0].blob.digest]
    damaged = bytes([data[0] ^ 1]) + data[1:]
    edge.edge.receive(OLD.image, part, lambda offset: [damaged[offset:]], lambda count: None)
    with pytest.raises(CorruptLayer):
        edge.edge.settle(OLD.image, part)
    bring(edge, OLD, blobs(OLD))
    edge.engine.verify(OLD.image.pin)


def test_a_part_is_gone_on_with_where_it_was_cut_off(edge: Edge) -> None:
    part, data = Part(OLD.image.layers[0], AsIs()), OLD.blobs[OLD.image.layers[0].blob.digest]
    sent: list[int] = []
    edge.edge.receive(OLD.image, part, lambda offset: [data[:70_000]], sent.append)
    assert edge.edge.spool.arrived(OLD.image) == {part.name: 70_000}
    edge.edge.receive(OLD.image, part, lambda offset: [data[offset:]], sent.append)
    edge.edge.settle(OLD.image, part)
    assert sum(sent) == len(data)
    # And one that is whole is not sent again.
    edge.edge.receive(OLD.image, part, lambda offset: pytest.fail("sent again"), sent.append)


def test_an_engine_that_cannot_give_an_image_back_is_no_end(edge: Edge) -> None:
    missing = Delta(OLD.image.diff_ids[0], "sha256:" + "0" * 64, AsIs())
    edge.edge.spool.arrived(NEW.image)
    gone = Inventory(edge.engine.kind, tagged=False, images=(HeldImage(missing.source, OLD.image.diff_ids),))
    with pytest.raises(CorruptLayer, match=r"taking layers out of image sha256:0+"):
        edge.edge.give_back(NEW.image, [Part(NEW.image.layers[0], missing)], gone)


@pytest.fixture(params=("edge-docker", "edge-docker29"))
def streaming(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Edge]:
    """The engines that load an archive as it arrives."""
    with emptied(lab, request.param) as edge:
        yield edge


def test_an_archive_is_loaded_as_it_arrives_and_gone_on_with_after_a_cut(streaming: Edge) -> None:
    edge, image = streaming.edge, OLD.image
    assert edge.takes_archives
    parts = [Part(layer, AsIs()) for layer in image.layers]
    sent: list[int] = []

    def stream(part: Part, offset: int) -> Iterator[bytes]:
        yield OLD.blobs[part.layer.blob.digest][offset:]

    def cut(part: Part, offset: int) -> Iterator[bytes]:
        yield OLD.blobs[part.layer.blob.digest][offset:90_000]
        # Once the script has begun: before, it would end with its first word.
        streaming.host.run(f"for i in $(seq 50); do [ -s {kept(streaming)} ] && break; sleep 0.1; done")
        raise Unreachable("edge", "sending", "the connection was lost")

    with pytest.raises(Unreachable):
        edge.load_archive(image, parts, cut, sent.append)
    streaming.host.run(f"while pgrep -x docker >/dev/null; do sleep 0.1; done; test -s {kept(streaming)}")
    edge.load_archive(image, parts, stream, sent.append)
    streaming.engine.verify(image.pin)
    head = archive(image, image.layers, streaming.engine.kind)[0].size
    assert sum(sent) == int(streaming.host.run(f"wc -c < {kept(streaming)}")) - head
    assert streaming.content(APP, "lib/note") == "old"


def test_a_damaged_archive_is_refused_by_the_engine_and_not_kept(streaming: Edge) -> None:
    def stream(part: Part, offset: int) -> Iterator[bytes]:
        data = OLD.blobs[part.layer.blob.digest]
        middle = len(data) // 2
        yield (data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])[offset:]

    with pytest.raises(EngineError, match="loading registry"):
        streaming.edge.load_archive(
            OLD.image, [Part(each, AsIs()) for each in OLD.image.layers], stream, lambda _: None
        )
    assert streaming.edge.spool.arrived(OLD.image) == {}
    assert not streaming.edge.holds(OLD.image.pin)


def test_lower_layers_are_loaded_first_and_gone_at_the_end(edge: Edge) -> None:
    image = OLD.image
    parts = [Part(layer, AsIs()) for layer in image.layers]
    carried = {}
    for number, (part, (_, data)) in enumerate(zip(parts, blobs(OLD), strict=True)):
        edge.edge.receive(image, part, lambda offset, data=data: [data[offset:]], lambda count: None)  # type: ignore[misc]
        carried[part.layer.diff_id] = edge.edge.settle(image, part)
        if number == 0:
            edge.edge.load(prefix(image, 1), carried, image)
            assert image.diff_ids[0] in edge.held(image)
    edge.edge.load(image, carried, image)
    edge.engine.verify(image.pin)
    edge.edge.clean(image)
    assert proof.images(edge.host) == [APP]
    edge.engine.verify(image.pin)


def test_the_spool_is_private(edge: Edge) -> None:
    assert edge.edge.spool.arrived(OLD.image) == {}
    modes = edge.host.run(f"stat -c %a {edge.edge.spool.root} {edge.edge.spool.folder(OLD.image)}").split()
    assert modes == ["700", "700"]
