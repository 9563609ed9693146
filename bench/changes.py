"""A host that holds v1 gets another version: only what changed may travel."""

from __future__ import annotations

from collections.abc import Callable

from bench import baselines
from bench.first import DOCKER
from bench.images import Image
from bench.measure import Findings, Measure, Target, percent, times
from bench.provider import Deployment
from bench.site import Site
from lab import Host, HostSpec, proof

PODMAN = HostSpec("edge-podman", "podman")
DOCKER_29 = HostSpec("edge-docker29", "docker29")
EDGELET = HostSpec("edge-edgelet", "edgelet")
RATE = "100mbit"


def application(*, spec: HostSpec = DOCKER, loaded: bool = False, rate: str = RATE) -> Callable[[Site], Findings]:
    """v2, in which the application layer is another.

    Args:
        loaded: v1 came by the engine's own load, and the provider has never seen it.
    """

    def run(site: Site) -> Findings:
        host = site.host(spec)
        ours, old, new = _change(site, host, "v2", rate, loaded=loaded)
        blobs = new.blobs(besides=old)
        link = baselines.link(site, [host], blobs, "what changed")
        others = [_again(site, host, "v2", lambda: baselines.engine(site, host, "v2", held="v1"))]
        floor = link.seconds + others[0].seconds
        if host.cli == "docker":
            pipe = _again(site, host, "v2", lambda: baselines.save_pipe(site, host, "v2", packed=True))
            others.append(pipe)
        allowed = 1.05 * sum(blob.stat().st_size for blob in blobs) + 64_000
        targets = [
            times("seconds ÷ (link + engine for what changed)", ours.seconds, floor, 2),
            times("bytes ÷ (1.05 × changed blobs + 64 KB)", ours.sent or 0, allowed, 1),
        ]
        return Findings([ours, link, *others], targets)

    return run


def inside_a_layer(name: str, limit: float, spec: HostSpec) -> Callable[[Site], Findings]:
    """v3, v4 or v5, in which part of a large layer is another.

    Args:
        limit: of the bytes, in percent of the changed layer's gzip blob.
    """

    def run(site: Site) -> Findings:
        host = site.host(spec)
        ours, old, new = _change(site, host, name, RATE)
        (changed,) = (layer for layer in new.layers if layer not in old.layers)
        link = baselines.link(site, [host], new.blobs(besides=old), "what changed")
        way = (lambda: baselines.save_pipe(site, host, name, packed=True)) if spec is DOCKER else None
        others = [_again(site, host, name, way)] if way else []
        target: Target = percent("bytes of the changed layer's gzip blob", ours.sent or 0, changed.size, limit)
        return Findings([ours, link, *others], [target])

    return run


def _change(site: Site, host: Host, name: str, rate: str, *, loaded: bool = False) -> tuple[Measure, Image, Image]:
    """The provider's measure from v1, which came unshaped, to another version at a rate; both images."""
    (old, before), (new, after) = site.push("v1"), site.push(name)
    deployment: Deployment = site.deployment()
    if loaded:
        host.run(f"{host.cli} load < {site.archive_on(host, 'v1')}")
    else:
        site.up(deployment, [host], before)
    host.set_rate(rate)
    ours, _ = site.up(deployment, [host], after)
    return ours, old, new


def _again(site: Site, host: Host, name: str, action: Callable[[], Measure]) -> Measure:
    """The same by another way, on a host that holds v1 only."""
    proof.forget(host, site.push(name)[1])
    return action()
