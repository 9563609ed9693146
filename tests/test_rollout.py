"""One rollout against hosts that really hold, lose and refuse layers, but in memory."""

from __future__ import annotations

import pickle
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulumi_iofog import rollout
from pulumi_iofog.errors import (
    CorruptLayer,
    EngineError,
    InputError,
    MissingLayers,
    RolloutFailed,
    Unreachable,
    VerificationFailed,
)
from pulumi_iofog.image import AMD64, ARM64, Blob, Digest, Image, Pin, Platform, Reference
from pulumi_iofog.outcome import Outcome
from pulumi_iofog.rollout import Job, bring, roll_out
from pulumi_iofog.spec import Agent
from pulumi_iofog.transfer import AsIs, Delta, EngineKind, HeldImage, Inventory, Part, Transfer
from tests.images import MadeImage, make_image


@dataclass
class MemoryHost:
    """An edge host in memory: layers by diff id, images by full name, a spool by the parts' names."""

    kind: EngineKind = "podman"
    platform: Platform = AMD64
    layers: set[Digest] = field(default_factory=set)
    claims: set[Digest] = field(default_factory=set)
    images: dict[str, Digest] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    in_use: set[Digest] = field(default_factory=set)
    spool: dict[str, bytes] = field(default_factory=dict)
    settled: set[Digest] = field(default_factory=set)
    dropped: set[Digest] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    down: bool = False
    load_fails: bool = False
    zstd: bool = False
    corrupts: set[type] = field(default_factory=set)
    cuts: list[int] = field(default_factory=list)
    """After how many more bytes the link is lost, each time once."""
    away: int = 0
    """How often it does not answer after a cut."""
    speed: float = 110e6
    tidied: int = 0

    def inventory(self, image: Image) -> Inventory:
        self.calls.append("inventory")
        tagged = self.images.get(image.reference.full_name) == image.image_id
        holds = (HeldImage("sha256:held", tuple(sorted(self.layers | self.claims))),)
        return Inventory(self.kind, tagged, holds, False, self.zstd, 10**10)

    def rate(self) -> float:
        self.calls.append("rate")
        return self.speed

    def make_room(self, image: Image, sending: Transfer) -> None:
        self.calls.append("room")

    def has(self, part: Part) -> bool:
        return len(self.spool.get(part.name, b"")) == part.layer.blob.size

    def give_back(self, image: Image, parts: Sequence[Part], inventory: Inventory) -> None:
        """Nothing to do: what it holds it has at hand."""

    def receive(
        self, image: Image, part: Part, stream: Callable[[int], Iterable[bytes]], on_bytes: Callable[[int], None]
    ) -> None:
        self.calls.append("receive")
        for byte in b"".join(stream(len(self.spool.setdefault(part.name, b"")))):
            if self.cuts and self.cuts[0] == 0:
                self.cuts.pop(0)
                raise Unreachable("edge", "sending", "the connection was lost")
            self.cuts[:1] = [left - 1 for left in self.cuts[:1]]
            self.spool[part.name] += bytes([byte])
            on_bytes(1)

    def settle(self, image: Image, part: Part, form: Blob) -> Blob:
        self.calls.append("settle")
        if type(part.way) in self.corrupts:
            del self.spool[part.name]
            raise CorruptLayer("edge", "proving a layer", "what arrived has another sha256")
        self.settled.add(part.layer.diff_id)
        self.dropped.discard(form.digest)
        return form

    def load(self, image: Image, carried: Mapping[Digest, Blob], whole: Image) -> None:
        self.calls.append("load" if image == whole else f"load {len(image.layers)}")
        if self.load_fails:
            raise EngineError("edge", "loading", "the daemon went away")
        assert carried.keys() <= self.settled
        assert not self.dropped & {blob.digest for blob in carried.values()}
        if not set(image.diff_ids) <= carried.keys() | self.layers:
            raise MissingLayers("edge", "loading", "a layer is missing")
        self.layers |= set(image.diff_ids)
        self.images[image.reference.full_name] = image.image_id
        self.broken.discard(image.reference.full_name)

    def drop(self, image: Image, blobs: Iterable[Blob]) -> None:
        for blob in blobs:
            self.dropped.add(blob.digest)
            self.spool.pop(blob.digest[7:], None)

    def verify(self, pin: Pin) -> None:
        self.calls.append("verify")
        if self.images.get(pin.reference.full_name) != pin.image_id or pin.reference.full_name in self.broken:
            raise VerificationFailed("edge", "verifying", "no container can be created")

    def remove(self, pin: Pin) -> bool:
        self.calls.append("remove")
        return pin.image_id not in self.in_use

    def sweep(self) -> None:
        """Nothing is left over."""

    def tidy(self) -> None:
        self.tidied += 1

    def clean(self, image: Image) -> None:
        self.spool.clear()
        self.settled.clear()


