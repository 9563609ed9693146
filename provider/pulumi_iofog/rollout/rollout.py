"""The story of one rollout, from what a resource wants to images on edge hosts.

    roll_out                    all agents, so many at once; a failure costs its own agent only
    └── bring                   one agent, and again where its link was lost on the way
        └── _visit              the whole way, top to bottom
            ├── connect         SSH, host key verified; engine and architecture found out
            ├── inventory       what the engine holds already
            ├── verify          if it claims to hold the image, that is proven, and the agent is done
            └── _carry_out      as transfer/planner.py has decided: part by part, from the bottom up
                ├── delivery    the spool looked into, and the disk's free space
                ├── ahead       the next parts pulled and encoded while this one is on its way
                ├── receive     bytes onto the host, from where the last try stopped
                ├── prove_held  meanwhile: the layers that are left out, where the engine keeps them as blobs,
                ├── prove       and each that arrives, by its digest there,
                ├── load        and the lower layers loaded, then all of them;
                ├── load_along  where that saves time, the engine reads them while they arrive
                └── verify      a container can be created from the image without pulling

The catalog item comes after this, once enough agents hold the image (provider.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial

from pulumi_iofog import log, text
from pulumi_iofog.errors import (
    INTERRUPTED,
    CorruptLayer,
    EngineError,
    IofogError,
    MissingLayers,
    Unreachable,
    VerificationFailed,
    unexpected,
)
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Descriptor, Digest, Image, Pin
from pulumi_iofog.rollout import notes
from pulumi_iofog.rollout.labels import Mislabelled, as_labelled
from pulumi_iofog.rollout.load import Load
from pulumi_iofog.rollout.outcome import Outcome
from pulumi_iofog.rollout.tools import Host, Recipe, Tools
from pulumi_iofog.rollout.worker import Worker, after
from pulumi_iofog.transfer.inventory import Inventory, Means
from pulumi_iofog.transfer.load_folder import prefix
from pulumi_iofog.transfer.plan import Transfer
from pulumi_iofog.transfer.planner import transfer

LOST_TRIES = (2.0, 5.0, 10.0, 20.0, 30.0)
"""Seconds to wait before an agent whose link was lost is visited again; from the start after progress."""
STAYS = (
    "All of the image was sent, it was removed, and sent again: what is damaged stays in the engine's store. Check the"
    " agent's disk; troubleshooting, under VerificationFailed, has what else there is to try"
)
WORTH_A_MEASURE = 8_000_000
"""Bytes to send from which on the link's rate is worth knowing."""


@dataclass(frozen=True, slots=True)
class Job:
    """One agent's work: values only. ``replaced`` is the image to prune afterwards."""

    agent: Agent
    image: Image
    replaced: Pin | None = None


def roll_out(jobs: Sequence[Job], recipe: Recipe, *, pool: int, executor: Executor | None = None) -> list[Outcome]:
    """Try every agent, and return an Outcome each, in the order of the jobs.

    Args:
        pool: agents that are served at once by threads of this process.
        executor: who works instead, and how many at once; it stays open. Its workers are given no more than a job
            and the recipe, both picklable, and what they show is shown by whoever made the recipe.
    """
    with nullcontext(executor) if executor else ThreadPoolExecutor(pool, thread_name_prefix="agent") as workers:
        futures: dict[Future[Outcome], str] = {
            workers.submit(log.carried(work), job, recipe): job.agent.name for job in jobs
        }
        done = {futures[future]: future.result() for future in as_completed(futures)}
    return [done[job.agent.name] for job in jobs]


def work(job: Job, recipe: Recipe) -> Outcome:
    """Do one job, wherever that is."""
    with log.about(agent=job.agent.name), recipe.tools() as tools:
        outcome = bring(job, tools)
        log.step("done", updated=outcome.updated, bytes=outcome.sent, note=outcome.note)
        return outcome


