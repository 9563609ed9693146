"""One verb's working place: builds the adapters, and closes them.

Here, and only here, the pure parts meet registry, cache, SSH and Controller.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pulumi_iofog import resolve, rollout, state
from pulumi_iofog.adapters import recode
from pulumi_iofog.adapters.controller.controller import Controller
from pulumi_iofog.adapters.namespace_file import StoredTokens, read_namespace
from pulumi_iofog.adapters.registry.registry import Registry
from pulumi_iofog.adapters.sources.local import Local
from pulumi_iofog.adapters.ssh.connect import configured_host
from pulumi_iofog.adapters.ssh.pool import Pool
from pulumi_iofog.adapters.store.store import Store
from pulumi_iofog.blobs import Blobs, Source
from pulumi_iofog.edge_host import EdgeHost
from pulumi_iofog.errors import Failure, InputError, IofogError, NameTaken
from pulumi_iofog.image import Digest, Pin, Platform, Reference, parse_digest
from pulumi_iofog.images import Images
from pulumi_iofog.namespace import Namespace
from pulumi_iofog.pace import Limits
from pulumi_iofog.plan import MISSING, Desired
from pulumi_iofog.registries import registries
from pulumi_iofog.settings import controller_settings
from pulumi_iofog.spec import Agent, Arch, CatalogItem, ControllerSettings, Spec

PREVIEW_HOLDS = 3600.0
"""Seconds for which an update keeps to the digests that a preview has shown."""
ASKED_AT_ONCE = 8
"""Agents that a refresh asks at once, at least; asking costs little."""


@dataclass(frozen=True, slots=True)
class Run:
    """Whether this is a preview, and of which resource (``project/stack/name``)."""

    preview: bool = False
    resource: str = ""

    @classmethod
    def of(cls, value: Any) -> Run:
        if not isinstance(value, Mapping):
            return cls()
        return cls(value.get("preview") is True, str(value.get("resource", "")))

    def key(self, reference: str) -> str:
        return f"preview {self.resource} {reference}"


class Session:
    """The adapters of one verb, made when first asked for and closed at the end.

    Args:
        spec: what the user wants; says which credentials, namespace and cache to use.
        config: the stack's config by full key (``iofog:endpoint``).
        limits: of the rate of sending, which the sessions of one process share.
        connections: to agents, which they share too.
    """

    def __init__(self, spec: Spec, config: Callable[[str], str | None], limits: Limits, connections: Pool) -> None:
        self.spec, self._config, self.limits, self._connections = spec, config, limits, connections
        self._stack = ExitStack()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    # ---- adapters -----------------------------------------------------------------------------------

    @cached_property
    def memory(self) -> Store:
        """The permanent cache; small records go there always."""
        memory = Store()
        self._stack.callback(memory.close)
        return memory

    @cached_property
    def store(self) -> Store:
        """Where blobs go: the permanent cache, or with ``cache=False`` one that goes with the session."""
        return self.memory if self.spec.cache else self._stack.enter_context(Store.temporary())

    @cached_property
    def registry(self) -> Registry:
        registry = Registry(self.spec.auth, options=registries(self._config))
        self._stack.callback(registry.close)
        return registry

    @cached_property
    def local(self) -> Local:
        return Local(self.memory, self.store)

    @cached_property
    def blobs(self) -> Blobs:
        return Blobs(self.store, self.memory, self._source)

    @cached_property
    def images(self) -> Images:
        return Images(self.store, self.blobs, self._source, self.local)

    @cached_property
    def namespace(self) -> Namespace:
        return read_namespace(self.spec.namespace, Path.home())

    @cached_property
    def settings(self) -> ControllerSettings:
        """The Controller's settings; InputError if there are none."""
        found = controller_settings(self.spec.controller, self._config, os.environ, self.namespace)
        if isinstance(found, Failure):
            raise InputError([found])
        return found

    @cached_property
    def controller(self) -> Controller:
        path = self.namespace.path if self.settings.refresh_token else None
        controller = Controller(self.settings, stored=StoredTokens(path) if path else None)
        self._stack.callback(controller.close)
        return controller

    def _source(self, reference: Reference) -> Source:
        """Where an image comes from, by its reference's transport."""
        return self.registry if reference.transport == "docker" else self.local

    @contextmanager
    def connect(self, agent: Agent) -> Iterator[EdgeHost]:
        """One agent, with its engine found."""
        with self._connections.connection(agent) as connection:
            yield EdgeHost(connection, agent)

    # ---- check --------------------------------------------------------------------------------------

    def settings_or_unknown(self) -> str | None:
        """The Controller's endpoint; None while another resource has yet to tell it."""
        if any(path.startswith("controller") for path in self.spec.unknown):
            return self.spec.controller.endpoint or None if self.spec.controller else None
        return self.settings.endpoint

    def resolve_tools(self, run: Run) -> resolve.Tools:
        unknown = any(path.startswith("controller") for path in self.spec.unknown)
        return resolve.Tools(
            manifests=self.images,
            controller_agents=None if unknown else lambda: self.controller.agents(),
            catalog_arches=None if unknown else lambda: self.controller.catalog_arches(),
            namespace=self.namespace,
            ssh_host=configured_host,
            probe=self._probe,
            pinned=lambda reference: self._previewed(run, reference),
            recall=self._recall,
        )

    def remember(self, found: resolve.Resolution, run: Run) -> None:
        """Keep what was resolved: for later without the registry, and a preview's for its update."""
        values = state.pins_to_props(found.pins)
        for arch, pin in found.pins.items():
            written = self.spec.references.get(arch) or self.spec.references["arm"]
            self.memory.remember(_memory_of(written, pin.platform), values[arch])
        for reference, top in found.tops.items():
            if run.preview:
                self.memory.remember(run.key(reference), {"digest": top})
            else:
                self.memory.forget(run.key(reference))

    def _probe(self, agent: Agent) -> Platform:
        with self.connect(agent) as host:
            return host.platform

    def _previewed(self, run: Run, reference: Reference) -> Digest | None:
        found = self.memory.recall(run.key(reference.text), PREVIEW_HOLDS)
        return parse_digest(found["digest"]) if found else None

    def _recall(self, reference: Reference, platform: Platform) -> Pin | None:
        return state.pin_of(self.memory.recall(_memory_of(reference, platform), float("inf")))

    # ---- rollout ------------------------------------------------------------------------------------

    def rollout_tools(self, progress: rollout.Progress) -> rollout.Tools:
        limits = self.limits
        return rollout.Tools(
            connect=self._connect_alone,
            blobs=self.blobs,
            progress=progress,
            memory=recode.available_memory(),
            pace=limits.pace,
            limit=limits.per_agent,
            wait=self._connections.pause,
        )

    @contextmanager
    def _connect_alone(self, agent: Agent) -> Iterator[EdgeHost]:
        """One agent, which nobody else on this machine sends to meanwhile: so what two resources share is
        sent once, and they are not in each other's way."""
        with self.memory.turn(f"agent {agent.host}:{agent.port or 22}"), self.connect(agent) as host:
            yield host

    def jobs(
        self,
        agents: Sequence[str],
        new: Desired,
        pins: Mapping[Arch, Pin],
        old: Desired | None,
        old_pins: Mapping[Arch, Pin],
    ) -> list[rollout.Job]:
        """A job for each agent; with ``prune``, each with the image that it replaces."""
        images = {pin.image_id: self.images.image(pin) for pin in pins.values()}
        for pin in old_pins.values():
            # Its layers are what the agents hold: known, new ones can go as the difference to them.
            with contextlib.suppress(IofogError):
                self.images.image(pin)
        jobs = []
        for name in agents:
            placement = new.placements[name]
            last = old.placements.get(name) if old else None
            replaced = None
            if self.spec.prune and last and last.same_place(placement):
                replaced = next((p for p in old_pins.values() if p.image_id == last.image_id), None)
            image = next(image for id_, image in images.items() if id_ == placement.image_id)
            jobs.append(rollout.Job(placement.agent, image, replaced))
        return jobs

    # ---- the catalog item ---------------------------------------------------------------------------

    def refuse_taken_name(self, item: CatalogItem) -> int | None:
        """Before any byte is sent: the id of an item of that name if it may be taken over."""
        found = self.controller.find_item(item.name)
        if found is None:
            return None
        if not self.spec.adopt:
            raise NameTaken(
                self.settings.endpoint,
                f"registering the catalog item {item.name}",
                f"catalog item {found[0]} has that name already, and this stack did not make it",
                "Set adopt=True to take it over, or give another name=",
            )
        return found[0]

    def place_item(self, item: CatalogItem, taken: int | None) -> int:
        """Make the item, or take over the one that is there."""
        if taken is None:
            return self.controller.create_item(item)
        self.controller.update_item(taken, item)
        return taken

    # ---- refresh, destroy ---------------------------------------------------------------------------

    def held(self, wanted: Desired, pins: Mapping[Arch, Pin]) -> tuple[dict[str, str], list[str]]:
        """What each agent holds now. An agent that cannot be asked keeps what the state says, and is in
        the second part, a line each."""
        digests = {name: p.image_id or MISSING for name, p in wanted.placements.items()}
        unheard = []
        for name, answer in self._ask_all(wanted, pins, lambda host, pin: host.holds(pin)):
            if isinstance(answer, IofogError):
                unheard.append(f"{answer} What the state says of it is kept.")
            elif not answer:
                digests[name] = MISSING
        return digests, unheard

    def remove_images(self, wanted: Desired, pins: Mapping[Arch, Pin]) -> list[str]:
        """Remove the image from every agent that can be reached; a line for each that keeps it."""
        lines = []
        for name, answer in self._ask_all(wanted, pins, lambda host, pin: host.remove(pin)):
            if isinstance(answer, IofogError):
                lines.append(str(answer))
            elif not answer:
                lines.append(f"{name} keeps the image: a container still uses it")
        return lines

    def _ask_all(
        self, wanted: Desired, pins: Mapping[Arch, Pin], ask: Callable[[EdgeHost, Pin], bool]
    ) -> list[tuple[str, bool | IofogError]]:
        by_id = {str(pin.image_id): pin for pin in pins.values()}

        def one(agent: Agent, pin: Pin) -> bool | IofogError:
            try:
                with self.connect(agent) as host:
                    return ask(host, pin)
            except IofogError as problem:
                return problem

        with ThreadPoolExecutor(max(self.spec.transfer_pool, ASKED_AT_ONCE)) as pool:
            asked = [
                (name, pool.submit(one, placement.agent, by_id[placement.image_id]))
                for name, placement in wanted.placements.items()
                if placement.image_id in by_id
            ]
        return [(name, answer.result()) for name, answer in asked]


def _memory_of(reference: Reference, platform: Platform) -> str:
    """Under what a resolved reference is remembered: the same file is meant in whatever folder."""
    folder = f"{Path.cwd()} " if reference.location else ""
    return f"pin {folder}{reference} {platform}"
