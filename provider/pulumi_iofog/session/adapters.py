"""The adapters of one verb, whatever the resource: made when first asked for, closed at the end.

Here, and only here, the pure parts meet registry, cache, SSH and Controller. What can be shared by all verbs of the
process is: connections, the answers of servers to how they are to be talked to, and the certificates to trust, which
take 40 ms of a core each time that they are loaded.

Adapters are imported where they are made: paramiko, requests and docker take 0.4 s of a core at each command of Pulumi,
and a verb that finds nothing to do needs few of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from pulumi_iofog import log
from pulumi_iofog.adapters.backend import backend_of
from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.adapters.namespace_file import StoredTokens, read_namespace
from pulumi_iofog.adapters.ssh.pool import Pool
from pulumi_iofog.check.owner import mark_of
from pulumi_iofog.errors import INTERRUPTED, Failure, InputError, StoreError
from pulumi_iofog.inputs.controller_settings import controller_settings
from pulumi_iofog.inputs.engine_timeout import engine_timeout
from pulumi_iofog.inputs.iofogctl_namespace import Namespace
from pulumi_iofog.inputs.registry_settings import registries
from pulumi_iofog.inputs.spec import Agent, ControllerSettings, RegistryAuth, Spec, secrets
from pulumi_iofog.oci.image import Reference
from pulumi_iofog.rollout.rate_limit import Limits
from pulumi_iofog.session.images import Images
from pulumi_iofog.session.payloads import Payloads, Source
from pulumi_iofog.session.questions import Questions

if TYPE_CHECKING:
    from pulumi_iofog.adapters.controller.controller import Controller
    from pulumi_iofog.adapters.host.edge_host import EdgeHost
    from pulumi_iofog.adapters.http import Backoff
    from pulumi_iofog.adapters.registry.registry import Registry
    from pulumi_iofog.adapters.sources.local import Local

Config = Callable[[str], str | None]
"""The stack's config by full key (``iofog:endpoint``)."""
A = TypeVar("A", bound="Adapters")


