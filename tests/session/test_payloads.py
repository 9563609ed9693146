"""The operator's side of a transfer, with a real store and real encoders, and a registry in memory."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.adapters.recode import recode
from pulumi_iofog.adapters.registry.registry import Registry
from pulumi_iofog.oci.image import Descriptor, Digest, Reference, sha256
from pulumi_iofog.session.payloads import Payloads
from pulumi_iofog.transfer.encodings import AsIs, Delta, Encoding, Part, Recoded, TokenDelta
from tests.gzip_tokens import gzip_tokens
from tests.images import MadeImage, layer_tar, make_image

NOISE = random.Random(1).randbytes(300_000)
OLD = make_image({"lib": NOISE, "note": b"old"}, reference="registry.example/app:1")
NEW = make_image({"lib": NOISE, "note": b"new"}, reference="registry.example/app:2")
OTHER = make_image({"lib": random.Random(2).randbytes(300_000)}, reference="registry.example/app:3")


class MemoryRegistry(Registry):
    """Hands out blobs of made images, and counts."""

    def __init__(self, *made: MadeImage) -> None:
        super().__init__()
        self._held = {digest: data for image in made for digest, data in image.blobs.items()}
        self.pulled: list[Digest] = []

    def blob(self, reference: Reference, blob: Descriptor, offset: int = 0) -> Generator[bytes, None, None]:
        self.pulled.append(blob.digest)
        yield self._held[blob.digest][offset:]


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    registry = MemoryRegistry(OLD, NEW, OTHER)
    yield registry
    registry.close()


@pytest.fixture
def blobs(tmp_path: Path, registry: MemoryRegistry) -> Iterator[Payloads]:
    store = Store(tmp_path / "cache")
    yield Payloads(store, store.records, lambda reference: registry)
    store.close()


def part(made: MadeImage, way: Encoding) -> Part:
    return Part(made.image.layers[0], way)


def bytes_of(blobs: Payloads, made: MadeImage, travelling: Part, offset: int = 0) -> bytes:
    return b"".join(blobs.stream(made.image.reference, travelling, offset))


def test_how_large_layers_are_unpacked_is_known_once_they_are_at_hand(blobs: Payloads) -> None:
    (layer,) = NEW.image.layers
    size = {layer.diff_id: len(layer_tar({"lib": NOISE, "note": b"new"}))}
    assert blobs.plain_sizes(NEW.image) == {}
    blobs.path(NEW.image.reference, layer.blob)
    assert blobs.plain_sizes(NEW.image) == size
    plain = make_image({"lib": NOISE}, plain=True).image
    assert blobs.plain_sizes(plain) == {plain.diff_ids[0]: plain.layers[0].blob.size}


@pytest.mark.parametrize("way", [AsIs(unpack=True), Recoded(3, 20)])
def test_how_large_a_layer_is_unpacked_is_kept_in_mind(
    blobs: Payloads, tmp_path: Path, registry: MemoryRegistry, way: AsIs | Recoded
) -> None:
    blobs.expected(NEW.image.reference, part(NEW, way))
    (tmp_path / "cache/blobs/sha256" / NEW.image.layers[0].blob.digest.hex).unlink()
    store = Store(tmp_path / "cache")
    later = Payloads(store, store.records, lambda reference: registry)
    assert later.plain_sizes(NEW.image) == {NEW.image.diff_ids[0]: len(layer_tar({"lib": NOISE, "note": b"new"}))}
    store.close()


def test_a_blob_as_it_is_comes_from_the_registry_once(blobs: Payloads, registry: MemoryRegistry) -> None:
    travelling = part(NEW, AsIs())
    blob = NEW.image.layers[0].blob
    assert bytes_of(blobs, NEW, travelling) == NEW.blobs[blob.digest]
    assert bytes_of(blobs, NEW, travelling, 100) == NEW.blobs[blob.digest][100:]
    assert registry.pulled == [blob.digest]


def test_a_recoded_layer_is_the_same_tar_and_is_made_once(blobs: Payloads, registry: MemoryRegistry) -> None:
    travelling = part(NEW, Recoded(9, 23))
    encoded = bytes_of(blobs, NEW, travelling)
    plain = subprocess.run(["zstd", "-dc"], input=encoded, capture_output=True, check=True).stdout
    assert sha256(plain) == NEW.image.layers[0].diff_id
    assert bytes_of(blobs, NEW, travelling, 1000) == encoded[1000:]
    assert len(registry.pulled) == 1


def test_what_a_part_must_turn_out_to_be_is_known(blobs: Payloads) -> None:
    layer, reference = NEW.image.layers[0], NEW.image.reference
    assert blobs.expected(reference, part(NEW, AsIs())) == layer.blob
    unpacked = blobs.expected(reference, part(NEW, AsIs(unpack=True)))
    assert (unpacked, unpacked.plain_size) == (layer.blob, len(layer_tar({"lib": NOISE, "note": b"new"})))
    encoded = part(NEW, Recoded(9, 23))
    data = bytes_of(blobs, NEW, encoded)
    made = blobs.expected(reference, encoded)
    assert made == Descriptor(sha256(data), len(data), "application/vnd.oci.image.layer.v1.tar+zstd")
    assert made.plain_size == len(layer_tar({"lib": NOISE, "note": b"new"}))
    assert layer.blob.plain_size is None


def test_a_layer_is_measured_once(blobs: Payloads, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Path] = []
    plain_size = recode.plain_size
    monkeypatch.setattr(recode, "plain_size", lambda layer, blob: (measured.append(blob), plain_size(layer, blob))[1])
    travelling = part(NEW, AsIs(unpack=True))
    with blobs.ahead(NEW.image.reference, [travelling]), ThreadPoolExecutor(4) as agents:
        forms = list(agents.map(lambda _: blobs.expected(NEW.image.reference, travelling), range(4)))
    assert {form.plain_size for form in forms} == {len(layer_tar({"lib": NOISE, "note": b"new"}))}
    assert len(measured) == 1


def test_what_a_recoded_layer_is_need_not_be_remembered(blobs: Payloads, tmp_path: Path) -> None:
    encoded = part(NEW, Recoded(9, 23))
    made = blobs.expected(NEW.image.reference, encoded)
    for record in (tmp_path / "cache/records").iterdir():
        record.unlink()
    again = blobs.expected(NEW.image.reference, encoded)
    assert (again, again.plain_size) == (made, made.plain_size)
    assert [file.name for file in (tmp_path / "cache/derived").iterdir()] == [encoded.name]


def test_the_next_parts_are_made_while_others_travel(blobs: Payloads, registry: MemoryRegistry, tmp_path: Path) -> None:
    parts = [part(OLD, AsIs()), part(NEW, Recoded(9, 23))]
    with blobs.ahead(NEW.image.reference, parts):
        deadline = time.monotonic() + 30
        while not (tmp_path / "cache/derived" / parts[1].name).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert registry.pulled == [OLD.image.layers[0].blob.digest, NEW.image.layers[0].blob.digest]
    assert bytes_of(blobs, NEW, parts[1])
    assert len(registry.pulled) == 2


def test_a_delta_is_small_and_the_host_makes_the_layer_of_it(blobs: Payloads, tmp_path: Path) -> None:
    blobs.learn(OLD.image)
    assert blobs.older([OLD.image.diff_ids[0], NEW.image.diff_ids[0]]) == {
        OLD.image.diff_ids[0]: OLD.image.layers[0].blob
    }
    travelling = blobs.ready(NEW.image.reference, part(NEW, Delta(OLD.image.diff_ids[0], "held", AsIs())))
    assert isinstance(travelling.encoding, Delta)
    patch, base = tmp_path / "patch", tmp_path / "base"
    patch.write_bytes(bytes_of(blobs, NEW, travelling))
    base.write_bytes(layer_tar({"lib": NOISE, "note": b"old"}))
    assert patch.stat().st_size < 2000
    argv = ["zstd", "-dc", "--long=31", f"--patch-from={base}", str(patch)]
    assert sha256(subprocess.run(argv, capture_output=True, check=True).stdout) == NEW.image.diff_ids[0]
    assert [file.name for file in (tmp_path / "cache/derived").iterdir()] == [travelling.name]


def test_a_delta_of_tokens_is_small_and_the_registrys_own_blob_comes_of_it(blobs: Payloads, tmp_path: Path) -> None:
    blobs.learn(OLD.image)
    old = OLD.image.layers[0].blob.digest
    travelling = blobs.ready(
        NEW.image.reference, part(NEW, TokenDelta(OLD.image.diff_ids[0], old, "held", otherwise=AsIs()))
    )
    assert isinstance(travelling.encoding, TokenDelta)
    patch, base = tmp_path / "patch", tmp_path / "base"
    patch.write_bytes(bytes_of(blobs, NEW, travelling))
    assert patch.stat().st_size < 4000
    base.write_bytes(gzip_tokens("parse", OLD.blobs[old]))
    argv = ["zstd", "-dc", "--long=31", f"--patch-from={base}", str(patch)]
    made = gzip_tokens("encode", subprocess.run(argv, capture_output=True, check=True).stdout)
    assert sha256(made) == NEW.image.layers[0].blob.digest == blobs.expected(NEW.image.reference, travelling).digest


@pytest.mark.parametrize("known", [True, False], ids=["not alike", "not known"])
def test_a_delta_of_tokens_that_is_not_worth_it_or_cannot_be_made_is_given_up(blobs: Payloads, known: bool) -> None:
    if known:
        blobs.learn(OTHER.image)
    base, blob = OTHER.image.diff_ids[0], OTHER.image.layers[0].blob.digest
    assert blobs.ready(NEW.image.reference, part(NEW, TokenDelta(base, blob, "held", AsIs()))).encoding == AsIs()


@pytest.mark.parametrize("known", [True, False], ids=["not alike", "not known"])
def test_a_delta_that_is_not_worth_it_or_cannot_be_made_is_given_up(blobs: Payloads, known: bool) -> None:
    if known:
        blobs.learn(OTHER.image)
    travelling = blobs.ready(NEW.image.reference, part(NEW, Delta(OTHER.image.diff_ids[0], "held", Recoded(9, 23))))
    assert travelling.encoding == Recoded(9, 23)
