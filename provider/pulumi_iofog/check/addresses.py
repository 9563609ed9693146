"""Where an agent is: its own fields, then the namespace file, the Controller's agents, ~/.ssh/config. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from pulumi_iofog.check.asking import Asking
from pulumi_iofog.errors import AgentError, Failures
from pulumi_iofog.inputs.catalog import KnownAgent
from pulumi_iofog.inputs.iofogctl_namespace import Namespace
from pulumi_iofog.inputs.spec import Agent, Spec


class ControllerAgents:
    """The Controller's agents: asked for once at most, and only if somebody needs to know.

    Args:
        there: False where there is to be no Controller: nobody can answer then, and that is known.
    """

    def __init__(self, asking: Asking, *, there: bool = True) -> None:
        self._asking = asking
        self._agents: Mapping[str, KnownAgent] | None = None if there else {}
        self.answered = not there

    def get(self, name: str) -> KnownAgent | None:
        """The agent of that name; None where the Controller has none, cannot be asked, or is not known yet."""
        if self._agents is None:
            self._agents = self._ask()
        return self._agents.get(name)

    def _ask(self) -> Mapping[str, KnownAgent]:
        found = self._asking.ask(lambda controller: controller.agents())
        self.answered = found is not None
        return {agent.name: agent for agent in found or ()}


def locate(
    agent: Agent,
    spec: Spec,
    namespace: Namespace,
    controller: ControllerAgents,
    ssh_host: Callable[[str], str | None],
    failures: Failures,
) -> Agent:
    """The agent, with what it does not say itself filled in. No known host is a failure."""
    path = spec.paths[agent.name]
    unknown = {p.removeprefix(f"{path}.") for p in spec.unknown if p.startswith(f"{path}.")}
    agent = _fill(agent, namespace.agents.get(agent.name, {}), unknown)
    if agent.host is not None or "host" in unknown:
        return agent
    known = controller.get(agent.name)
    if known:
        agent = _fill(agent, {"host": known.host}, unknown)
    if agent.host is not None:
        return agent
    try:
        found = _fill(agent, {"host": ssh_host(agent.name)}, unknown)
    except AgentError as problem:
        # What is wrong in ~/.ssh/config is wrong with the input that leads there.
        failures.add(f"{path}.host", str(problem))
        return agent
    if found.host is None and controller.answered:
        failures.add(
            f"{path}.host",
            f"no host known for agent {agent.name}: set host=, or list the agent in the file of namespace"
            f" {spec.namespace}, on the Controller, or in ~/.ssh/config",
        )
    return found


def _fill(agent: Agent, more: Mapping[str, object], unknown: set[str]) -> Agent:
    """The agent, with what it does not say itself taken from elsewhere."""
    new = {k: v for k, v in more.items() if v is not None and getattr(agent, k) is None and k not in unknown}
    return dataclasses.replace(agent, **new)  # type: ignore[arg-type]
