"""The first transfer: cold cache, the registry beside the operator, an engine that holds nothing."""

from __future__ import annotations

from collections.abc import Callable

from bench import baselines
from bench.measure import Findings, Measure, Target, quickest, times
from bench.site import Site
from lab import Host, HostSpec

DOCKER = HostSpec("edge-docker", "docker")
NO_ZSTD = HostSpec("edge-no-zstd", "docker", without=("zstd",))
FAST, SLOW = "100mbit", "20mbit"
ROUNDS = 2
"""What takes few seconds is done so often, and the quickest counts: another's work weighs much there."""


def shaped(rate: str, limit: float, *, spec: HostSpec = DOCKER) -> Callable[[Site], Findings]:
    """At a link's rate, against the link's floor.

    Args:
        limit: of seconds ÷ the seconds that the link takes for the gzip blobs.
    """

    def run(site: Site) -> Findings:
        host = site.host(spec)
        host.set_rate(rate)
        image, _ = site.push("v1")
        floor = baselines.link(site, [host], image.blobs())
        ours = quickest([_ours(site, host) for _ in range(ROUNDS)])
        others = [_cleanly(site, host, way) for way in _ways(site, host, rate)]
        target = times("seconds ÷ link alone", ours.seconds, floor.seconds, limit)
        return Findings([ours, floor, *others], [target], [f"provider: the quicker of {ROUNDS} rounds"])

    return run


def _ways(site: Site, host: Host, rate: str) -> list[Callable[[], Measure]]:
    """What is measured beside the provider: on a slow link only what is quickest there."""
    ways: list[Callable[[], Measure]] = []
    if host.spec.name == DOCKER.name:
        ways.append(lambda: baselines.save_pipe(site, host, "v1", packed=True))
    if rate == FAST:
        ways.append(lambda: baselines.send_and_load(site, [host], "v1"))
    if rate == FAST and host.spec.name == DOCKER.name:
        ways.append(lambda: baselines.save_pipe(site, host, "v1", packed=False))
        ways.append(lambda: baselines.copy_archive(site, host, "v1"))
    return ways


def unshaped(site: Site) -> Findings:
    """As fast as the machine can, against one archive sent and loaded, and against all other ways."""
    host = site.host(DOCKER)
    image, _ = site.push("v1")
    ours = quickest([_ours(site, host) for _ in range(ROUNDS)])
    one = quickest([_cleanly(site, host, lambda: baselines.send_and_load(site, [host], "v1")) for _ in range(ROUNDS)])
    others = [
        _cleanly(site, host, lambda: baselines.save_pipe(site, host, "v1", packed=True)),
        _cleanly(site, host, lambda: baselines.save_pipe(site, host, "v1", packed=False)),
        _cleanly(site, host, lambda: baselines.copy_archive(site, host, "v1")),
    ]
    floors = [
        baselines.link(site, [host], image.blobs()),
        _cleanly(site, host, lambda: baselines.engine(site, host, "v1")),
    ]
    targets: list[Target] = [
        times("seconds ÷ one archive sent and loaded", ours.seconds, one.seconds, 1.2),
        times("seconds ÷ the quickest other way", ours.seconds, quickest(others).seconds, 1.0),
    ]
    notes = [f"provider and archive: the quicker of {ROUNDS} rounds"]
    return Findings([ours, one, *others, *floors], targets, notes)


def _ours(site: Site, host: Host) -> Measure:
    _, reference = site.push("v1")
    return _cleanly(site, host, lambda: site.up(site.deployment(), [host], reference)[0])


def _cleanly(site: Site, host: Host, action: Callable[[], Measure]) -> Measure:
    site.clean([host])
    return action()
