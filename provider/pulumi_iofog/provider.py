"""Pulumi's verbs for OfflineImage: check, diff, create, update, read, delete.

Each reads its properties into values, has them decided (check/), has them carried out (rollout/, the
Controller) and writes the result back. The adapters are built in session/adapters.py.

``pulumi_iofog.provider:provider`` is a saved name: it is in every state that this provider has made,
and must lead here for ever.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from typing import Any

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from pulumi_iofog import plugin
from pulumi_iofog.check import properties, state
from pulumi_iofog.check.diff import Changes, Desired, compare, estimate, summary
from pulumi_iofog.check.properties import Props
from pulumi_iofog.check.resolve import Resolution, resolve
from pulumi_iofog.errors import ControllerError, Failure, InputError, IofogError, ItemNotFound
from pulumi_iofog.inputs.spec import CatalogItem, Spec
from pulumi_iofog.rollout import rollout
from pulumi_iofog.rollout.outcome import Outcome, report
from pulumi_iofog.rollout.outcome import pending as pending_agents
from pulumi_iofog.rollout.progress import Progress
from pulumi_iofog.rollout.tools import Ready
from pulumi_iofog.session.adapters import Shared
from pulumi_iofog.session.offline_image import Run, Session

RUN = "__run"
"""A property that the program passes to check only: whether this is a preview, and of what."""

REPLACE = "__replace_on_changes"
"""The resource option of that name. The engine cannot follow it by itself, as the SDK (3.272) does not tell it
which properties of a dynamic resource have changed."""


class OfflineImageProvider(ResourceProvider):
    """Without attributes of its own in the program's process: whatever it had there would be in state."""

    serialize_as_secret_always = False
    _config: Callable[[str], str | None] = staticmethod(lambda key: None)
    _shared = Shared()
    _preview = False

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (pkgutil.resolve_name, ("pulumi_iofog.provider:provider",))

    def configure(self, req: ConfigureRequest) -> None:
        """Keep the stack's config, and let errors reach the user as messages."""
        self._config = req.config.get
        plugin.on_cancel(self._shared.connections.interrupt)
        plugin.show_errors_as_messages()

    # ---- preview ------------------------------------------------------------------------------------

    def check(self, olds: Props, news: Props) -> CheckResult:
        """Refuse bad input; find out hosts and digests, and add what follows from them."""
        olds, news = properties.from_pulumi(olds), properties.from_pulumi(news)
        run = Run.of(news.pop(RUN, None))
        self._preview = run.preview
        inputs = {k: v for k, v in state.inputs_of(news).items() if k not in state.COMPUTED}
        try:
            spec = state.parse_inputs(inputs)
            with self._session(spec) as session:
                settings = session.settings_or_unknown()
                found = resolve(spec, properties.earlier(olds), session.resolve_tools(run))
                session.remember(found, run)
                checked = properties.checked(inputs, spec, found, settings)
                self._announce(found, run, session, first=not olds, inputs=checked)
        except InputError as problem:
            return CheckResult(properties.to_pulumi(inputs), [CheckFailure(f.path, f.reason) for f in problem.failures])
        except IofogError as problem:
            return CheckResult(properties.to_pulumi(inputs), [CheckFailure("", str(problem))])
        if REPLACE in news:
            checked[REPLACE] = news[REPLACE]
        return CheckResult(properties.to_pulumi(checked), [])

    def diff(self, id_: str, olds: Props, news: Props) -> DiffResult:
        """Which agents and digests changed; in a preview, one line says so."""
        olds, news = properties.from_pulumi(olds), properties.from_pulumi(news)
        new = _desired(news)
        changes = compare(state.desired(olds), new)
        before, after = state.inputs_of(olds), state.inputs_of(news)
        if (changes or before != after) and self._preview:
            self._summarise(changes, new, olds, news)
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        replaces = properties.chosen(changed, news.get(REPLACE)) | ({"controller"} if changes.endpoint else set())
        # A Controller takes a name only once, so the old item goes first.
        return DiffResult(changes=bool(changes or changed), replaces=sorted(replaces), delete_before_replace=True)

    def _announce(self, found: Resolution, run: Run, session: Session, *, first: bool, inputs: Props) -> None:
        console = plugin.console()
        for line in found.moved:
            console.warn(line)
        # A replacement is checked a second time, as if there were nothing yet.
        if first and run.preview and not self._shared.announced(console.urn):
            new = _desired(inputs)
            console.note(_summary(compare(None, new), new, {}, inputs, session))

    def _summarise(self, changes: Changes, new: Desired, olds: Props, news: Props) -> None:
        console = plugin.console()
        self._shared.announce(console.urn)
        with self._session(state.spec_of(news)) as session:
            console.note(_summary(changes, new, olds, news, session))

    # ---- update -------------------------------------------------------------------------------------

    def create(self, props: Props) -> CreateResult:
        """Bring the image to all agents, then make the catalog item."""
        new = _desired(props)
        with self._session(state.spec_of(props)) as session:
            taken = session.refuse_taken_name(_item(new))
            outcomes, pending = self._roll_out(session, compare(None, new), new, {}, props)
            item_id = session.place_item(_item(new), taken)
        _conclude(outcomes)
        return CreateResult(str(item_id), _outputs(props, item_id, pending))

    def update(self, id_: str, olds: Props, news: Props) -> UpdateResult:
        """Visit only the agents that changed; then the catalog item, if it changed."""
        new = _desired(news)
        changes = compare(state.desired(olds), new)
        with self._session(state.spec_of(news)) as session:
            outcomes, pending = self._roll_out(session, changes, new, olds, news)
            if changes.item:
                session.controller.update_item(int(id_), _item(new))
        _conclude(outcomes)
        return UpdateResult(_outputs(news, int(id_), pending))

    def _roll_out(
        self, session: Session, changes: Changes, new: Desired, olds: Props, news: Props
    ) -> tuple[list[Outcome], list[str]]:
        if not changes.agents:
            return [], []
        spec = session.spec
        progress = Progress(plugin.console().status, len(changes.agents))
        jobs = session.jobs(changes.agents, new, state.pins_of(news), state.desired(olds), state.pins_of(olds))
        outcomes = rollout.roll_out(jobs, Ready(session.rollout_tools(progress)), pool=spec.transfer_pool)
        # Who presses Ctrl-C has not said that those agents may be left out.
        allowed = 0 if self._shared.connections.interrupted else spec.max_unavailable
        return outcomes, pending_agents(outcomes, allowed)

    # ---- refresh, destroy ---------------------------------------------------------------------------

    def read(self, id_: str, props: Props) -> ReadResult:
        """Find an item changed or deleted, and agents that lost their image."""
        spec = state.spec_of(props)
        with self._session(spec) as session:
            try:
                item = session.controller.get_item(int(id_))
            except ItemNotFound:
                return ReadResult("", {})
            digests, unheard = session.held(_desired(props), state.pins_of(props))
        for line in unheard:
            plugin.console().warn(line)
        found = {**props, "catalog_item": state.item_to_props(item), "agent_digests": digests}
        return ReadResult(id_, found, state.inputs_of(found))

    def delete(self, id_: str, props: Props) -> None:
        """Delete the catalog item; then, with ``prune``, the image on the agents that can be reached."""
        with self._session(state.spec_of(props)) as session:
            session.controller.delete_item(int(id_))
            if session.spec.prune:
                for line in session.remove_images(_desired(props), state.pins_of(props)):
                    plugin.console().warn(line)

    def _session(self, spec: Spec) -> Session:
        # Not in configure, whose errors Pulumi shows without a resource to point at.
        return Session(spec, self._config, self._shared)


