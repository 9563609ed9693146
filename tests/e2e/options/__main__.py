"""Resources with the options that the stack's config has: OfflineImages by their name, and one set."""

from typing import Any

import pulumi

import pulumi_iofog as iofog

config = pulumi.Config()
shared = config.require_object("shared")
made: dict[str, pulumi.Resource] = {}


def options(given: dict[str, Any]) -> pulumi.ResourceOptions:
    """Other resources are named in the config, as they are no values."""
    given = dict(given)
    if "depends_on" in given:
        given["depends_on"] = [made[name] for name in given["depends_on"]]
    if "aliases" in given:
        given["aliases"] = [pulumi.Alias(**alias) for alias in given["aliases"]]
    return pulumi.ResourceOptions(**given)


for name, arguments in (config.get_object("single") or {}).items():
    opts = options(arguments.pop("opts", {}))
    made[name] = iofog.OfflineImage(name, **{**shared, **arguments}, opts=opts)

images = config.get_object("images")
if images:
    fleet = iofog.OfflineImageSet("fleet", images=images, **shared, opts=options(config.get_object("opts") or {}))
    pulumi.export("catalog_item_ids", fleet.catalog_item_ids)
    pulumi.export("pending_agents", fleet.pending_agents)
