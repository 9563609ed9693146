"""The story of one rollout, from what a resource wants to images on edge hosts.

    roll_out                    all agents, so many at once; a failure costs its own agent only
    └── bring                   one agent, and again where its link was lost on the way
        └── _visit              the whole way, top to bottom
            ├── connect         SSH, host key verified; engine and architecture found out
            ├── inventory       what the engine holds already
            ├── verify          if it claims to hold the image, that is proven, and the agent is done
            └── _carry_out      as transfer/planner.py has decided: part by part, from the bottom up
                ├── ahead       the next parts pulled and encoded while this one is on its way
                ├── receive     bytes onto the host, from where the last try stopped
                ├── settle      meanwhile: each layer proven by its digest there,
                ├── load        and the lower layers loaded, then all of them;
                ├── follow      where that saves time, the engine reads them while they arrive
                └── verify      a container can be created from the image without pulling

The catalog item comes after this, once enough agents hold the image (provider.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from pulumi_iofog.errors import (
    CorruptLayer,
    EngineError,
    IofogError,
    MissingLayers,
    Unreachable,
    VerificationFailed,
)
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Blob, Digest, Image, Pin, Platform, Reference
from pulumi_iofog.rollout.load import Load, Loader
from pulumi_iofog.rollout.outcome import Outcome
from pulumi_iofog.rollout.worker import Behind, after
from pulumi_iofog.transfer.encodings import EngineKind, Inventory, Means, Part, Transfer
from pulumi_iofog.transfer.load_folder import prefix
from pulumi_iofog.transfer.planner import transfer

LOST_TRIES = (2.0, 5.0, 10.0, 20.0, 30.0)
"""Seconds to wait before an agent whose link was lost is visited again; from the start after progress."""
WORTH_A_MEASURE = 8_000_000
"""Bytes to send from which on the link's rate is worth knowing."""


class Host(Loader, Protocol):
    """One agent, connected: its spool and its engine."""

    @property
    def kind(self) -> EngineKind: ...
    @property
    def platform(self) -> Platform: ...
    def inventory(self, image: Image) -> Inventory: ...
    def make_room(self, image: Image, sending: Transfer) -> None: ...
    def has(self, part: Part) -> bool: ...
    def give_back(self, image: Image, parts: Sequence[Part], inventory: Inventory) -> None: ...
    def receive(
        self, image: Image, part: Part, stream: Callable[[int], Iterable[bytes]], on_bytes: Callable[[int], None]
    ) -> None: ...
    def verify(self, pin: Pin) -> None: ...
    def remove(self, pin: Pin) -> bool: ...
    def sweep(self) -> None: ...
    def tidy(self) -> None: ...
    def clean(self, image: Image) -> None: ...
    def rate(self) -> float: ...


class Blobs(Protocol):
    """Where bytes come from: the local cache, and behind it the registry."""

    def older(self, diff_ids: Iterable[Digest]) -> Mapping[Digest, Blob]: ...
    def ready(self, reference: Reference, part: Part) -> Part: ...
    def ahead(self, reference: Reference, parts: Sequence[Part]) -> AbstractContextManager[None]: ...
    def stream(self, reference: Reference, part: Part, offset: int) -> Iterator[bytes]: ...
    def form(self, reference: Reference, part: Part) -> Blob: ...


