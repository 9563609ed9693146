"""The lab as the cases see it: hosts on demand, images pushed once, and everything clean before each case."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from bench import archives, images
from bench.measure import Measure
from bench.provider import Answer, Deployment
from lab import Host, HostSpec, Lab, proof
from lab.controller_process import EMAIL, PASSWORD

SAMPLE_EVERY = 0.02
"""Seconds between two looks at the counters."""
PROVIDER = "pulumi-iofog"


class Site:
    """See the module. ``folder`` is for what the cases write on the operator's side."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.folder = lab, lab.folder / "bench"
        self._pushed: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self.folder.mkdir()

    # ---- hosts ------------------------------------------------------------------------------------------

    def host(self, spec: HostSpec) -> Host:
        return self.hosts([spec])[0]

    def hosts(self, specs: Sequence[HostSpec]) -> list[Host]:
        """These hosts, each with a disk of its own, started if they do not run yet, without images, remains and
        shaping."""
        self.lab.up([replace(spec, own_disk=True) for spec in specs])
        found = [self.lab.hosts[spec.name] for spec in specs]
        for host in found:
            host.set_rate(None)
        self.clean(found)
        return found

    def clean(self, hosts: Sequence[Host]) -> None:
        """No image, nothing in the spool, no file of an earlier case; the link stays as it is. Nothing is still on
        its way to the disks afterwards."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(_clean, hosts))
        os.sync()

    def agents(self, hosts: Sequence[Host]) -> list[dict[str, str]]:
        """As the resource's ``agents``; the architecture is given, so that check need not ask them."""
        return [{**host.agent(self.lab.known_hosts_file), "arch": "x86"} for host in hosts]

    # ---- images -----------------------------------------------------------------------------------------

    def push(self, name: str) -> tuple[images.Image, str]:
        """An image and its reference in the registry."""
        image = images.image(name)
        if name not in self._pushed:
            self._pushed[name] = self.lab.registry.push(image.layout, f"bench:{name}")
        return image, self._pushed[name]

    def archive_on(self, host: Host, name: str, *, held: str | None = None) -> str:
        """Put an image's archive onto a host, past its link; its path there."""
        image, reference = self.push(name)
        target = host.folder / "run/bench" / f"{name}.tar"
        target.parent.mkdir(exist_ok=True)
        archives.archive(image, target, reference, held=images.image(held) if held else None)
        return f"/run/bench/{name}.tar"

    def require(self, hosts: Sequence[Host], reference: str) -> None:
        """Every host can create a container of the image, asked without the provider."""
        for host in hosts:
            if not proof.can_create(host, reference):
                raise RuntimeError(f"{host.name}: no container of {reference} can be created")

    # ---- the provider -----------------------------------------------------------------------------------

    def deployment(self, **config: str) -> Deployment:
        """A new resource, with an empty cache; ``config``: more of the stack's, without ``iofog:``."""
        (made,) = self.deployments(1, **config)
        return made

    def deployments(self, count: int, **config: str) -> list[Deployment]:
        """New resources that share an empty cache."""
        own = {"endpoint": self._endpoint, "email": EMAIL, "password": PASSWORD, **config}
        number = next(self._numbers)
        return [
            Deployment(
                self.folder / f"deployment-{number}",
                f"bench-{number}-{each}",
                {f"iofog:{key}": value for key, value in own.items()},
            )
            for each in range(count)
        ]

    def up(
        self, deployment: Deployment, hosts: Sequence[Host], reference: str, *, pool: int = 2
    ) -> tuple[Measure, Answer]:
        """Bring an image by the provider, and prove on the hosts that it is there."""
        before = received(hosts)
        answer = deployment.up(reference, self.agents(hosts), pool=pool)
        measure = Measure(PROVIDER, answer.seconds, received(hosts) - before)
        self.require(hosts, reference)
        return measure, answer

    def pulls(self) -> PullCount:
        """Counts what is pulled from the registry from now on."""
        return PullCount(self.lab.registry.folder / "registry.log")

    @cached_property
    def _endpoint(self) -> str:
        return self.lab.controller().endpoint

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder that is gone afterwards."""
        folder = self.folder / f"scratch-{next(self._numbers)}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def _clean(host: Host) -> None:
    proof.empty(host)
    host.run("rm -rf ~edge/.cache ~edge/bench.tar /run/bench")


def received(hosts: Sequence[Host]) -> int:
    """Bytes that the hosts' interfaces have received so far, all together."""
    return sum(host.counters().received for host in hosts)


def timed(way: str, hosts: Sequence[Host], action: Callable[[], object]) -> Measure:
    """Do it, and say how long it took and what the hosts have received meanwhile."""
    before, began = received(hosts), time.monotonic()
    action()
    return Measure(way, time.monotonic() - began, received(hosts) - before)


@contextmanager
def sampled(hosts: Sequence[Host]) -> Iterator[list[tuple[float, int]]]:
    """Fills a list with (seconds, bytes received by all hosts so far) while the body runs."""
    samples: list[tuple[float, int]] = []
    before, ended = received(hosts), threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_EVERY):
            samples.append((time.monotonic(), received(hosts) - before))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


class PullCount:
    """How often each blob was asked for, by the registry's own access log."""

    def __init__(self, log: Path) -> None:
        self._log, self._from = log, log.stat().st_size

    def most(self) -> int:
        """Requests for the blob that was asked for most often."""
        with self._log.open("rb") as file:
            file.seek(self._from)
            lines = [line.split() for line in file.read().decode(errors="replace").splitlines() if "/blobs/" in line]
        return max(Counter(line[6] for line in lines if '"GET' in line).values(), default=0)
