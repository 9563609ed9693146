"""Who has a stack of one OfflineImage, and updates it as ``pulumi up`` does: check, diff, then create or update."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.plugin.process import Plugin, Refused, environment, received
from pulumi_iofog.saved_name import RUN, SAVED

URN = "urn:pulumi:lab::faults::pulumi-python:dynamic/iofog:OfflineImage::{name}"


@dataclass(frozen=True, slots=True)
class Done:
    """What a command has come to; ``output`` is what its user would read at the end."""

    ok: bool
    output: str


class Operator:
    """See the module.

    Args:
        folder: of their home, cache, temporary files and log.
        config: of the stack, by full key.
        name: of the resource.
        keeps: one plugin process for all commands, so that it can be seen whether it grows. Pulumi starts one for each.
        variables: more of the environment.

    Attributes:
        state: the resource's ``id``, ``inputs`` and ``outputs``; None while there is none.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, str],
        *,
        name: str = "gateway",
        keeps: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.config, self.urn, self._keeps = folder, dict(config), URN.format(name=name), keeps
        self.state: dict[str, Any] | None = None
        self.environment = environment(folder, variables or {})
        self._plugin: Plugin | None = None
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Operator:
        return self

    def __exit__(self, *raised: object) -> None:
        self.end()
        self._pool.shutdown()

    @property
    def plugin(self) -> Plugin:
        """The one of now, or of the last command."""
        if self._plugin is None:
            self._plugin = Plugin(self.folder / "plugin", self.environment, self.config)
        return self._plugin

    def end(self) -> None:
        """End the plugin process."""
        if self._plugin:
            self._plugin.go()
            self._plugin.end()
            self._plugin = None

    # ---- commands -------------------------------------------------------------------------------------

    def begin(self, inputs: Mapping[str, Any], halt: str = "") -> Future[Done]:
        """``pulumi up`` on a thread of its own, with a plugin of its own, which is halted at a line of its log."""
        self.end()
        if halt:
            self.plugin.halt(halt)
        return self._pool.submit(self._up, self.plugin, inputs)

    def up(self, inputs: Mapping[str, Any]) -> Done:
        """``pulumi up`` to its end."""
        if not self._keeps:
            self.end()
        return self._up(self.plugin, inputs)

    def refresh(self) -> Done:
        """``pulumi refresh``."""
        assert self.state
        return self._told(self.plugin, lambda plugin: self._refresh(plugin))

    def destroy(self) -> Done:
        """``pulumi destroy``."""

        def delete(plugin: Plugin) -> None:
            assert self.state
            plugin.call("Delete", id=self.state["id"], urn=self.urn, properties=self.state["outputs"])
            self.state = None

        return self._told(self.plugin, delete)

    # ---- parts ----------------------------------------------------------------------------------------

    def _up(self, plugin: Plugin, inputs: Mapping[str, Any]) -> Done:
        return self._told(plugin, lambda each: self._update(each, inputs))

    def _told(self, plugin: Plugin, act: Any) -> Done:
        before = len(plugin.said)
        try:
            act(plugin)
        except Refused as problem:
            return Done(False, "\n".join([*plugin.said[before:], str(problem)]))
        return Done(True, "\n".join(plugin.said[before:]))

    def _update(self, plugin: Plugin, inputs: Mapping[str, Any]) -> None:
        run = {"preview": False, "resource": "faults/lab/gateway", "organization": "organization"}
        news = {**inputs, "__provider": SAVED, RUN: run}
        old = self.state
        checked = plugin.call("Check", urn=self.urn, olds=old["inputs"] if old else {}, news=news)
        if checked.failures:
            raise Refused("\n".join(f"{each.property}: {each.reason}" for each in checked.failures))
        news = received(checked.inputs)
        if old is None:
            made = plugin.call("Create", urn=self.urn, properties=news)
            self.state = {"id": made.id, "inputs": news, "outputs": received(made.properties)}
            return
        which = {"id": old["id"], "urn": self.urn, "olds": old["outputs"], "news": news}
        answer = plugin.call("Diff", **which)
        assert not answer.replaces, json.dumps(list(answer.replaces))
        if answer.changes == answer.DIFF_SOME:
            outputs = received(plugin.call("Update", **which).properties)
            self.state = {"id": old["id"], "inputs": news, "outputs": outputs}

    def _refresh(self, plugin: Plugin) -> None:
        assert self.state
        read = plugin.call("Read", id=self.state["id"], urn=self.urn, properties=self.state["outputs"])
        outputs = received(read.properties)
        self.state = {"id": read.id, "inputs": received(read.inputs), "outputs": outputs} if read.id else None