class Row(Protocol):
    """What a resource has to say while it works."""

    def status(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...


class Silent:
    """The row of a process that has none."""

    def status(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...


class Shared:
    """What all verbs of one plugin process share; the SDK runs them on four threads."""

    def __init__(self) -> None:
        self.connections, self.questions = Pool(), Questions()
        self._lock = threading.Lock()
        self._limits: Limits | None = None
        self._patience: float | None = None
        self._registries: dict[RegistryAuth | None, Registry] = {}
        self._controllers: dict[ControllerSettings, Controller] = {}
        self._previewed: set[str | None] = set()
        self._marks: dict[str, str] = {}
        self._items: dict[tuple[str | None, str | None], int] = {}
        self._announced: set[str | None] = set()
        self._warned: dict[str | None, Sequence[str]] = {}
        self._said: set[str] = set()
        self.rows: list[Row] = []
        """Of the verbs under way."""

    @property
    def backoff(self) -> Backoff:
        """For all requests: Ctrl-C ends every wait, and the rows of all resources at work say what is waited for."""
        from pulumi_iofog.adapters.http import Backoff

        def say(line: str) -> None:
            with self._lock:
                rows = tuple(self.rows)
            for row in rows:
                row.status(line)

        return Backoff(say=say, pause=self.connections.pause)

    def warn(self, line: str) -> None:
        """Say something of this machine, and not of one resource: once, on the row of one that is at work."""
        with self._lock:
            row = next(iter(self.rows), None) if line not in self._said else None
            self._said.add(line)
        if row:
            row.warn(line)

    def limits(self, config: Config) -> Limits:
        """Of the rate of sending; read from the config once. Raises InputError."""
        with self._lock:
            self._limits = self._limits or Limits(config)
            return self._limits

    def patience(self, config: Config) -> float:
        """Seconds for which an engine may be silent; read from the config once. Raises InputError."""
        with self._lock:
            self._patience = self._patience or engine_timeout(config, os.environ)
            return self._patience

    def registry(self, auth: RegistryAuth | None, config: Config) -> Registry:
        """For one verb: connections, tokens and TLS are everybody's; what mirrors have served is its own."""
        from pulumi_iofog.adapters.registry.registry import Registry

        with self._lock:
            if auth not in self._registries:
                self._registries[auth] = Registry(
                    auth, options=registries(config), backoff=self.backoff, warn=self.warn
                )
            return self._registries[auth].anew()

    def controller(self, settings: ControllerSettings, tokens: Path | None) -> Controller:
        """The Controller, with the token that an earlier verb has got; ``tokens`` is the file with stored ones."""
        from pulumi_iofog.adapters.controller.controller import Controller

        with self._lock:
            if settings not in self._controllers:
                stored = StoredTokens(tokens) if tokens else None
                self._controllers[settings] = Controller(settings, stored=stored, backoff=self.backoff)
            return self._controllers[settings]

    def checked(self, urn: str | None, organization: str, *, preview: bool) -> None:
        """Note what only a check is told, for the verbs that follow: whether it is a preview's, and whose resource it
        is."""
        with self._lock:
            (self._previewed.add if preview else self._previewed.discard)(urn)
            if urn:
                self._marks[urn] = mark_of(self._backend, organization, urn)

    def mark(self, urn: str | None) -> str | None:
        """Of a resource that has been checked, on its catalog items; else None."""
        with self._lock:
            return self._marks.get(urn or "")

    @cached_property
    def _backend(self) -> str:
        return backend_of(os.environ, Path.cwd(), Path.home())

    def has_item(self, urn: str | None, endpoint: str | None, item_id: int) -> None:
        """Note a resource's item, for the check of what replaces it, which is told nothing of it."""
        with self._lock:
            self._items[urn, endpoint] = item_id

    def item(self, urn: str | None, endpoint: str | None) -> int | None:
        """The item that has been noted."""
        with self._lock:
            return self._items.get((urn, endpoint))

    def previewed(self, urn: str | None) -> bool:
        """Whether it was."""
        with self._lock:
            return urn in self._previewed

    def unsaid(self, urn: str | None, lines: Sequence[str], *, again: bool) -> list[str]:
        """Those lines of a check that its resource's last one has not said, if this one may be a second one."""
        with self._lock:
            said = self._warned.pop(urn, ())
            if not again:
                self._warned[urn] = tuple(lines)
            return [line for line in lines if not (again and line in said)]

    def announce(self, urn: str | None) -> None:
        """Note that the preview's line of a resource has been said."""
        with self._lock:
            self._announced.add(urn)

    def announced(self, urn: str | None) -> bool:
        """Whether it has been said."""
        with self._lock:
            return urn in self._announced


class Adapters:
    """See the module.

    Args:
        spec: what the user wants; says which credentials, namespace and cache to use.
        config: the stack's config.
        shared: with the other verbs of this process.
        row: the resource's, in the terminal.
    """

    def __init__(self, spec: Spec, config: Config, shared: Shared, row: Row | None = None) -> None:
        self.spec, self._config, self._shared, self.row = spec, config, shared, row or Silent()
        log.hide(secrets(spec))
        self.limits = shared.limits(config)
        shared.patience(config)
        self._stack = ExitStack()

    def __enter__(self: A) -> A:
        self._shared.rows.append(self.row)
        return self

    def __exit__(self, *raised: object) -> None:
        self._shared.rows.remove(self.row)
        self._stack.close()

    @cached_property
    def cache(self) -> Store:
        """The permanent cache; small records go there always."""
        cache = Store(sleep=self._sleep)
        self._stack.callback(cache.close)
        return cache

    @cached_property
    def store(self) -> Store:
        """Where blobs go: the permanent cache, or with ``cache=False`` one that goes with the session."""
        return self.cache if self.spec.cache else self._stack.enter_context(Store.temporary(self._sleep))

    @cached_property
    def registry(self) -> Registry:
        return self._shared.registry(self.spec.auth, self._config)

    @cached_property
    def local(self) -> Local:
        from pulumi_iofog.adapters.sources.local import Local

        return Local(self.cache.records, self.store)

    @cached_property
    def payloads(self) -> Payloads:
        return Payloads(self.store, self.cache.records, self._source)

    @cached_property
    def images(self) -> Images:
        return Images(self.store, self.payloads, self._source, self.local)

    @cached_property
    def namespace(self) -> Namespace:
        return read_namespace(self.spec.namespace, Path.home())

    @cached_property
    def settings(self) -> ControllerSettings:
        """The Controller's settings; InputError if there are none."""
        found = controller_settings(self.spec.controller, self._config, os.environ, self.namespace)
        if isinstance(found, Failure):
            raise InputError([found])
        log.hide(secrets(found))
        return found

    @cached_property
    def controller(self) -> Controller:
        return self._shared.controller(self.settings, self.namespace.path if self.settings.refresh_token else None)

    def _sleep(self, seconds: float) -> None:
        """Wait for what another does; Ctrl-C ends it."""
        self._shared.connections.pause(seconds)
        if self._shared.connections.interrupted:
            hint = "Run pulumi up again: it resumes where it stopped"
            raise StoreError("", "waiting for another pulumi", INTERRUPTED, hint)

    def _source(self, reference: Reference) -> Source:
        """Where an image comes from, by its reference's transport."""
        return self.registry if reference.transport == "docker" else self.local

    @contextmanager
    def connect(self, agent: Agent, say: Callable[[str], None] = lambda why: None) -> Iterator[EdgeHost]:
        """One agent, with its engine found.

        Args:
            say: told what is waited for, where that takes long; and nothing, once it is over.
        """
        from pulumi_iofog.adapters.host.edge_host import EdgeHost

        with log.about(agent=agent.name), self._shared.connections.connection(agent) as connection:
            yield EdgeHost(connection, agent, self._shared.patience(self._config), say)
