"""The tools of a rollout whose workers are other processes: made anew in each from values alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pulumi_iofog.inputs.spec import Spec
from pulumi_iofog.rollout.tools import Tools
from pulumi_iofog.session.adapters import Shared
from pulumi_iofog.session.offline_image import Session


@dataclass(frozen=True, slots=True)
class SessionRecipe:
    """A rollout.tools.Recipe that can be pickled. It holds the spec's secrets, so it goes by pipes only.

    Attributes:
        config: the stack's config by full key. ``iofog:rateLimitTotal`` holds for each worker by itself.
    """

    spec: Spec
    config: Mapping[str, str] = field(default_factory=dict, repr=False)

    @contextmanager
    def tools(self) -> Iterator[Tools]:
        """Adapters of this process alone; they are closed afterwards. Nobody is shown how far it is."""
        shared = Shared()
        try:
            with Session(self.spec, self.config.get, shared) as session:
                yield session.rollout_tools(_Unseen())
        finally:
            shared.connections.interrupt()


class _Unseen:
    """Progress that nobody looks at."""

    def begin(self, agent: str, doing: str, size: int = 0) -> None: ...
    def waits(self, agent: str, why: str) -> None: ...
    def moved(self, agent: str, count: int) -> None: ...
    def end(self, agent: str, *, failed: bool = False) -> None: ...