class SwiftHost(MemoryHost):
    """Takes bytes at once, for images of some size."""

    def receive(
        self, image: Image, part: Part, stream: Callable[[int], Iterable[bytes]], on_bytes: Callable[[int], None]
    ) -> None:
        self.calls.append("receive")
        if not self.has(part):
            self.spool[part.name] = b"".join(stream(0))
            on_bytes(len(self.spool[part.name]))


class ForgetfulHost(SwiftHost):
    """Loses the lower layers once, before all others come."""

    def load(self, image: Image, carried: Mapping[Digest, Blob], whole: Image) -> None:
        if image == whole and "load" not in self.calls:
            self.layers.clear()
        super().load(image, carried, whole)


class Quiet:
    def begin(self, agent: str, doing: str, size: int = 0) -> None: ...
    def moved(self, agent: str, count: int) -> None: ...
    def end(self, agent: str) -> None: ...


class Lab:
    """Hosts by name, and the blobs of some images as files."""

    def __init__(self, folder: Path, *made: MadeImage) -> None:
        self.folder, self.hosts = folder, {}  # type: ignore[var-annotated]
        self.pulled: list[Digest] = []
        self.expected: list[list[Digest]] = []
        self.known: dict[Digest, Blob] = {}
        self.waited: list[float] = []
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()
        for image in made:
            for digest, data in image.blobs.items():
                (folder / digest[7:]).write_bytes(data)

    def older(self, diff_ids: Iterable[Digest]) -> dict[Digest, Blob]:
        return {diff_id: self.known[diff_id] for diff_id in diff_ids if diff_id in self.known}

    def ready(self, reference: Reference, part: Part) -> Part:
        return part

    def stream(self, reference: Reference, part: Part, offset: int) -> Iterator[bytes]:
        self.pulled.append(part.layer.blob.digest)
        yield (self.folder / part.layer.blob.digest[7:]).read_bytes()[offset:]

    @contextmanager
    def ahead(self, reference: Reference, parts: Sequence[Part]) -> Iterator[None]:
        self.expected.append([part.layer.blob.digest for part in parts])
        yield

    def form(self, reference: Reference, part: Part) -> Blob:
        return part.layer.blob

    @contextmanager
    def connect(self, agent: Agent) -> Iterator[MemoryHost]:
        host = self.hosts.setdefault(agent.name, MemoryHost())
        if host.down or (host.calls and host.away):
            host.away -= 1
            raise Unreachable(agent.name, "connecting", "connection refused", "Is sshd running?")
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            yield host
        finally:
            with self._lock:
                self._now -= 1

    def tools(self) -> rollout.Tools:
        return rollout.Tools(self.connect, self, Quiet(), 10**10, wait=self.waited.append)


V1 = make_image({"base": b"b" * 5000}, {"app": b"1"})
V2 = make_image({"base": b"b" * 5000}, {"app": b"2"})


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, V1, V2)


def job(name: str = "edge-1", image: Image = V1.image, replaced: Pin | None = None) -> Job:
    return Job(Agent(name, host=name), image, replaced)


def test_first_time_everything_is_sent_and_nothing_is_left_in_the_spool(lab: Lab) -> None:
    outcome = bring(job(), lab.tools())
    size = sum(layer.blob.size for layer in V1.image.layers)
    assert outcome == Outcome("edge-1", updated=True, sent=size, total=V1.image.manifest.size)
    host = lab.hosts["edge-1"]
    assert [call for call in host.calls if call != "settle"] == [
        *("inventory", "room", "receive", "receive", "load", "verify")
    ]
    assert host.spool == {}


