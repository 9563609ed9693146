"""A rollout to real hosts as a resource has it, without Pulumi: an operator with a cache of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pulumi_iofog.inputs.spec import parse
from pulumi_iofog.oci.image import AMD64, Pin, parse_index, parse_manifest, pick
from pulumi_iofog.rollout.outcome import Outcome
from pulumi_iofog.rollout.progress import Progress
from pulumi_iofog.rollout.rollout import Job, roll_out
from pulumi_iofog.rollout.tools import Ready
from pulumi_iofog.session.adapters import Shared
from pulumi_iofog.session.offline_image import Session


class Operator:
    """See the module.

    Attributes:
        shown: the lines that progress has shown.
        turn: at something, among those who share the cache.
        shared: with what a plugin's process shares.
    """

    def __init__(self, session: Session, shared: Shared, layout: Path) -> None:
        self._session, self.shared, self._layout = session, shared, layout
        self.shown: list[str] = []
        self.turn = session.cache.turn

    def bring(self) -> list[Outcome]:
        """Bring the image to all agents."""
        session = self._session
        reference = session.spec.references["x86"]
        entry = pick(parse_index(session.images.fetch_manifest(reference)[0]), AMD64)
        assert entry
        manifest = parse_manifest(*session.images.fetch_manifest(reference, entry.blob.digest))
        pin = Pin(reference, manifest.manifest_digest, manifest.config.digest, AMD64, manifest.size)
        jobs = [Job(agent, session.images.image(pin)) for agent in session.spec.agents]
        tools = session.rollout_tools(Progress(self.shown.append, len(jobs)))
        return roll_out(jobs, Ready(tools), pool=len(jobs))

    def said(self, text: str) -> bool:
        """Whether progress has shown that."""
        return any(text in line for line in list(self.shown))


@contextmanager
def operator(
    cache: Path, layout: Path, agents: Sequence[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, **config: str
) -> Iterator[Operator]:
    """One with that cache, who brings the image in a layout to these agents."""
    shared, spec = Shared(), parse({"name": "app", "x86": f"oci:{layout}", "agents": agents})
    with Session(spec, {f"iofog:{key}": value for key, value in config.items()}.get, shared) as session:
        with monkeypatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(cache))
            assert session.cache.root.is_relative_to(cache)
        try:
            yield Operator(session, shared, layout)
        finally:
            shared.connections.interrupt()
