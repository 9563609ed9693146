"""The story of one rollout, from what a resource wants to images on edge hosts.

    roll_out                all agents, so many at once; a failure costs its own agent only
    └── bring               one agent: the whole way, top to bottom
        ├── connect         SSH, host key verified; engine and architecture found out
        ├── inventory       what the engine holds already
        ├── verify          if it claims to hold the image, that is proven, and the agent is done
        ├── send            each blob that it lacks, from the local cache into the agent's spool
        ├── load            from the spool into the engine; a wrong guess of what it held is mended
        └── verify          a container can be created from the image without pulling

The catalog item comes after this, once enough agents hold the image (provider.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pulumi_iofog import words
from pulumi_iofog.errors import EngineError, IofogError, MissingLayers, RolloutFailed, VerificationFailed
from pulumi_iofog.image import Blob, Digest, Image, Pin, Platform, Reference
from pulumi_iofog.plan import EngineKind, Inventory, Transfer, transfer
from pulumi_iofog.spec import Agent


class Host(Protocol):
    """One agent, connected: its spool and its engine."""

    @property
    def kind(self) -> EngineKind: ...
    @property
    def platform(self) -> Platform: ...
    def inventory(self, image: Image) -> Inventory: ...
    def make_room(self, image: Image, sending: Transfer, inventory: Inventory) -> None: ...
    def receive(self, image: Image, blob: Blob, path: Path, on_bytes: Callable[[int], None]) -> None: ...
    def load(self, image: Image, absent: frozenset[Digest]) -> None: ...
    def verify(self, pin: Pin) -> None: ...
    def remove(self, pin: Pin) -> bool: ...
    def clean(self, image: Image) -> None: ...


class Blobs(Protocol):
    """Where blobs come from: the local cache, and behind it the registry."""

    def path(self, reference: Reference, blob: Blob) -> Path: ...


class Progress(Protocol):
    """Told as bytes flow; from many threads."""

    def begin(self, agent: str, doing: str, size: int = 0) -> None: ...
    def moved(self, agent: str, count: int) -> None: ...
    def end(self, agent: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What a rollout reaches for."""

    connect: Callable[[Agent], AbstractContextManager[Host]]
    blobs: Blobs
    progress: Progress


@dataclass(frozen=True, slots=True)
class Job:
    """One agent's work: values only. ``replaced`` is the image to prune afterwards."""

    agent: Agent
    image: Image
    replaced: Pin | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One agent's result; sizes in bytes. ``sent`` is 0 where the agent had the image already."""

    agent: str
    updated: bool = False
    sent: int = 0
    total: int = 0
    note: str = ""
    error: str | None = None


def roll_out(jobs: Sequence[Job], tools: Tools, *, pool: int, executor: Executor | None = None) -> list[Outcome]:
    """Try every agent, ``pool`` at once, and return an Outcome each, in the order of the jobs."""
    with executor or ThreadPoolExecutor(pool, thread_name_prefix="agent") as workers:
        futures: dict[Future[Outcome], str] = {workers.submit(bring, job, tools): job.agent.name for job in jobs}
        done = {futures[future]: future.result() for future in as_completed(futures)}
    return [done[job.agent.name] for job in jobs]


def bring(job: Job, tools: Tools) -> Outcome:
    """Bring one image onto one agent. Every IofogError becomes the agent's own failed Outcome."""
    name = job.agent.name
    meter = _Meter(tools.progress, name)
    try:
        tools.progress.begin(name, "connecting")
        with tools.connect(job.agent) as host:
            _refuse_wrong_platform(job, host)
            inventory = host.inventory(job.image)
            updated = not (inventory.tagged and _sound(host, job.image))
            if updated:
                _send_and_load(job, host, inventory, tools, meter)
            host.clean(job.image)
            note = _prune(job, host)
        return Outcome(name, updated, meter.sent, job.image.manifest.size, note)
    except IofogError as problem:
        return Outcome(name, sent=meter.sent, error=str(problem))
    finally:
        tools.progress.end(name)


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
    image, sending = job.image, transfer(job.image, inventory)
    if inventory.tagged:  # listed, yet unsound: what it seems to hold cannot be trusted
        sending = transfer(image, inventory, everything=True)
    _send(job, host, inventory, sending, tools, meter)
    try:
        _load(job, host, sending, tools)
    except (MissingLayers, VerificationFailed):
        if not sending.absent:
            raise
        # The engine did not have a layer that it seemed to have. What was sent lies in the spool.
        everything = transfer(image, host.inventory(image), everything=True)
        _send(job, host, inventory, everything, tools, meter)
        _load(job, host, everything, tools)


def _send(job: Job, host: Host, inventory: Inventory, sending: Transfer, tools: Tools, meter: _Meter) -> None:
    image = job.image
    host.make_room(image, sending, inventory)
    tools.progress.begin(job.agent.name, "sending", sending.size)
    for blob in sending.blobs:
        host.receive(image, blob, tools.blobs.path(image.reference, blob), meter)


def _load(job: Job, host: Host, sending: Transfer, tools: Tools) -> None:
    tools.progress.begin(job.agent.name, "loading")
    host.load(job.image, sending.absent)
    tools.progress.begin(job.agent.name, "verifying")
    host.verify(job.image.pin)


def _prune(job: Job, host: Host) -> str:
    """Remove the replaced image; one that a container still uses stays, and the note says so."""
    if job.replaced is None or job.replaced.image_id == job.image.image_id or host.remove(job.replaced):
        return ""
    return f"{job.agent.name} keeps {job.replaced.reference}: a container still uses it"


class _Meter:
    """Counts the bytes sent to one agent and passes them on."""

    def __init__(self, progress: Progress, agent: str) -> None:
        self._progress, self._agent, self.sent = progress, agent, 0

    def __call__(self, count: int) -> None:
        self.sent += count
        self._progress.moved(self._agent, count)


def pending(outcomes: Sequence[Outcome], max_unavailable: int) -> list[str]:
    """The agents that failed, if they may; else RolloutFailed with a line for each."""
    failed = [outcome for outcome in outcomes if outcome.error]
    if len(failed) <= max_unavailable:
        return [outcome.agent for outcome in failed]
    allowed = f" (max_unavailable is {max_unavailable})" if max_unavailable else ""
    others = len(outcomes) - len(failed)
    summary = f"{len(failed)} of {words.plural(len(outcomes), 'agent')} failed{allowed}"
    if others:
        summary += f"; the other {others} will be skipped by the next pulumi up, as they hold the image"
    raise RolloutFailed(summary, [outcome.error or "" for outcome in failed])


def report(outcomes: Sequence[Outcome]) -> str:
    """The lasting line: ``3 agents updated, 1 already had it; 41.2 MB sent of 238 MB``."""
    updated = [outcome for outcome in outcomes if outcome.updated]
    had = sum(1 for outcome in outcomes if not outcome.updated and not outcome.error)
    failed = [outcome.agent for outcome in outcomes if outcome.error]
    parts = [f"{words.plural(len(updated), 'agent')} updated"] if updated or not had else []
    if had:
        parts.append(f"{had if updated else words.plural(had, 'agent')} already had it")
    if failed:
        parts.append(f"{words.plural(len(failed), 'agent')} pending: {words.listing(failed)}")
    line = ", ".join(parts)
    sent, total = sum(o.sent for o in outcomes), sum(o.total for o in updated)
    return f"{line}; {words.size(sent)} sent of {words.size(total)}" if updated else line