class Progress(Protocol):
    """Told as bytes flow; from many threads."""

    def begin(self, agent: str, doing: str, size: int = 0) -> None: ...
    def moved(self, agent: str, count: int) -> None: ...
    def end(self, agent: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What a rollout reaches for.

    Attributes:
        memory: bytes that making a delta may take here.
        pace: for an agent, what is told of bytes that have gone, and waits until more may go.
        limit: bytes/s that an agent may be sent; None for no limit.
        wait: sleeps so many seconds.
    """

    connect: Callable[[Agent], AbstractContextManager[Host]]
    blobs: Blobs
    progress: Progress
    memory: int = 0
    pace: Callable[[str], Callable[[int], None]] = lambda agent: lambda count: None
    limit: float | None = None
    wait: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Job:
    """One agent's work: values only. ``replaced`` is the image to prune afterwards."""

    agent: Agent
    image: Image
    replaced: Pin | None = None


def roll_out(jobs: Sequence[Job], tools: Tools, *, pool: int, executor: Executor | None = None) -> list[Outcome]:
    """Try every agent, ``pool`` at once, and return an Outcome each, in the order of the jobs."""
    with executor or ThreadPoolExecutor(pool, thread_name_prefix="agent") as workers:
        futures: dict[Future[Outcome], str] = {workers.submit(bring, job, tools): job.agent.name for job in jobs}
        done = {futures[future]: future.result() for future in as_completed(futures)}
    return [done[job.agent.name] for job in jobs]


def bring(job: Job, tools: Tools) -> Outcome:
    """Bring one image onto one agent. Every IofogError becomes the agent's own failed Outcome."""
    name, meter = job.agent.name, _Meter(tools, job.agent.name)
    waits = iter(LOST_TRIES)
    try:
        while True:
            before = meter.sent
            try:
                return _visit(job, tools, meter)
            except Unreachable:
                if meter.sent > before:
                    waits = iter(LOST_TRIES)
                wait = next(waits, None)
                # A host that has not answered at all is not waited for: it may be none.
                if wait is None or not meter.connected:
                    raise
                tools.progress.begin(name, "waiting for the link")
                tools.wait(wait)
    except IofogError as problem:
        return Outcome(name, sent=meter.sent, error=str(problem))
    finally:
        tools.progress.end(name)


def _visit(job: Job, tools: Tools, meter: _Meter) -> Outcome:
    name = job.agent.name
    tools.progress.begin(name, "connecting")
    with tools.connect(job.agent) as host:
        meter.connected = True
        _refuse_wrong_platform(job, host)
        inventory = host.inventory(job.image)
        updated = not (inventory.tagged and _sound(host, job.image))
        if updated:
            _send_and_load(job, host, inventory, tools, meter)
        else:
            host.sweep()
            host.tidy()
        host.clean(job.image)
        note = _prune(job, host)
    return Outcome(name, updated, meter.sent, job.image.manifest.size, note)


def _refuse_wrong_platform(job: Job, host: Host) -> None:
    if host.platform.runs(job.image.platform):
        return
    raise EngineError(
        job.agent.name,
        f"choosing an image for {host.kind}",
        f"the engine runs {host.platform}, {job.image.reference} was resolved for {job.image.platform}",
        "Leave arch= away, so that the agent is asked, or give the image for its architecture",
    )


def _sound(host: Host, image: Image) -> bool:
    """Whether the image that the engine lists can be used; an id alone proves nothing."""
    try:
        host.verify(image.pin)
    except VerificationFailed:
        return False
    return True


def _send_and_load(job: Job, host: Host, inventory: Inventory, tools: Tools, meter: _Meter) -> None:
    means = _means(job, host, inventory, tools, meter)
    # Listed, yet unsound: what the engine seems to hold cannot be trusted.
    thin, plain = not inventory.tagged, False
    while True:
        sending = transfer(job.image, inventory, means, thin=thin, plain=plain)
        try:
            return _carry_out(job, host, inventory, sending, tools, meter)
        except (MissingLayers, VerificationFailed):
            # The engine did not have a layer that it seemed to have.
            if not (sending.absent or sending.stops):
                raise
            thin = False
        except CorruptLayer:
            # Another form did not come out as the layer, or the blob was damaged on its way.
            if plain:
                raise
            plain = True
            # Lower layers may have been loaded by now.
            inventory = host.inventory(job.image)


def _means(job: Job, host: Host, inventory: Inventory, tools: Tools, meter: _Meter) -> Means:
    """What there is to send with; the link is measured once, and only where there is much to send."""
    layers = tools.blobs.older(diff_id for each in inventory.images for diff_id in each.diff_ids)
    means = Means(layers=layers, memory=tools.memory)
    much = sum(part.likely for part in transfer(job.image, inventory, means).parts) >= WORTH_A_MEASURE
    if much and meter.rate is None:
        meter.rate = min(host.rate(), tools.limit or float("inf"))
    return Means(meter.rate, layers, tools.memory)


def _carry_out(job: Job, host: Host, inventory: Inventory, sending: Transfer, tools: Tools, meter: _Meter) -> None:
    """Send part by part; what the host does with a part it does while the next one is on its way."""
    image, name, stream = job.image, job.agent.name, tools.blobs.stream
    host.make_room(image, sending)
    tools.progress.begin(name, "comparing")
    parts = [tools.blobs.ready(image.reference, part) for part in sending.parts]
    missing = [part for part in parts if not host.has(part)]
    with Behind() as proving, Behind() as loading, ExitStack() as reading, tools.blobs.ahead(image.reference, missing):
        proving.do(host.sweep)
        proven = proving.do(partial(host.give_back, image, parts, inventory))
        tools.progress.begin(name, "sending", sending.most)
        groups, carried = sending.groups(parts), dict[Digest, Blob]()
        for group in groups:
            target = image if group is groups[-1] else prefix(image, image.layers.index(group[-1].layer) + 1)
            load = Load(host, image, target, partial(tools.blobs.form, image.reference), carried)
            if sending.follows(group):
                reading.enter_context(load.follow(group))
            for part in group:
                host.receive(image, part, partial(stream, image.reference, part), meter)
                proven = proving.do(partial(load.settle, part))
            loading.do(after(proven, load.finish))
        tools.progress.begin(name, "loading")
        proving.finish()
        loading.finish()
        tools.progress.begin(name, "verifying")
        proving.do(host.tidy)
        host.verify(image.pin)
        proving.finish()


def _prune(job: Job, host: Host) -> str:
    """Remove the replaced image; one that a container still uses stays, and the note says so."""
    if job.replaced is None or job.replaced.image_id == job.image.image_id or host.remove(job.replaced):
        return ""
    return f"{job.agent.name} keeps {job.replaced.reference}: a container still uses it"


class _Meter:
    """Counts the bytes sent to one agent, over all visits, and passes them on; knows how fast its link is."""

    def __init__(self, tools: Tools, agent: str) -> None:
        self._progress, self._agent, self._pace = tools.progress, agent, tools.pace(agent)
        self.sent, self.connected = 0, False
        self.rate: float | None = None

    def __call__(self, count: int) -> None:
        self.sent += count
        self._progress.moved(self._agent, count)
        self._pace(count)
