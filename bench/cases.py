"""The table of cases: name, what it is, and the function that measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import first, limits, many
from bench.changes import DOCKER_29, EDGELET, PODMAN, application, inside_a_layer
from bench.first import DOCKER, FAST, NO_ZSTD, SLOW
from bench.measure import Findings
from bench.site import Site


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table."""

    name: str
    title: str
    run: Callable[[Site], Findings]


AT = "100 Mbit/s"
CASES = (
    Case("first-100", f"first transfer, {AT}", first.shaped(FAST, 1.2)),
    Case("first-100-no-zstd", f"first transfer, {AT}, a host without zstd", first.shaped(FAST, 1.3, spec=NO_ZSTD)),
    Case("first-100-edgelet", f"first transfer, edgelet, {AT}", first.shaped(FAST, 1.2, spec=EDGELET)),
    Case("first-20", "first transfer, 20 Mbit/s", first.shaped(SLOW, 0.9)),
    Case("first-unshaped", "first transfer, unshaped", first.unshaped),
    Case("no-change", "no change", limits.no_change),
    Case("no-change-100", "no change, 100 agents", limits.no_change_many),
    Case("v2", f"the application changed, docker, {AT}", application()),
    Case("v2-loaded", f"the same, v1 came by docker load, {AT}", application(loaded=True)),
    Case("v2-podman", f"the application changed, podman, {AT}", application(spec=PODMAN)),
    Case("v2-docker29", f"the application changed, Docker 29, {AT}", application(spec=DOCKER_29)),
    Case("v2-edgelet", f"the application changed, edgelet, {AT}", application(spec=EDGELET)),
    Case("v2-20", "the application changed, docker, 20 Mbit/s", application(rate=SLOW)),
    Case("v3", f"libraries of the base changed, docker, {AT}", inside_a_layer("v3", 0.5, DOCKER)),
    Case("v3-docker29", f"libraries of the base changed, Docker 29, {AT}", inside_a_layer("v3", 0.7, DOCKER_29)),
    Case("v3-podman", f"libraries of the base changed, podman, {AT}", inside_a_layer("v3", 0.5, PODMAN)),
    Case("v3-edgelet", f"libraries of the base changed, edgelet, {AT}", inside_a_layer("v3", 0.5, EDGELET)),
    Case("v4", f"the base rebuilt, docker, {AT}", inside_a_layer("v4", 1, DOCKER)),
    Case("v4-docker29", f"the base rebuilt, Docker 29, {AT}", inside_a_layer("v4", 1, DOCKER_29)),
    Case("v4-podman", f"the base rebuilt, podman, {AT}", inside_a_layer("v4", 1, PODMAN)),
    Case("v4-edgelet", f"the base rebuilt, edgelet, {AT}", inside_a_layer("v4", 1, EDGELET)),
    Case("v5", f"dependencies upgraded, docker, {AT}", inside_a_layer("v5", 20, DOCKER)),
    Case("v5-docker29", f"dependencies upgraded, Docker 29, {AT}", inside_a_layer("v5", 35, DOCKER_29)),
    Case("v5-podman", f"dependencies upgraded, podman, {AT}", inside_a_layer("v5", 20, PODMAN)),
    Case("v5-edgelet", f"dependencies upgraded, edgelet, {AT}", inside_a_layer("v5", 20, EDGELET)),
    Case("four", "four hosts, unshaped, first transfer", many.four),
    Case("four-100", f"four hosts, {AT} each", many.four_shaped),
    Case("shared", "two images of two processes at the same time, unshaped", many.shared),
    Case("fleet", "32 hosts of 20 Mbit/s behind an uplink of 200 Mbit/s", many.fleet),
    Case("drops", f"a link of {AT} that drops from 80 % of a blob of 100 MB on", limits.drops),
    Case("rate-limit", "iofog:rateLimit 8 MB/s, unshaped", limits.rate_limit),
    Case("memory-300mb", "memory, an image of 300 MB", limits.memory("large-300mb")),
    Case("memory-3gb", "memory, an image of 3 GB", limits.memory("large-3gb")),
)
MAIN = ("first-100", "first-100-no-zstd", "first-20", "first-unshaped", "v2", "v3")
"""``python -m bench main``."""


def chosen(words: list[str]) -> list[Case]:
    """The cases of these names, ``main`` being some of them; all where there are none. KeyError for another."""
    names = [name for word in words for name in (MAIN if word == "main" else (word,))]
    known = {case.name: case for case in CASES}
    return [known[name] for name in names] if names else list(CASES)
