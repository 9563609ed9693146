"""The document that iofogctl deploys, deployed by Pulumi: same fields, same namespace files."""

import pulumi

import pulumi_iofog as iofog

config = pulumi.Config()

# Arguments override what the document says: here, other agents for this stack.
overrides = {"agents": agents} if (agents := config.get_object("agents")) else {}
gateway = iofog.OfflineImage.from_yaml("gateway.yaml", **overrides)

pulumi.export("catalog_item_id", gateway.catalog_item_id)
