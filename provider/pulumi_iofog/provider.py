"""Pulumi's verbs for OfflineImage: check, diff, create, update, read, delete.

Each reads its properties once, into values (check/state.py), has them decided (check/), has that carried out
(rollout/, the Controller) and writes the result back. The adapters are built in session/adapters.py.

``pulumi_iofog.provider:provider`` is a saved name: it is in every state that this provider has made,
and must lead here for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    UpdateResult,
)

from pulumi_iofog import log, plugin
from pulumi_iofog.check import properties, state
from pulumi_iofog.check.catalog import ItemPlan
from pulumi_iofog.check.diff import reasons, summary
from pulumi_iofog.check.properties import Props
from pulumi_iofog.check.pruning import PruningChange
from pulumi_iofog.check.resolve import Resolution, resolve
from pulumi_iofog.check.state import Recorded
from pulumi_iofog.errors import ControllerError, Failures, IofogError, ItemNotFound
from pulumi_iofog.inputs.spec import CatalogItem, Spec
from pulumi_iofog.rollout import rollout
from pulumi_iofog.rollout.outcome import Outcome, brought, missed, report
from pulumi_iofog.rollout.outcome import pending as pending_agents
from pulumi_iofog.rollout.progress import Progress
from pulumi_iofog.rollout.tools import Ready
from pulumi_iofog.saved_name import REPLACE, RUN, SavedProvider
from pulumi_iofog.session.adapters import Shared
from pulumi_iofog.session.offline_image import Run, Session, explained
from pulumi_iofog.text import visible

V = TypeVar("V", bound=Callable[..., Any])


def logged(verb: V) -> V:
    """The verb, with a line in the log when it is through, or why it has failed; all its lines name the resource."""

    @wraps(verb)
    def run(*args: Any) -> Any:
        with plugin.at_work(), log.about(resource=plugin.console().name), log.timed(verb.__name__):
            try:
                return verb(*args)
            except IofogError:
                raise
            except Exception:
                log.failed(verb.__name__)
                raise

    return cast(V, run)


class OfflineImageProvider(SavedProvider):
    """In the plugin's process only; a program has a ``SavedProvider`` in its place.

    The SDK runs its verbs on four threads. What they share is in ``Shared``, which has a lock;
    the config is set before the first verb, and by the same lock of the SDK's if it is set again.
    """

    _config: Callable[[str], str | None] = staticmethod(lambda key: None)
    _shared = Shared()

    def configure(self, req: ConfigureRequest) -> None:
        """Keep the stack's config, open the log, and let errors reach the user as messages."""
        self._config = req.config.get
        plugin.on_cancel(self._shared.connections.interrupt)
        plugin.end_with_pulumi(self._shared.connections.interrupt)
        plugin.show_errors_as_messages()
        plugin.show_paths_in_reasons()
        if problem := log.configure(self._config):
            plugin.console().warn(problem)

    # ---- preview ------------------------------------------------------------------------------------

    @logged
    def check(self, olds: Props, news: Props) -> CheckResult:
        """Refuse bad input; find out hosts and digests, and add what follows from them."""
        olds, news = properties.from_pulumi(olds), properties.from_pulumi(news)
        inputs, run, failures = state.own_inputs(news), Run.of(news.get(RUN)), Failures()
        checked = failures.attempt("", lambda: self._checked(inputs, olds, run)) or inputs
        refused = [explained(each, inputs) for each in failures]
        for each in refused:
            log.step("refused", each.reason, path=each.path)
        if REPLACE in news:
            checked[REPLACE] = news[REPLACE]
        said = [CheckFailure(plugin.PropertyPath(each.path), visible(each.reason)) for each in refused]
        return CheckResult(properties.to_pulumi(checked), said)

    def _checked(self, inputs: Props, olds: Props, run: Run) -> Props:
        self._shared.checked(plugin.console().urn, run.organization, preview=run.preview)
        spec = state.parse_inputs(inputs)
        with self._session(spec) as session:
            found = resolve(spec, state.last_recorded(olds), session.lookups(run, plugin.console().urn))
            session.remember(found, run)
            _log_resolution(found)
            checked = properties.checked(inputs, spec, found)
            # A replacement is checked a second time, as if there were nothing yet.
            _warn(self._shared.unsaid(plugin.console().urn, found.warnings, again=not olds))
            if run.preview and not olds and not self._shared.announced(plugin.console().urn):
                self._announce(session, None, state.recorded(checked), found.item)
        return checked

    @logged
    def diff(self, id_: str, olds: Props, news: Props) -> DiffResult:
        """Which agents and digests changed; in a preview, one line says so."""
        olds, news = properties.from_pulumi(olds), properties.from_pulumi(news)
        old, new = state.last_recorded(olds), state.recorded(news)
        changes, changed, urn = new.changes_since(old), properties.changed(olds, news), plugin.console().urn
        log.step("compared", agents=",".join(changes.agents), inputs=",".join(sorted(changed)), item=changes.item)
        if old and old.spec.registers:
            self._shared.has_item(urn, old.desired.endpoint, int(id_))
        if (changes or changed) and self._shared.previewed(urn):
            same = new.spec.registers and new.spec.controller_known and not changes.endpoint
            with self._session(new.spec) as session:
                self._announce(session, old, new, session.plan_item(int(id_), old, new) if same else None)
        replaces = properties.chosen(changed, news.get(REPLACE)) | ({"controller"} if changes.endpoint else set())
        differences = properties.differences(state.inputs_of(olds), state.inputs_of(news))
        plugin.show_differences(dict(differences), replacing=replaces)
        # A Controller takes a name only once, so the old item goes first.
        return DiffResult(changes=bool(changes or changed), replaces=sorted(replaces), delete_before_replace=True)

    def _announce(self, session: Session, old: Recorded | None, new: Recorded, item: ItemPlan | None) -> None:
        """The preview's line: whom an update affects, how many bytes go, and which microservices are rebuilt."""
        console, changes = plugin.console(), new.changes_since(old)
        self._shared.announce(console.urn)
        estimates = session.estimates(changes.agents, old, new)
        more = (*(reasons(old.desired, new.desired) if old else ()), *(item.lines() if item else ()))
        console.note(summary(changes, len(new.desired.placements), estimates, *more))

    # ---- update -------------------------------------------------------------------------------------

    @logged
    def create(self, props: Props) -> CreateResult:
        """Bring the image to all agents, then make the catalog item, or take over the one that is there."""
        new, console, item_id = state.recorded(props), plugin.console(), None
        mark = self._shared.mark(console.urn)
        with self._session(new.spec) as session:
            plan, item = session.plan_item(None, None, new, mark), _item(new)
            _log_item(plan)
            outcomes, pending = self._roll_out(session, None, new)
            rewrite = brought(outcomes, plan.rewrite_for)
            plugin.refuse_if_abandoned()
            if item:
                item_id = session.place_item(item, plan.taken, mark, rewrite=rewrite)
            pruning = session.arrange_pruning(console.urn, {})
        done = _Done(new, outcomes, pending, plan, rewrite, pruning)
        done.conclude()
        id_ = console.name or new.spec.name if item_id is None else str(item_id)
        return CreateResult(id_, {**state.inputs_of(props), **done.outputs(item_id, {})})

    @logged
    def update(self, id_: str, olds: Props, news: Props) -> UpdateResult:
        """Visit only the agents that changed; then write the catalog item, if it or its images' content changed."""
        old, new = state.last_recorded(olds), state.recorded(news)
        item_id = int(id_) if new.spec.registers else None
        with self._session(new.spec) as session:
            plan = session.plan_item(item_id, old, new)
            _log_item(plan)
            outcomes, pending = self._roll_out(session, old, new)
            plan = plan.sparing([each.agent for each in outcomes if each.error])
            rewrite, item, changed = brought(outcomes, plan.rewrite_for), _item(new), new.changes_since(old).item
            plugin.refuse_if_abandoned()
            if item and item_id is not None:
                mark = self._shared.mark(plugin.console().urn)
                plan = session.write_item(item_id, item, mark, plan, rewrite=rewrite, changed=changed)
            pruning = session.arrange_pruning(plugin.console().urn, state.pruning_before(olds))
        done = _Done(new, outcomes, pending, plan, rewrite, pruning)
        done.conclude()
        return UpdateResult({**state.inputs_of(news), **done.outputs(item_id, olds)})

    def _roll_out(self, session: Session, old: Recorded | None, new: Recorded) -> tuple[list[Outcome], list[str]]:
        """Visit the agents that changed. What became of each, and the names of those that are pending."""
        agents = new.changes_since(old).agents
        if not agents:
            return [], []
        tools = session.rollout_tools(Progress(plugin.console().status, len(agents)))
        jobs = session.jobs(agents, old, new)
        outcomes = rollout.roll_out(jobs, Ready(tools), pool=new.spec.transfer_pool)
        # Who presses Ctrl-C has not said that those agents may be left out.
        allowed = 0 if self._shared.connections.interrupted else new.spec.max_unavailable
        return outcomes, pending_agents(outcomes, allowed)

    # ---- refresh, destroy ---------------------------------------------------------------------------

    @logged
    def read(self, id_: str, props: Props) -> ReadResult:
        """Find an item changed or deleted, and agents that lost their image."""
        last, found = state.recorded(props), dict(props)
        with self._session(last.spec) as session:
            if last.spec.registers:
                try:
                    found["catalog_item"] = state.item_to_props(session.controller.get_item(int(id_)))
                except ItemNotFound:
                    return ReadResult("", {})
            found["agent_digests"], unheard = session.held(last)
        for line in state.drift(last, found):
            plugin.console().note(line)
        _warn(unheard)
        return ReadResult(id_, found, state.inputs_of(found))

    @logged
    def delete(self, id_: str, props: Props) -> None:
        """Delete the catalog item; then, with ``prune``, the image on the agents that can be reached."""
        last = state.recorded(props)
        with self._session(last.spec) as session:
            plugin.refuse_if_abandoned()
            if last.spec.registers:
                session.controller.delete_item(int(id_))
            kept = session.remove_images(last) if last.spec.prune else []
            pruning = session.restore_pruning(plugin.console().urn, state.pruning_before(props))
        _warn([*kept, *pruning.errors.values(), *pruning.kept])

    def _session(self, spec: Spec) -> Session:
        # Not in configure, whose errors Pulumi shows without a resource to point at.
        return Session(spec, self._config, self._shared, plugin.console())


