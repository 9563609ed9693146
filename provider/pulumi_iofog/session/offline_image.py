"""One verb of an OfflineImage: what it has decided, carried out by the adapters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pulumi_iofog import log, text
from pulumi_iofog.adapters.gzip_tokens.program import architectures
from pulumi_iofog.adapters.recode import recode
from pulumi_iofog.adapters.sources.meant import meant
from pulumi_iofog.adapters.ssh.destination import configured_host
from pulumi_iofog.adapters.ssh.host_config import file_problem
from pulumi_iofog.check import engines, state
from pulumi_iofog.check.catalog import ItemPlan, Wanted, plan_change, plan_new
from pulumi_iofog.check.diff import MISSING, Estimate, estimate
from pulumi_iofog.check.lookups import Lookups
from pulumi_iofog.check.platforms import PLATFORMS
from pulumi_iofog.check.pruning import PruningChange
from pulumi_iofog.check.resolve import Resolution
from pulumi_iofog.check.state import Recorded
from pulumi_iofog.errors import Failure, IofogError, unexpected
from pulumi_iofog.inputs.catalog import FoundItem, KnownAgent
from pulumi_iofog.inputs.spec import ARCHES, NO_CONTROLLER, Agent, CatalogItem
from pulumi_iofog.inputs.transfer_settings import host_program_allowed
from pulumi_iofog.oci.image import Digest, Pin, Platform, Reference, parse_digest
from pulumi_iofog.rollout import rollout
from pulumi_iofog.rollout.tools import Progress, Tools
from pulumi_iofog.session.adapters import Adapters
from pulumi_iofog.session.pruning import change_pruning

if TYPE_CHECKING:
    from pulumi_iofog.adapters.host.edge_host import EdgeHost

PREVIEW_HOLDS = 3600.0
"""Seconds for which an update keeps to the digests that a preview has shown."""
LOOK_AGAIN = 1.0
"""Seconds between two looks whether another pulumi is through with an agent."""
ASKED_AT_ONCE = 8
"""How many agents a refresh asks at once, at least; asking costs little."""


@dataclass(frozen=True, slots=True)
class Run:
    """Whether this is a preview, and of which resource (``project/stack/name``) of which organization."""

    preview: bool = False
    resource: str = ""
    organization: str = ""

    @classmethod
    def of(cls, value: Any) -> Run:
        if not isinstance(value, Mapping):
            return cls()
        texts = (str(value.get(key, "")) for key in ("resource", "organization"))
        return cls(value.get("preview") is True, *texts)

    def key(self, reference: str) -> str:
        return f"preview {self.resource} {reference}"


def explained(failure: Failure, inputs: Mapping[str, Any]) -> Failure:
    """A failure of an image's reference, with what seems to be meant where that is a file's or folder's name."""
    text = inputs.get(failure.path) if failure.path in ARCHES else None
    hint = meant(text) if isinstance(text, str) else None
    if hint is None:
        return failure
    return Failure(failure.path, f"{failure.reason.rstrip('.')}. Did you mean {hint}?")