def bring(job: Job, tools: Tools) -> Outcome:
    """Bring one image onto one agent. Whatever goes wrong becomes the agent's own failed Outcome: one host's trouble,
    or a bug that only it brings to light, costs no other agent its image."""
    name, meter, failed = job.agent.name, _Meter(tools, job.agent.name), True
    try:
        outcome = _visit_until_done(job, tools, meter)
        failed = False
        return outcome
    except IofogError as problem:
        log.failed("visit", bytes=meter.sent)
        return Outcome(name, sent=meter.sent, error=str(_placed(problem, job, meter)))
    except Exception as problem:
        log.failed("visit", bytes=meter.sent)
        return Outcome(name, sent=meter.sent, error=str(unexpected(name, meter.doing, problem)))
    finally:
        tools.progress.end(name, failed=failed)


def _placed(problem: IofogError, job: Job, meter: _Meter) -> IofogError:
    """The error; of an interrupted transfer, with how far it was."""
    if problem.why != INTERRUPTED or not meter.sent:
        return problem
    sent = f"{text.size(meter.sent)} of at most {text.size(job.image.manifest.size)} had been sent"
    return type(problem)(problem.who, sent, problem.why, problem.hint)


def _visit_until_done(job: Job, tools: Tools, meter: _Meter) -> Outcome:
    """Visit the agent, and again where its link was lost on the way."""
    waits = iter(LOST_TRIES)
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
            meter.begin("waiting for the link")
            tools.wait(wait)


def _visit(job: Job, tools: Tools, meter: _Meter) -> Outcome:
    name, noted = job.agent.name, list[str]()
    meter.begin("connecting")
    with tools.connect(job.agent) as host:
        meter.connected = True
        inventory = host.inventory(job.image)
        log.step("inventory", engine=inventory.described, images=len(inventory.images), tagged=inventory.tagged)
        _refuse_wrong_platform(job, inventory)
        names = _names_if_sound(host, job.image) if inventory.tagged else None
        updated = names is None
        if names is None:
            # An engine that can tell what is wrong with the image tells now.
            inventory = host.inventory(job.image) if inventory.tagged else inventory
            names = _send_and_load(job, host, inventory, tools, meter, noted)
        else:
            host.remove_stale_containers()
            host.untag_lower_images()
        host.clear_spool(job.image)
        agent, image = job.agent, job.image
        noted += [notes.bad_disk(agent, host.replaced()), _prune(job, host)]
        noted += [notes.name_in_front(agent, image, inventory.engine, names), notes.older_arm(agent, image, inventory)]
        note = "; ".join(filter(None, noted))
    return Outcome(name, updated, meter.sent, job.image.manifest.size, note, engine=inventory.described)


def _refuse_wrong_platform(job: Job, inventory: Inventory) -> None:
    if inventory.engine.needs_platform and not job.image.says_platform:
        why = (
            f"the config of {job.image.reference} does not say what it runs on, and {inventory.engine.kind} needs that"
        )
        hint = "Build the image again with a current tool"
        raise EngineError(job.agent.name, f"choosing an image for {inventory.engine.kind}", why, hint)
    if inventory.platform.runs(job.image.platform):
        return
    raise EngineError(
        job.agent.name,
        f"choosing an image for {inventory.engine.kind}",
        f"the engine runs {inventory.platform}, {job.image.reference} was resolved for {job.image.platform}",
        "Omit arch=, so that the agent is asked, or give the image for its architecture",
    )


def _names_if_sound(host: Host, image: Image) -> Sequence[str] | None:
    """The names of the image that the engine lists, if it can be used; an id alone proves nothing."""
    try:
        return host.verify(image.pin)
    except VerificationFailed:
        return None


