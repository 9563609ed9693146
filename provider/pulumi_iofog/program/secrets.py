"""What is secret in arguments: marked, and agents' apart from the agents."""

from __future__ import annotations

from typing import Any

import pulumi

from pulumi_iofog.inputs.spec import AGENT_SECRETS
from pulumi_iofog.program.args import SECRETS, AgentArgs, AgentArgsDict, fields_of


def seal(value: Any) -> Any:
    """The same argument with its secrets marked, also if it was written as a dict."""
    if isinstance(value, dict):
        return {k: _sealed(k, v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [seal(item) for item in value]
    return value.apply(seal) if isinstance(value, pulumi.Output) else value


def apart(agents: Any) -> tuple[Any, Any]:
    """Agents without their secrets; and the secrets, an object by the agent's name, or by its index (``#2``)
    if the name is another resource's output.

    Pulumi hides a whole list if a part of it is secret, but of an object only the secret parts: so the
    agents stay readable in a preview.
    """
    if isinstance(agents, pulumi.Output):
        return agents.apply(lambda known: apart(known)[0]), agents.apply(lambda known: apart(known)[1])
    if not isinstance(agents, list | tuple):
        return agents, None
    rest, secrets = [], {}
    for index, agent in enumerate(agents):
        without, own = _apart(agent)
        rest.append(without)
        if own:
            name = without.get("name") if isinstance(without, dict) else None
            secrets[name if isinstance(name, str) else f"#{index}"] = own
    return rest, secrets or None


def _apart(agent: Any) -> tuple[Any, Any]:
    if isinstance(agent, pulumi.Output):
        return agent.apply(lambda known: _apart(known)[0]), agent.apply(lambda known: _apart(known)[1])
    if isinstance(agent, AgentArgs):
        agent = fields_of(agent, AgentArgsDict)
    if not isinstance(agent, dict):
        return agent, None
    given = {key: value for key, value in agent.items() if value is not None}
    secrets = {key: pulumi.Output.secret(given.pop(key)) for key in list(given) if key in AGENT_SECRETS}
    return given, secrets or None


def _sealed(key: str, value: Any) -> Any:
    return pulumi.Output.secret(value) if key in SECRETS and value is not None else value