def test_what_is_there_already_is_proven_and_not_sent(lab: Lab) -> None:
    bring(job(), lab.tools())
    lab.pulled.clear()
    assert bring(job(), lab.tools()) == Outcome("edge-1", total=V1.image.manifest.size)
    assert lab.hosts["edge-1"].calls[-2:] == ["inventory", "verify"]
    assert lab.hosts["edge-1"].tidied == 2, "also after a transfer that was interrupted"
    assert lab.pulled == []


def test_an_image_that_only_looks_right_is_sent_again_whole(lab: Lab) -> None:
    bring(job(), lab.tools())
    host = lab.hosts["edge-1"]
    host.broken.add(V1.image.reference.full_name)
    outcome = bring(job(), lab.tools())
    assert outcome.updated
    assert outcome.sent == sum(layer.blob.size for layer in V1.image.layers)


def test_only_the_changed_layer_is_pulled_and_sent(lab: Lab) -> None:
    bring(job(), lab.tools())
    lab.pulled.clear()
    outcome = bring(job(image=V2.image), lab.tools())
    assert lab.pulled == [V2.image.layers[1].blob.digest]
    assert outcome.sent == V2.image.layers[1].blob.size


def test_a_layer_that_was_not_there_after_all_is_sent_afterwards(lab: Lab) -> None:
    lab.hosts["edge-1"] = MemoryHost(claims={V1.image.layers[0].diff_id})
    outcome = bring(job(), lab.tools())
    assert outcome.error is None
    assert lab.hosts["edge-1"].calls.count("verify") == 1
    assert outcome.sent == sum(layer.blob.size for layer in V1.image.layers)
    assert lab.hosts["edge-1"].calls.count("load") == 2


def test_a_lost_link_is_taken_up_where_it_was(lab: Lab) -> None:
    lab.hosts["edge-1"] = MemoryHost(cuts=[10, 20, 30])
    outcome = bring(job(), lab.tools())
    size = sum(layer.blob.size for layer in V1.image.layers)
    assert (outcome.error, outcome.sent) == (None, size)
    assert lab.waited == [2.0, 2.0, 2.0], "each visit made progress"


def test_what_has_arrived_before_is_not_pulled_again(lab: Lab) -> None:
    base, app = V1.image.layers
    lab.hosts["edge-1"] = MemoryHost(spool={base.blob.digest[7:]: V1.blobs[base.blob.digest]})
    assert bring(job(), lab.tools()).error is None
    assert lab.expected == [[app.blob.digest]]


def test_a_host_that_is_away_for_a_while_is_waited_for(lab: Lab) -> None:
    lab.hosts["edge-1"] = MemoryHost(cuts=[10], away=3)
    assert bring(job(), lab.tools()).error is None
    assert lab.waited == list(rollout.LOST_TRIES[:4])


def test_a_link_that_stays_lost_is_given_up_after_a_while(lab: Lab) -> None:
    lab.hosts["edge-1"] = MemoryHost(cuts=[0] * 100)
    outcome = bring(job(), lab.tools())
    assert outcome.error == "edge: sending: the connection was lost"
    assert lab.waited == list(rollout.LOST_TRIES)


def test_an_agent_that_never_answered_is_not_waited_for(lab: Lab) -> None:
    lab.hosts["edge-1"] = MemoryHost(down=True)
    assert bring(job(), lab.tools()).error is not None
    assert lab.waited == []


def test_another_failure_of_a_thin_load_is_not_repeated(lab: Lab) -> None:
    lab.hosts["edge-1"] = MemoryHost(layers={V1.image.layers[0].diff_id}, load_fails=True)
    outcome = bring(job(), lab.tools())
    assert outcome.error == "edge: loading: the daemon went away"
    assert lab.hosts["edge-1"].calls.count("load") == 1


