"""A team's own rules about its images: where they come from, and that a canary is always among the agents."""

import pulumi

import pulumi_iofog as iofog

REGISTRY = "registry.example/plant"


def images_of(version: str, agents: list[str]) -> iofog.OfflineImageSet:
    if not any(agent.startswith("canary-") for agent in agents):
        raise ValueError("no canary among the agents")
    fleet = iofog.OfflineImageSet(
        "plant",
        images={name: {"x86": f"{REGISTRY}/{name}:{version}"} for name in ("gateway", "reader")},
        agents=agents,
        max_unavailable=1,
    )
    gateway = fleet.images["gateway"]
    pulumi.export("gateway", gateway.catalog_item_id.apply(lambda id_: f"catalog item {id_}"))
    return fleet
