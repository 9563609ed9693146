"""One OfflineImage with the arguments that the stack's config has; ``late`` ones come from another resource."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

import pulumi_iofog as iofog


class Later(ResourceProvider):
    """Hands its input on, but only once it is made."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("made", {"value": props["given"]})


class Host(Resource):
    value: pulumi.Output[str]

    def __init__(self, name: str, given: str) -> None:
        super().__init__(Later(), name, {"given": given, "value": None})


config = pulumi.Config()
arguments = config.require_object("arguments")
late = config.get_object("late") or {}
for agent in arguments["agents"]:
    if isinstance(agent, dict) and agent["name"] in late:
        agent["host"] = Host(f"host-of-{agent['name']}", late[agent["name"]]).value

# The classes, as most users write them; the quickstart has dicts.
arguments["agents"] = [iofog.AgentArgs(**each) if isinstance(each, dict) else each for each in arguments["agents"]]
for key, kind in (("controller", iofog.ControllerArgs), ("auth", iofog.RegistryAuthArgs)):
    if arguments.get(key):
        arguments[key] = kind(**arguments[key])

image = iofog.OfflineImage("gateway", **arguments)
pulumi.export("catalog_item_id", image.catalog_item_id)
pulumi.export("agent_digests", image.agent_digests)
pulumi.export("images", image.images)
pulumi.export("pending_agents", image.pending_agents)
pulumi.export("engines", image.engines)