BIG1 = make_image({"base": random.Random(1).randbytes(17_000_000)}, {"app": random.Random(2).randbytes(2_000_000)})
BIG2 = make_image({"base": random.Random(3).randbytes(17_000_000)}, {"app": random.Random(2).randbytes(2_000_000)})


@pytest.fixture
def big(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path, BIG1, BIG2)
    lab.known = {layer.diff_id: layer.blob for layer in BIG1.image.layers}
    return lab


def test_on_a_slow_link_lower_layers_are_loaded_while_the_rest_is_on_its_way(big: Lab) -> None:
    host = big.hosts["edge-1"] = SwiftHost(speed=1e6)
    assert bring(job(image=BIG1.image), big.tools()).error is None
    assert "load 1" in host.calls
    assert host.calls.index("load 1") < host.calls.index("load")
    assert "rate" in host.calls
    assert host.dropped == {BIG1.image.layers[0].blob.digest}, "not given twice"


def test_lower_layers_that_the_engine_has_lost_again_are_sent_again(big: Lab) -> None:
    host = big.hosts["edge-1"] = ForgetfulHost(speed=1e6)
    outcome = bring(job(image=BIG1.image), big.tools())
    assert outcome.error is None
    assert [call for call in host.calls if call.startswith("load")] == ["load 1", "load", "load"]
    assert outcome.sent == BIG1.image.manifest.size - BIG1.image.manifest.config.size + BIG1.image.layers[0].blob.size


def test_a_delta_that_does_not_come_out_right_is_followed_by_the_blob_itself(big: Lab) -> None:
    host = big.hosts["edge-1"] = SwiftHost(zstd=True, layers={BIG1.image.diff_ids[0]}, corrupts={Delta})
    outcome = bring(job(image=BIG2.image), big.tools())
    assert outcome.error is None
    assert host.images[BIG2.image.reference.full_name] == BIG2.image.image_id
    assert big.pulled.count(BIG2.image.layers[0].blob.digest) == 2


def test_a_blob_that_arrives_damaged_again_and_again_is_an_error(big: Lab) -> None:
    big.hosts["edge-1"] = SwiftHost(corrupts={AsIs})
    outcome = bring(job(image=BIG1.image), big.tools())
    assert outcome.error == "edge: proving a layer: what arrived has another sha256"


def test_an_image_for_another_architecture_is_not_sent(lab: Lab) -> None:
    lab.hosts["edge-1"] = MemoryHost(platform=ARM64)
    outcome = bring(job(), lab.tools())
    assert outcome.sent == 0
    assert outcome.error is not None
    assert "runs linux/arm64" in outcome.error
    assert "resolved for linux/amd64" in outcome.error


def test_every_agent_is_tried_and_no_more_than_the_pool_at_once(lab: Lab) -> None:
    lab.hosts["e3"] = MemoryHost(down=True)
    jobs = [job(f"e{n}") for n in range(12)]
    outcomes = roll_out(jobs, lab.tools(), pool=3)
    assert [outcome.agent for outcome in outcomes] == [f"e{n}" for n in range(12)]
    assert [outcome.agent for outcome in outcomes if outcome.error] == ["e3"]
    assert lab.most_at_once <= 3


def test_a_replaced_image_is_removed_unless_a_container_uses_it(lab: Lab) -> None:
    bring(job(), lab.tools())
    assert bring(job(image=V2.image, replaced=V1.image.pin), lab.tools()).note == ""
    assert lab.hosts["edge-1"].calls[-1] == "remove"
    lab.hosts["edge-1"].in_use.add(V2.image.image_id)
    note = bring(job(image=V1.image, replaced=V2.image.pin), lab.tools()).note
    assert note == "edge-1 keeps registry.example/app:1: a container still uses it"


def test_a_job_and_every_error_can_go_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(job())) == job()  # noqa: S301
    for problem in (
        Unreachable("e", "connecting", "refused", "Try."),
        RolloutFailed("1 of 2", ["x"]),
        InputError([]),
    ):
        again = pickle.loads(pickle.dumps(problem))  # noqa: S301
        assert (type(again), str(again)) == (type(problem), str(problem))
