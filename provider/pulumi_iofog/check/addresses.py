"""Where an agent is: its own fields, then the namespace file, the Controller's agents, ~/.ssh/config. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from pulumi_iofog.errors import Failure, attempt
from pulumi_iofog.inputs.iofogctl_namespace import Namespace
from pulumi_iofog.inputs.spec import Agent, KnownAgent, Spec


class ControllerAgents:
    """The Controller's agents, asked for at most once, and only if anybody needs to know."""

    def __init__(self, ask: Callable[[], Sequence[KnownAgent]] | None, failures: list[Failure]) -> None:
        self._ask, self._failures = ask, failures
        self._agents: dict[str, KnownAgent] | None = None
        self.unknown = ask is None
        self.failed = False

    def get(self, name: str) -> KnownAgent | None:
        if self._agents is None:
            self._agents = {}
            before = len(self._failures)
            found = attempt(self._failures, "controller", self._ask) if self._ask else None
            self._agents = {agent.name: agent for agent in found or ()}
            self.failed = len(self._failures) > before
        return self._agents.get(name)


def locate(
    agent: Agent,
    spec: Spec,
    namespace: Namespace,
    controller: ControllerAgents,
    ssh_host: Callable[[str], str | None],
    failures: list[Failure],
) -> Agent:
    """The agent with what it does not say itself filled in; a failure where no host is known."""
    path = spec.paths[agent.name]
    unknown = {p.removeprefix(f"{path}.") for p in spec.unknown if p.startswith(f"{path}.")}
    agent = _fill(agent, namespace.agents.get(agent.name, {}), unknown)
    if agent.host is None and "host" not in unknown:
        known = controller.get(agent.name)
        if known:
            agent = _fill(agent, {"host": known.host, "engine": known.engine}, unknown)
    if agent.host is None and "host" not in unknown:
        before = len(failures)
        agent = _fill(agent, {"host": attempt(failures, f"{path}.host", lambda: ssh_host(agent.name))}, unknown)
        if len(failures) > before:
            return agent
    if agent.host is None and "host" not in unknown and not controller.failed and not controller.unknown:
        failures.append(
            Failure(
                f"{path}.host",
                f"no host known for agent {agent.name}: give host=, or name it in namespace"
                f" {spec.namespace}'s file, on the Controller, or in ~/.ssh/config",
            )
        )
    return agent


def _fill(agent: Agent, more: Mapping[str, object], unknown: set[str]) -> Agent:
    """The agent, with what it does not say itself taken from elsewhere."""
    new = {k: v for k, v in more.items() if v is not None and getattr(agent, k) is None and k not in unknown}
    return dataclasses.replace(agent, **new)  # type: ignore[arg-type]
