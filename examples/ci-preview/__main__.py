"""One image on a few edge hosts, and the catalog item that microservices are made from."""

import pulumi

import pulumi_iofog as iofog

config = pulumi.Config()

gateway = iofog.OfflineImage(
    "gateway",
    x86=config.require("image"),
    agents=config.require_object("agents"),
)

pulumi.export("catalog_item_id", gateway.catalog_item_id)
pulumi.export("agent_digests", gateway.agent_digests)