provider = OfflineImageProvider()


def _item(new: Recorded) -> CatalogItem | None:
    """The item that is wanted; None where there is to be none."""
    if new.desired.item is None and new.spec.registers:
        raise ControllerError("", "registering the catalog item", "its name is not known")
    return new.desired.item


@dataclass(frozen=True, slots=True)
class _Done:
    """What a create or an update has come to."""

    new: Recorded
    outcomes: list[Outcome]
    pending: list[str]
    plan: ItemPlan
    rewritten: bool
    pruning: PruningChange

    def outputs(self, item_id: int | None, olds: Props) -> Props:
        """What state keeps besides the inputs; without what there is none of."""
        pending = list(dict.fromkeys([*self.pending, *self.pruning.errors]))
        some = {
            "catalog_item_id": item_id,
            "rebuild_due": [*self.plan.owed, *missed(self.outcomes, self.plan.rewrite_for)] or None,
            "pruning_before": self.pruning.before or None,
        }
        always = {"pending_agents": pending, "engines": self._engines(olds)}
        return {**always, **{key: value for key, value in some.items() if value is not None}}

    def _engines(self, olds: Props) -> dict[str, str]:
        """The engine of each agent, by what it said when it was visited last."""
        visited = {each.agent: visible(each.engine) for each in self.outcomes if each.engine}
        seen = {**(olds.get("engines") or {}), **visited}
        return {name: text for name, text in seen.items() if name in self.new.desired.placements}

    def conclude(self) -> None:
        """Say what has become of agents and item."""
        console, plan = plugin.console(), self.plan
        for outcome in self.outcomes:
            if outcome.note:
                console.note(outcome.note)
            if outcome.error:
                console.warn(f"pending: {outcome.error}")
        if self.outcomes:
            console.note(report(self.outcomes))
        if self.rewritten or plan.renamed or plan.left:
            for line in plan.lines():
                console.note(line)
        _warn([*self.pruning.errors.values(), *self.pruning.kept])


# ---- what is said --------------------------------------------------------------------------------------


def _warn(lines: Iterable[str]) -> None:
    for line in lines:
        plugin.console().warn(line)


def _log_resolution(found: Resolution) -> None:
    for arch, pin in found.pins.items():
        log.step("resolved", arch=arch, reference=pin.reference, platform=pin.platform, manifest=pin.manifest_digest)
    for agent in found.agents:
        log.step("resolved", agent=agent.name, host=agent.host, image=found.digests.get(agent.name))


def _log_item(plan: ItemPlan) -> None:
    log.step("item", "; ".join(plan.lines()), taken=plan.taken, rewrite_for=",".join(plan.rewrite_for) or None)
