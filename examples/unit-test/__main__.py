"""What is tested is in fleet.py, which the tests import."""

import pulumi
from fleet import images_of

config = pulumi.Config()
fleet = images_of(config.require("version"), config.require_object("agents"))
pulumi.export("catalog_item_ids", fleet.catalog_item_ids)