def _send_and_load(
    job: Job, host: Host, inventory: Inventory, tools: Tools, meter: _Meter, noted: list[str]
) -> Sequence[str]:
    """What the engine calls the image then; ``noted`` is given a line for what was found to be damaged."""
    means = _means(job, host, inventory, tools, meter)
    # Listed, yet unsound: what the engine seems to hold cannot be trusted.
    thin, blobs_only, renewed = not inventory.tagged, False, False
    while True:
        sending = transfer(job.image, inventory, means, thin=thin, blobs_only=blobs_only)
        try:
            return _carry_out(job, host, inventory, sending, tools, meter)
        except (MissingLayers, VerificationFailed) as problem:
            # The engine did not have a layer that it seemed to have. One that can tell which is sent just that.
            if not (sending.absent or sending.stops):
                if renewed:
                    raise type(problem)(problem.who, problem.doing, problem.why, STAYS) from None
                # It keeps what it once unpacked, whatever is loaded.
                log.step("renew", f"{problem}")
                host.renew(job.image)
                renewed, inventory = True, host.inventory(job.image)
                continue
            now = host.inventory(job.image)
            thin = transfer(job.image, now, means).leaves_out_less_than(sending)
            inventory = now if thin else inventory
        except Mislabelled as problem:
            means = replace(means, mislabelled=means.mislabelled | {problem.blob.digest})
        except CorruptLayer as problem:
            # What was encoded did not come out as the layer, or a blob was damaged on its way.
            if blobs_only:
                raise
            log.step("plan", f"blobs as they are from now on: {problem}")
            blobs_only = True
            noted += notes.bad_base(job.agent, inventory, sending, problem)
            # Lower layers may have been loaded by now.
            inventory = host.inventory(job.image)


def _means(job: Job, host: Host, inventory: Inventory, tools: Tools, meter: _Meter) -> Means:
    """What there is to send with; the link is measured once, and only where there is much to send."""
    layers = tools.payloads.older(diff_id for each in inventory.images for diff_id in each.diff_ids)
    means = Means(None, layers, tools.memory, tools.programs, sizes=tools.payloads.plain_sizes(job.image))
    much = sum(part.likely for part in transfer(job.image, inventory, means).parts) >= WORTH_A_MEASURE
    if much and meter.rate is None:
        meter.rate = min(host.rate(), tools.limit or float("inf"))
    return replace(means, rate=meter.rate)


def _carry_out(
    job: Job, host: Host, inventory: Inventory, sending: Transfer, tools: Tools, meter: _Meter
) -> Sequence[str]:
    """Send part by part; what the host does with a part it does while the next one is on its way.

    This thread keeps the link busy. Two lanes of work run beside it, as a proof may take as long as a load and
    neither may wait for the other: one proves each part, the other loads each group as soon as it is proven.
    """
    image, payloads = job.image, tools.payloads
    delivery = host.delivery(image, sending)
    meter.begin("comparing")
    with Worker() as proving, Worker() as loading, ExitStack() as stack:
        # The host gets its old layers out while the differences to them are made here.
        proving.do(partial(delivery.take_back, sending.parts, inventory))
        proving.do(host.remove_stale_containers)
        proven = proving.do(delivery.prove_held)
        parts = [payloads.ready(image.reference, part) for part in sending.parts]
        missing = [part for part in parts if not delivery.has(part)]
        for part in parts:
            log.step("plan", f"{part.encoding}", layer=part.layer.diff_id, at_most=part.most, there=part not in missing)
        stack.enter_context(payloads.ahead(image.reference, missing))
        meter.begin("sending", sending.most)
        groups, carried = sending.groups(parts), dict[Digest, Descriptor]()
        for group in groups:
            target = image if group is groups[-1] else prefix(image, image.layers.index(group[-1].layer) + 1)
            load = Load(delivery, image, target, partial(payloads.expected, image.reference), carried)
            if sending.reads_along(group):
                stack.enter_context(load.along(group))
            for part in group:
                with log.timed("send", layer=part.layer.diff_id) as line:
                    before = meter.sent
                    stream = partial(payloads.stream, image.reference, part)
                    if sending.engine.unpacks_on_the_way:
                        stream = partial(as_labelled, part, stream)
                    delivery.receive(part, stream, meter)
                    line["bytes"] = meter.sent - before
                proven = proving.do(partial(load.prove, part))
            loading.do(after(proven, load.finish))
        meter.begin("loading")
        proving.finish()
        loading.finish()
        meter.begin("verifying")
        proving.do(host.untag_lower_images)
        names = host.verify(image.pin)
        proving.finish()
    return names


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
        self.doing = ""

    def begin(self, doing: str, size: int = 0) -> None:
        """The agent begins with something."""
        self.doing = doing
        self._progress.begin(self._agent, doing, size)

    def __call__(self, count: int) -> None:
        self.sent += count
        self._progress.moved(self._agent, count)
        self._pace(count)
