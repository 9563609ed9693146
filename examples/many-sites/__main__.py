"""Several images for the edge hosts of many sites, which are listed in a CSV file."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import pulumi

import pulumi_iofog as iofog

config = pulumi.Config()

with Path("sites.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))
site_of = {row["agent"]: row["site"] for row in rows}

fleet = iofog.OfflineImageSet(
    "plant",
    # One catalog item per image, however many sites: the key is the item's name.
    images={name: {"x86": reference} for name, reference in config.require_object("images").items()},
    agents=[
        iofog.AgentArgs(
            name=row["agent"],
            host=row["host"],
            user=row["user"],
            proxy_jump=row["jump"] or None,
            private_key_file=config.get("privateKeyFile"),
            known_hosts_file=config.get("knownHostsFile"),
        )
        for row in rows
    ],
    transfer_pool=8,
    # Some host is always down: it must not hold up the others; the next `pulumi up` tries it again.
    max_unavailable=config.get_int("maxUnavailable") or 1,
)


def by_site(pending: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    agents = sorted({agent for left in pending.values() for agent in left})
    return {site: [a for a in agents if site_of[a] == site] for site in sorted({site_of[a] for a in agents})}


pulumi.export("catalog_item_ids", fleet.catalog_item_ids)
pulumi.export("sites_to_look_at", fleet.pending_agents.apply(by_site))
