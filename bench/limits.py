"""What must stay small: an update without a change, memory, and what a bad link costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench import baselines
from bench.first import DOCKER
from bench.many import MEMORY
from bench.measure import MB, Findings, Measure, Target, megabytes, ratio, times
from bench.provider import Answer, ProviderFailed
from bench.site import PROVIDER, Site, received, timed
from lab import Host

LOOPBACK = "127.0.0.1"


# ---- no change -------------------------------------------------------------------------------------------


def no_change(site: Site) -> Findings:
    """``up`` again, on a real host."""
    host = site.host(DOCKER)
    _, reference = site.push("v1")
    deployment = site.deployment()
    site.up(deployment, [host], reference)
    host.set_rate("100mbit")
    ours, answer = site.up(deployment, [host], reference)
    targets = [_connections(answer), Target("seconds", ours.seconds, 0.3, "s")]
    return Findings([ours, baselines.sign_in(site, host)], targets)


def no_change_many(site: Site, agents: int = 100) -> Findings:
    """``up`` again with agents that are not there, as none may be asked for."""
    _, reference = site.push("v1")
    template = site.agents([site.host(DOCKER)])[0]
    addresses = [site.lab.network.address(2000 + number) for number in range(agents)]
    entries = [{**template, "name": f"edge-{address}".replace(".", "-"), "host": address} for address in addresses]
    deployment = site.deployment()
    deployment.up(reference, entries, bring=False)
    answer = deployment.up(reference, entries)
    targets = [_connections(answer), Target("seconds", answer.seconds, 0.3, "s")]
    return Findings([Measure(PROVIDER, answer.seconds)], targets, hosts=agents)


def _connections(answer: Answer) -> Target:
    return Target("agents contacted", len([a for a in answer.contacted if a != LOOPBACK]), 0, "")


# ---- rate limits ----------------------------------------------------------------------------------------


def rate_limit(site: Site, limit: int = 8 * MB) -> Findings:
    """``iofog:rateLimit``, on an unshaped link."""
    host = site.host(DOCKER)
    image, reference = site.push("blob-100mb")
    ours, _ = site.up(site.deployment(rateLimit=f"{limit // MB}MB"), [host], reference)
    link = baselines.link(site, [host], image.blobs())
    # Signing in and loading are in the seconds: the true rate is somewhat higher.
    target = times("bytes ÷ seconds ÷ limit", ratio(ours.sent or 0, ours.seconds), limit, 1.05)
    return Findings([ours, link], [target])


# ---- memory ----------------------------------------------------------------------------------------------


def memory(name: str) -> Callable[[Site], Findings]:
    """A large image, unshaped."""

    def run(site: Site) -> Findings:
        host = site.host(DOCKER)
        image, reference = site.push(name)
        link = baselines.link(site, [host], image.blobs())
        ours, answer = site.up(site.deployment(), [host], reference)
        site.clean([host])
        notes = [f"{image.plain_size / MB:.0f} MB plain, {image.size / MB:.0f} MB gzip"]
        if answer.child_peak:
            notes.append(f"the largest process that it started: {answer.child_peak / MB:.0f} MB")
        return Findings([ours, link], [megabytes("memory over idle", answer.grown, MEMORY)], notes)

    return run


# ---- a link that drops -----------------------------------------------------------------------------------

END_SESSIONS = """for each in /proc/[0-9]*; do
case "$(tr '\\0' ' ' < $each/cmdline)" in "sshd: {user}"*) kill -9 "${{each#/proc/}}" ;; esac
done 2>/dev/null; true"""


@dataclass(frozen=True, slots=True)
class Drop:
    """One interruption.

    Attributes:
        at: bytes received, of the whole transfer, when it happens.
        seconds: how long it lasts.
        reset: the host has lost the connection when it is back (a reboot of a router); otherwise only silence.
    """

    at: float
    seconds: float
    reset: bool


DROPS = (Drop(80 * MB, 2, True), Drop(85 * MB, 40, False), Drop(90 * MB, 2, True), Drop(95 * MB, 2, True))
RUNS = len(DROPS) + 2
"""An update that gives up is started again, as its user would; at most so often."""


def drops(site: Site) -> Findings:
    """A blob of 100 MB over a link that drops four times."""
    host = site.host(DOCKER)
    host.set_rate("100mbit")
    image, reference = site.push("blob-100mb")
    link = baselines.link(site, [host], image.blobs(), "without a drop")
    with _dropping(host) as happened:
        runs: list[str] = []
        ours = timed(PROVIDER, [host], lambda: runs.extend(_until_done(site, host, reference)))
    again = (ours.sent or 0) - (link.sent or 0)
    notes = [f"{len(happened)} drops: " + ", ".join(f"{drop.at / MB:.0f} MB, {drop.seconds:g} s" for drop in happened)]
    notes += [f"run {number} gave up: {why}" for number, why in enumerate(runs, 1)]
    targets = [
        megabytes("sent again", again, 1),
        Target("drops that happened", len(happened), len(DROPS), "", at_least=True),
        Target("runs that gave up", len(runs), 0, ""),
    ]
    return Findings([ours, link], targets, notes)


def _until_done(site: Site, host: Host, reference: str) -> Iterator[str]:
    """Run until it is done; why each run gave up."""
    deployment = site.deployment()
    for number in range(1, RUNS + 1):
        try:
            site.up(deployment, [host], reference)
            return
        except ProviderFailed as problem:
            if number == RUNS:
                raise
            yield str(problem)


@contextmanager
def _dropping(host: Host) -> Iterator[list[Drop]]:
    """Let the DROPS happen while the body runs; they are noted as they do. The link is up afterwards."""
    happened: list[Drop] = []
    before, ended = received([host]), threading.Event()

    def watch() -> None:
        for drop in DROPS:
            while received([host]) - before < drop.at:
                if ended.wait(0.005):
                    return
            host.cut()
            if drop.reset:
                host.run(END_SESSIONS.format(user=host.user))
            time.sleep(drop.seconds)
            host.restore()
            happened.append(drop)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield happened
    finally:
        ended.set()
        thread.join()
        host.restore()