provider = OfflineImageProvider()


# ---- what properties say ------------------------------------------------------------------------------


def _desired(props: Props) -> Desired:
    wanted = state.desired(props)
    if wanted is None:
        raise InputError([Failure("", "the inputs cannot be read; run pulumi up again")])
    return wanted


def _item(new: Desired) -> CatalogItem:
    if new.item is None:
        raise ControllerError("", "registering the catalog item", "its name is not known")
    return new.item


def _outputs(props: Props, item_id: int, pending: list[str]) -> Props:
    return {**state.inputs_of(props), "catalog_item_id": item_id, "pending_agents": pending}


# ---- words ---------------------------------------------------------------------------------------------


def _summary(changes: Changes, new: Desired, olds: Props, news: Props, session: Session) -> str:
    """The preview's line. Old manifests come from the cache or the registry; without one, the estimate
    is the whole image."""
    pins = state.pins_of(news)
    before = state.desired(olds) if olds else None
    old_pins = state.pins_of(olds)
    estimates = []
    for name in changes.agents:
        placement = new.placements[name]
        pin = next((p for p in pins.values() if p.image_id == placement.image_id), None)
        manifest = session.images.manifest(pin) if pin else None
        last = before.placements.get(name) if before else None
        held = None
        if last and last.same_place(placement):
            old_pin = next((p for p in old_pins.values() if p.image_id == last.image_id), None)
            held = session.images.manifest(old_pin) if old_pin and name not in before.pending else None  # type: ignore[union-attr]
        estimates.append(estimate(name, manifest, held))
    return summary(changes, len(new.placements), estimates)


def _conclude(outcomes: list[Outcome]) -> None:
    console = plugin.console()
    for outcome in outcomes:
        if outcome.note:
            console.note(outcome.note)
        if outcome.error:
            console.warn(f"pending: {outcome.error}")
    if outcomes:
        console.note(report(outcomes))
