"""Many hosts at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bench import baselines
from bench.measure import MB, Findings, Target, megabytes, ratio, sending, times
from bench.site import PROVIDER, Site, sampled, timed
from lab import Host, HostSpec

FOUR = [HostSpec(f"four-{number}", "docker", nice=19) for number in range(1, 5)]
"""Their engines give way, as hosts that are machines of their own do not take the sender's processor."""
FLEET = [HostSpec(f"fleet-{number}", "docker") for number in range(1, 33)]
ROUNDS = 3
RATE = "100mbit"
FLEET_RATE, UPLINK_RATE, UPLINK = "20mbit", "200mbit", 200 * MB // 8
"""Of each host's link, and of the uplink that they share, there in bytes a second too."""
MEMORY = 150


def four(site: Site) -> Findings:
    """Four hosts, unshaped: whether the sender keeps up with four OpenSSH clients."""
    hosts = site.hosts(FOUR)
    rounds = sorted((_four(site, hosts) for _ in range(ROUNDS)), key=lambda each: each.targets[0].value)
    site.clean(hosts)
    loads = baselines.send_and_load(site, hosts, "v1")
    found = rounds[ROUNDS // 2]
    notes = [*found.notes, f"of {ROUNDS} rounds, the middle one: {', '.join(r.targets[0].got for r in rounds)}"]
    most_requests = max((each.targets[1] for each in rounds), key=lambda target: target.value)
    return replace(found, measures=[*found.measures, loads], targets=[found.targets[0], most_requests], notes=notes)


def _four(site: Site, hosts: Sequence[Host]) -> Findings:
    """One round: two seconds of sending are too short for one to be enough."""
    site.clean(hosts)
    image, reference = site.push("v1")
    cats = baselines.link(site, hosts, image.blobs())
    pulls = site.pulls()
    with sampled(hosts) as samples:
        ours, _ = site.up(site.deployment(), hosts, reference, pool=4)
    window = sending(samples, ours.sent or 0)
    # In gzip bytes on both sides, so that what is packed better does not count as slower.
    rate, floor = ratio(0.96 * len(hosts) * image.size, window), len(hosts) * image.size / cats.seconds
    notes = [f"{rate / MB:.0f} MB/s in the {window:.1f} s that 96 % of the bytes took; four cats {floor / MB:.0f} MB/s"]
    targets = [
        times("throughput while sending ÷ four cats", rate, floor, 0.8, at_least=True),
        Target("requests to the registry for one blob", pulls.most(), 1, ""),
    ]
    return Findings([ours, cats], targets, notes, len(hosts))


def four_shaped(site: Site) -> Findings:
    """Four hosts on links of their own: the first transfer, then another application."""
    hosts = site.hosts(FOUR)
    (image, first), (_, second) = site.push("v1"), site.push("v2")
    for host in hosts:
        host.set_rate(RATE)
    cats = baselines.link(site, hosts, image.blobs())
    deployment = site.deployment()
    ours, _ = site.up(deployment, hosts, first, pool=4)
    changed, _ = site.up(deployment, hosts, second, pool=4)
    site.clean(hosts)
    loads = baselines.send_and_load(site, hosts, "v1")
    measures = [ours, replace(changed, way=f"{changed.way}: v1→v2"), cats, loads]
    target = times("seconds ÷ the quickest other way", ours.seconds, loads.seconds, 1)
    return Findings(measures, [target], hosts=len(hosts))


def shared(site: Site) -> Findings:
    """Two ``up`` at the same time, of two processes with one cache: v1 and v2, which differ in the application,
    onto the same hosts."""
    hosts = site.hosts(FOUR[:2])
    names = ("v1", "v2")
    pushed = [site.push(name) for name in names]
    together = {layer.digest: layer.size for image, _ in pushed for layer in image.layers}
    deployments = site.deployments(len(names))
    pulls = site.pulls()

    def both() -> None:
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda each: site.up(each[0], hosts, each[1][1]), zip(deployments, pushed, strict=True)))

    ours = timed(PROVIDER, hosts, both)
    allowed = len(hosts) * (1.05 * sum(together.values()) + 64_000)
    targets = [
        times("bytes ÷ (1.05 × the blobs of both, once each, + 64 KB)", ours.sent or 0, allowed, 1),
        Target("requests to the registry for one blob", pulls.most(), 1, ""),
    ]
    return Findings([ours], targets, hosts=len(hosts))


def fleet(site: Site) -> Findings:
    """32 hosts, each on a slow link, all at once behind one uplink; then another application."""
    hosts = site.hosts(FLEET)
    (image, first), (_, second) = site.push("fleet-180mb"), site.push("fleet-180mb-2")
    deployment, pulls = site.deployment(), site.pulls()
    site.lab.network.set_rate(UPLINK_RATE)
    for host in hosts:
        host.set_rate(FLEET_RATE)
    try:
        cats = baselines.link(site, hosts, image.blobs())
        ours, answer = site.up(deployment, hosts, first, pool=len(hosts))
        changed, second_answer = site.up(deployment, hosts, second, pool=len(hosts))
    finally:
        site.lab.network.set_rate(None)
    targets = [
        times("seconds ÷ what the uplink takes for the bytes", ours.seconds, (ours.sent or 0) / UPLINK, 1.1),
        megabytes("memory over idle", max(answer.grown, second_answer.grown), MEMORY),
        Target("requests to the registry for one blob", pulls.most(), 1, ""),
    ]
    notes = [f"{len(hosts)} times sshd and dockerd, {image.size / MB:.0f} MB each, all at once"]
    measures = [ours, replace(changed, way=f"{changed.way}: another application"), cats]
    return Findings(measures, targets, notes, len(hosts))
