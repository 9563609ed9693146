"""One rollout against hosts that really hold, lose and refuse layers, but in memory."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulumi_iofog import rollout
from pulumi_iofog.errors import (
    EngineError,
    InputError,
    MissingLayers,
    RolloutFailed,
    Unreachable,
    VerificationFailed,
)
from pulumi_iofog.image import AMD64, ARM64, Blob, Digest, Image, Pin, Platform, Reference
from pulumi_iofog.plan import EngineKind, Inventory, Transfer
from pulumi_iofog.rollout import Job, Outcome, bring, pending, report, roll_out
from pulumi_iofog.spec import Agent
from tests.images import MadeImage, make_image


@dataclass
class MemoryHost:
    """An edge host in memory: layers by diff id, images by full name, a spool by digest."""

    kind: EngineKind = "docker"
    platform: Platform = AMD64
    layers: set[Digest] = field(default_factory=set)
    claims: set[Digest] = field(default_factory=set)
    images: dict[str, Digest] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    in_use: set[Digest] = field(default_factory=set)
    spool: dict[Digest, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    down: bool = False
    load_fails: bool = False

    def inventory(self, image: Image) -> Inventory:
        self.calls.append("inventory")
        tagged = self.images.get(image.reference.full_name) == image.image_id
        return Inventory(self.kind, tagged, frozenset(self.layers | self.claims))

    def make_room(self, image: Image, sending: Transfer, inventory: Inventory) -> None:
        self.calls.append("room")

    def receive(self, image: Image, blob: Blob, path: Path, on_bytes: Callable[[int], None]) -> None:
        self.calls.append("receive")
        if blob.digest not in self.spool:
            on_bytes(blob.size)
        self.spool[blob.digest] = path.read_bytes()

    def load(self, image: Image, absent: frozenset[Digest]) -> None:
        self.calls.append("load")
        if self.load_fails:
            raise EngineError("edge", "loading", "the daemon went away")
        for layer in image.layers:
            if layer.diff_id not in absent:
                assert layer.blob.digest in self.spool
                self.layers.add(layer.diff_id)
            elif layer.diff_id not in self.layers:
                raise MissingLayers("edge", "loading", "a layer is missing")
        self.images[image.reference.full_name] = image.image_id
        self.broken.discard(image.reference.full_name)

    def verify(self, pin: Pin) -> None:
        self.calls.append("verify")
        if self.images.get(pin.reference.full_name) != pin.image_id or pin.reference.full_name in self.broken:
            raise VerificationFailed("edge", "verifying", "no container can be created")

    def remove(self, pin: Pin) -> bool:
        self.calls.append("remove")
        return pin.image_id not in self.in_use

    def clean(self, image: Image) -> None:
        self.spool.clear()


class Quiet:
    def begin(self, agent: str, doing: str, size: int = 0) -> None: ...
    def moved(self, agent: str, count: int) -> None: ...
    def end(self, agent: str) -> None: ...


class Lab:
    """Hosts by name, and the blobs of some images as files."""

    def __init__(self, folder: Path, *made: MadeImage) -> None:
        self.folder, self.hosts = folder, {}  # type: ignore[var-annotated]
        self.pulled: list[Digest] = []
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()
        for image in made:
            for digest, data in image.blobs.items():
                (folder / digest[7:]).write_bytes(data)

    def path(self, reference: Reference, blob: Blob) -> Path:
        self.pulled.append(blob.digest)
        return self.folder / blob.digest[7:]

    @contextmanager
    def connect(self, agent: Agent) -> Iterator[MemoryHost]:
        host = self.hosts.setdefault(agent.name, MemoryHost())
        if host.down:
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
        return rollout.Tools(connect=self.connect, blobs=self, progress=Quiet())


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
    assert host.calls == ["inventory", "room", "receive", "receive", "load", "verify"]
    assert host.spool == {}


def test_what_is_there_already_is_proven_and_not_sent(lab: Lab) -> None:
    bring(job(), lab.tools())
    lab.pulled.clear()
    assert bring(job(), lab.tools()) == Outcome("edge-1", total=V1.image.manifest.size)
    assert lab.hosts["edge-1"].calls[-2:] == ["inventory", "verify"]
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
    assert outcome.sent == sum(layer.blob.size for layer in V1.image.layers)
    assert lab.hosts["edge-1"].calls.count("load") == 2


def test_another_failure_of_a_thin_load_is_not_repeated(lab: Lab) -> None:
    lab.hosts["edge-1"] = MemoryHost(layers={V1.image.layers[0].diff_id}, load_fails=True)
    outcome = bring(job(), lab.tools())
    assert outcome.error == "edge: loading: the daemon went away"
    assert lab.hosts["edge-1"].calls.count("load") == 1


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


def failed(name: str) -> Outcome:
    return Outcome(name, error=f"{name}: connecting: refused")


def test_failures_are_one_error_with_a_line_each() -> None:
    outcomes = [Outcome("a", updated=True), failed("b"), failed("c")]
    with pytest.raises(RolloutFailed) as caught:
        pending(outcomes, max_unavailable=1)
    assert str(caught.value).splitlines() == [
        "2 of 3 agents failed (max_unavailable is 1); the other 1 will be skipped by the next pulumi up,"
        " as they hold the image",
        "  b: connecting: refused",
        "  c: connecting: refused",
    ]
    assert pending(outcomes, max_unavailable=2) == ["b", "c"]


@pytest.mark.parametrize(
    ("outcomes", "line"),
    [
        (
            [Outcome(f"e{n}", updated=True, sent=13_733_333, total=79_333_333) for n in range(3)] + [Outcome("e4")],
            "3 agents updated, 1 already had it; 41.2 MB sent of 238 MB",
        ),
        ([Outcome("e1"), Outcome("e2")], "2 agents already had it"),
        (
            [Outcome("e1", updated=True, sent=5, total=10), failed("e2")],
            "1 agent updated, 1 agent pending: e2; 5 B sent of 10 B",
        ),
    ],
)
def test_report(outcomes: list[Outcome], line: str) -> None:
    assert report(outcomes) == line


def test_a_job_and_every_error_can_go_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(job())) == job()  # noqa: S301
    for problem in (
        Unreachable("e", "connecting", "refused", "Try."),
        RolloutFailed("1 of 2", ["x"]),
        InputError([]),
    ):
        again = pickle.loads(pickle.dumps(problem))  # noqa: S301
        assert (type(again), str(again)) == (type(problem), str(problem))
