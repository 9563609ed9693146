"""The version that all agents run, and next to it the coming one on the first rings.

Microservices are made from the catalog item `gateway`. The next version has its own item, `gateway-next`, so that it
can be tried on the first rings; when `gateway` gets it, the hosts already hold it and nothing is sent.

The canaries must be there. As many hosts as the later rings have may be down: they are listed as pending, and get the
version from a later `pulumi up`.
"""

import pulumi

import pulumi_iofog as iofog

config = pulumi.Config()
rings = config.require_object("rings")  # a list of lists of agents, the canaries first
everybody = [agent for ring in rings for agent in ring]

gateway = iofog.OfflineImage(
    "gateway",
    x86=config.require("current"),
    agents=everybody,
    max_unavailable=len(everybody) - len(rings[0]),
)
pulumi.export("catalog_item_id", gateway.catalog_item_id)
pulumi.export("pending_agents", gateway.pending_agents)

if config.get("next"):
    reached = [agent for ring in rings[: config.require_int("reached")] for agent in ring]
    next_one = iofog.OfflineImage(
        "gateway-next",
        x86=config.require("next"),
        agents=reached,
        max_unavailable=len(reached) - len(rings[0]),
    )
    pulumi.export("next_catalog_item_id", next_one.catalog_item_id)
    pulumi.export("next_agents", next_one.agent_digests.apply(sorted))
    pulumi.export("next_pending_agents", next_one.pending_agents)