class Session(Adapters):
    """What one verb of an OfflineImage does with its adapters."""

    # ---- check --------------------------------------------------------------------------------------

    def lookups(self, run: Run, urn: str | None) -> Lookups:
        """What a check of that resource may ask."""
        return Lookups(
            manifests=self.images,
            endpoint=self._endpoint,
            controller=(lambda: self.controller) if self._asks_controller else None,
            mark=self._shared.mark(urn),
            replaced=lambda endpoint: self._shared.item(urn, endpoint),
            namespace=lambda: self.namespace,
            ssh_host=configured_host,
            key_problem=file_problem,
            probe=self._probe,
            previewed=lambda reference: self._previewed(run, reference),
            recall=self._recall,
        )

    def remember(self, found: Resolution, run: Run) -> None:
        """Keep what was resolved: for later runs without the registry, and from a preview to its update."""
        for arch, pin in found.pins.items():
            written = self.spec.references.get(arch) or self.spec.references["arm"]
            self.cache.records.put(_record_of(written, PLATFORMS[arch]), state.pin_to_props(pin))
        for reference, top in found.top_digests.items():
            if run.preview:
                self.cache.records.put(run.key(reference), {"digest": top})
            else:
                self.cache.records.remove(run.key(reference))

    def estimates(self, agents: Sequence[str], old: Recorded | None, new: Recorded) -> list[Estimate]:
        """What each of the agents would be sent. Manifests come from the cache or the registry; without the old
        one, the estimate is the whole image."""
        manifest = cache(self.images.manifest)
        found = []
        for name in agents:
            held = None
            if old and name not in old.desired.pending:
                held = old.pin_at(new.desired.placements[name])
            found.append(estimate(name, manifest(new.pin_of(name)), manifest(held)))
        return found

    @property
    def _asks_controller(self) -> bool:
        return self.spec.registers and self.spec.controller_known

    def _endpoint(self) -> str | None:
        if not self.spec.registers:
            return NO_CONTROLLER
        if self.spec.controller_known:
            return self.settings.endpoint
        return self.spec.controller.endpoint or None if self.spec.controller else None

    def _probe(self, agent: Agent) -> Platform:
        """The agent's platform. A host is asked once: the same key is the same host."""
        from pulumi_iofog.adapters.ssh.connect import identity  # and paramiko with it: few checks ask

        before = identity(agent)
        known = self.cache.records.get(_record_of_host(before), float("inf")) if before else None
        if known:
            log.step("platform", "remembered", agent=agent.name, platform=known["platform"])
            return Platform.parse(known["platform"])
        found = self._ask_platform(agent)
        # Its key may have been accepted just now.
        if now := identity(agent):
            self.cache.records.put(_record_of_host(now), {"platform": str(found)})
        return found

    def _ask_platform(self, agent: Agent) -> Platform:
        try:
            with self.connect(agent) as host:
                return host.platform
        except IofogError:
            raise
        except Exception as problem:
            log.failed("ask")
            raise unexpected(agent.name, "asking for its architecture", problem) from None

    def _previewed(self, run: Run, reference: Reference) -> Digest | None:
        found = self.cache.records.get(run.key(reference.text), PREVIEW_HOLDS)
        return parse_digest(found["digest"]) if found else None

    def _recall(self, reference: Reference, platform: Platform) -> Pin | None:
        return state.parse_pin(self.cache.records.get(_record_of(reference, platform), float("inf")))

    # ---- rollout ------------------------------------------------------------------------------------

    def rollout_tools(self, progress: Progress) -> Tools:
        limits = self.limits
        return Tools(
            connect=partial(self._connect_alone, progress),
            payloads=self.payloads,
            progress=progress,
            memory=recode.available_memory(),
            programs=architectures() if host_program_allowed(self._config) else frozenset(),
            pace=limits.pace,
            limit=limits.per_agent,
            wait=self._shared.connections.pause,
        )

    @contextmanager
    def _connect_alone(self, progress: Progress, agent: Agent) -> Iterator[EdgeHost]:
        """One agent, to which nobody else sends meanwhile, neither from this machine nor from others: so what two
        resources share is sent once, and they do not get in each other's way."""
        say, last = partial(progress.waits, agent.name), ""

        def wait(who: str, since: float | None) -> None:
            nonlocal last
            began = f" since {text.clock(since)}" if since else ""
            why = f"waiting for another pulumi ({who}) that sends to {agent.name}{began}"
            if why != last:
                log.step("wait", last := why)
            say(why)
            self._sleep(LOOK_AGAIN)

        with (
            self.cache.turn(f"agent {agent.host}:{agent.port or 22}", wait),
            self.connect(agent, say) as host,
            host.turn(wait),
        ):
            say("")
            yield host

    def jobs(self, agents: Sequence[str], old: Recorded | None, new: Recorded) -> list[rollout.Job]:
        """A job for each of the agents; with ``prune``, each with the image that it replaces."""
        images = {arch: self.images.image(pin) for arch, pin in new.pins.items()}
        for pin in old.pins.values() if old else ():
            # Its layers are what the agents hold: once known, new ones can go as the difference to them.
            with contextlib.suppress(IofogError):
                self.images.image(pin)
        jobs = []
        for name in agents:
            placement, arch = new.desired.placements[name], new.arch_of(name)
            assert arch, "a check that was told everything chooses an image for every agent"
            replaced = old.pin_at(placement) if old and self.spec.prune else None
            jobs.append(rollout.Job(placement.agent, images[arch], replaced))
        return jobs

    # ---- the catalog item ---------------------------------------------------------------------------

    def plan_item(self, item_id: int | None, old: Recorded | None, new: Recorded, mark: str | None = None) -> ItemPlan:
        """What becomes of the item, decided anew with what the Controller says now; raises as ``plan_new``, and
        ItemNotFound.

        Args:
            item_id: the resource's own item.
            mark: of the resource.
        """
        if not new.spec.registers:
            return ItemPlan()
        changes, spec, item = new.changes_since(old), new.spec, new.desired.item
        wanted = Wanted(
            name=item.name if item else None,
            item=item,
            content=changes.content,
            rebuild=spec.rebuild,
            adopt=spec.adopt,
            mark=mark,
            settled=changes.settled(new.desired),
        )
        if item_id is None:
            return plan_new(self.controller, wanted)
        if not (changes.item or changes.content):
            return ItemPlan()
        own = FoundItem(item_id, self.controller.get_item(item_id))
        return plan_change(self.controller, wanted, own, own.item.name)

    def place_item(self, item: CatalogItem, taken: int | None, mark: str | None, *, rewrite: bool) -> int:
        """Make the item, or take over the one that is there; its id. From now on it has the mark."""
        if taken is None:
            return self.controller.create_item(item, mark)
        self.controller.update_item(taken, item, mark, rewrite=rewrite)
        return taken

    def write_item(
        self, item_id: int, item: CatalogItem, mark: str | None, plan: ItemPlan, *, rewrite: bool, changed: bool
    ) -> ItemPlan:
        """Write what has changed of the item, and have microservices rebuilt if content has.

        Returns:
            The plan as it was carried out: not every Controller can leave out microservices of the item.
        """
        singly = rewrite and plan.singly
        if changed or (rewrite and not singly):
            self.controller.update_item(item_id, item, mark, rewrite=rewrite and not singly)
        if singly and not all(self.controller.rebuild(each) for each in plan.rebuilt):
            self.controller.update_item(item_id, item, mark, rewrite=True)
            return replace(plan, rebuilt=tuple(self.controller.microservices(item_id)), singly=False)
        return plan

    # ---- the agents' own pruning --------------------------------------------------------------------

    def arrange_pruning(self, urn: str | None, before: Mapping[str, int]) -> PruningChange:
        """With ``agent_pruning="configure"``, have the agents remove no unused images; all others as before.

        Args:
            before: agent → hours after which it pruned, where earlier runs have turned that off.
        """
        configure = self.spec.agent_pruning == "configure"
        return self._change_pruning(urn, [agent.name for agent in self.spec.agents] if configure else [], before)

    def restore_pruning(self, urn: str | None, before: Mapping[str, int]) -> PruningChange:
        """Have all agents prune as they did before."""
        return self._change_pruning(urn, [], before)

    def _change_pruning(self, urn: str | None, wanted: Sequence[str], before: Mapping[str, int]) -> PruningChange:
        if not wanted and not before:
            return PruningChange({}, {}, [])
        return change_pruning(self.controller, self.cache, urn or self.spec.name, wanted, before)

    # ---- refresh, destroy ---------------------------------------------------------------------------

    def held(self, last: Recorded) -> tuple[dict[str, str], list[str]]:
        """What each agent holds now, also those that an earlier refresh has found without it. One that cannot be asked
        keeps what the state says, and has a line in the second part."""
        digests = {name: placement.image_id or MISSING for name, placement in last.desired.placements.items()}
        unheard = []
        for name, answer in self._ask_all(last, self._holds):
            if isinstance(answer, IofogError):
                moved = self._moved(last.desired.placements[name].agent)
                unheard.append(f"{text.sentence(str(answer))} {moved}Its entry in the state is kept.")
            elif not answer:
                digests[name] = MISSING
            elif pin := last.pin_for(name):
                digests[name] = str(pin.image_id)
        return digests, unheard

    def _moved(self, agent: Agent) -> str:
        """That the Controller's record names another engine by now than the state, which a refresh goes by."""
        try:
            known = self._known.get(agent.name) if self._asks_controller else None
        except IofogError:
            return ""
        return engines.moved(agent, known)

    @cached_property
    def _known(self) -> Mapping[str, KnownAgent]:
        return {each.name: each for each in self.controller.agents()}

    def remove_images(self, last: Recorded) -> list[str]:
        """Remove the image from every agent that can be reached; a line for each that keeps it."""
        lines = []
        for name, answer in self._ask_all(last, self._remove):
            if isinstance(answer, IofogError):
                lines.append(str(answer))
            elif not answer:
                lines.append(f"{name} keeps the image: a container still uses it")
        return lines

    def _holds(self, agent: Agent, pin: Pin) -> bool:
        return self._shared.questions.holds(agent, pin, self._visit)

    def _visit(self, agent: Agent, pins: Sequence[Pin]) -> Mapping[Pin, bool]:
        with self.connect(agent) as host:
            return host.holds_each(pins)

    def _remove(self, agent: Agent, pin: Pin) -> bool:
        with self.connect(agent) as host:
            return host.remove(pin)

    def _ask_all(self, last: Recorded, ask: Callable[[Agent, Pin], bool]) -> list[tuple[str, bool | IofogError]]:
        """The answer of each agent that holds its image by what the state says, or is to hold it."""

        def one(agent: Agent, pin: Pin) -> bool | IofogError:
            try:
                return ask(agent, pin)
            except IofogError as problem:
                return problem
            except Exception as problem:
                log.failed("ask")
                return unexpected(agent.name, "asking what it holds", problem)

        with ThreadPoolExecutor(max(self.spec.transfer_pool, ASKED_AT_ONCE)) as pool:
            asked = [
                (name, pool.submit(log.carried(one), placement.agent, pin))
                for name, placement in last.desired.placements.items()
                if (pin := last.pin_for(name))
            ]
        return [(name, answer.result()) for name, answer in asked]


def _record_of_host(host: str) -> str:
    return f"platform of {host}"


def _record_of(reference: Reference, platform: Platform) -> str:
    """The key of a resolved reference's record: the same file is meant in whatever folder."""
    folder = f"{Path.cwd()} " if reference.location else ""
    return f"pin {folder}{reference} {platform}"
