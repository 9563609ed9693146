"""``python -m lab.soak``: updates, one after the other, of eight hosts of all engines, while things break at random.

    SOAK_SECONDS=2400   how long (default two minutes)
    SOAK_SEED=…         which faults, on whom, and when; printed, so that a run can be had again

A cycle is an ``up`` to a new version, on hosts one of which may have been emptied, and a fault while it runs. It may
succeed, or fail and say so. Every few cycles, and at the end, an update without a fault must succeed; then catalog,
state and hosts must agree, and nothing may be left on either side. One plugin process does all of it, as far as it is
not killed itself: what it holds (threads, descriptors, memory) may not grow.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import faults, images, leftovers, proof
from lab.controller import ControllerStandIn
from lab.controller.server import EMAIL, PASSWORD
from lab.engines import EngineKind
from lab.host import Host, HostSpec
from lab.lab import Lab
from lab.plugin import Operator
from lab.shell import wait_for

ENGINES: tuple[EngineKind, ...] = ("docker", "docker29", "podman", "edgelet")
HOSTS = tuple(HostSpec(f"{engine}-{number}", engine) for engine in ENGINES for number in (1, 2))
CHECKED_EVERY = 6
"""Cycles."""
LARGEST_GROWTH = 60_000_000
"""Bytes that the plugin's memory may have grown by, from the second sound point on: its allocator keeps what it has
used at once, which is more the more hosts were at work at one time."""
SPOOLS = "find /home -name 'image-*' "
OLD_SPOOLS = SPOOLS + "-mtime +7"
WITHIN = 4.0
"""Seconds after the beginning of an update in which its fault comes."""


class Unsound(Exception):
    """Something is wrong after an update that has succeeded."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds; memory in bytes."""

    threads: int
    descriptors: int
    memory: int

    @classmethod
    def of(cls, pid: int) -> Held:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return cls(int(status["Threads"]), descriptors, int(status["VmRSS"].split()[0]) * 1024)

    def __str__(self) -> str:
        return f"{self.threads} threads, {self.descriptors} descriptors, {self.memory / 1e6:.0f} MB"


def main() -> int:
    """Soak; the exit code."""
    seconds = float(os.environ.get("SOAK_SECONDS", "120"))
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"SOAK_SEED={seed} SOAK_SECONDS={seconds:.0f}", flush=True)
    with (
        Lab.start(HOSTS, name="soak") as lab,
        tempfile.TemporaryDirectory() as name,
        ControllerStandIn(state=Path(name) / "controller.json") as controller,
    ):
        soak = Soak(lab, controller, Path(name), random.Random(seed))
        try:
            soak.run(seconds)
        except Unsound as problem:
            print(f"UNSOUND after {soak.cycles} cycles, SOAK_SEED={seed}: {problem}", file=sys.stderr)
            return 1
        finally:
            soak.operator.end()
            soak.registry.kill()
    print(f"sound: {soak.cycles} cycles; {soak.summary()}")
    return 0


class Soak:
    """See the module."""

    def __init__(self, lab: Lab, controller: ControllerStandIn, folder: Path, chance: random.Random) -> None:
        self.lab, self.controller, self.chance, self.cycles = lab, controller, chance, 0
        config = {"iofog:endpoint": controller.endpoint, "iofog:email": EMAIL, "iofog:password": PASSWORD}
        self.operator = Operator(folder / "operator", config, keeps=True)
        self.registry = faults.MortalRegistry(folder / "registry", lab.registry.folder)
        self._folder, self.version = folder, 0
        self._push()
        self.struck: Counter[str] = Counter()
        self.failed = 0
        self._family: set[int] = set()
        self._first: tuple[int, Held] | None = None
        """The plugin's process, and what it held at its first sound point."""
        self._sound_points = 0

    def run(self, seconds: float) -> None:
        """Cycles for that long, and a sound end. Raises Unsound."""
        ends = time.monotonic() + seconds
        self.check()
        while time.monotonic() < ends:
            self.cycle()
            if self.cycles % CHECKED_EVERY == 0:
                self.check()
        self.check()

    def summary(self) -> str:
        """What has been done to whom, and what came of it."""
        kinds = ", ".join(f"{count} × {name}" for name, count in sorted(self.struck.items()))
        return f"{self.failed} updates failed and said so; faults: {kinds}"

    def cycle(self) -> None:
        """One update, with a fault at a random moment."""
        self.cycles += 1
        self._push()
        fault, host, moment = self.chance.choice(FAULTS), self._any_host(), self.chance.uniform(0, WITHIN)
        emptied = self._any_host()
        if self.chance.random() < 0.5:
            proof.empty(emptied)
        with self._striking(fault, host, moment):
            done = self.operator.up(self._wanted())
        if fault in LAST:
            self.operator.end()
        self.failed += not done.ok
        said = "ok" if done.ok else f"failed: {done.output.splitlines()[-1][:150]}"
        print(f"{self.cycles:4} {fault.__name__} ({host.name}) after {moment:.1f} s: {said}", flush=True)
        if "Traceback" in done.output:
            raise Unsound(done.output)
        if done.ok:
            self._prove_holds()

    @contextmanager
    def _striking(self, fault: Callable[[Soak, Host], None], host: Host, moment: float) -> Iterator[None]:
        """While the body runs, the fault comes and passes; it has passed at the end."""
        over, problems = threading.Event(), list[BaseException]()

        def strike() -> None:
            if over.wait(moment):
                return
            self.struck[fault.__name__] += 1
            try:
                fault(self, host)
            except Exception as problem:
                problems.append(problem)

        thread = threading.Thread(target=strike)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if problems:
            raise problems[0]

    def _any_host(self) -> Host:
        return self.lab.hosts[self.chance.choice(sorted(self.lab.hosts))]

    def _push(self) -> None:
        """A new version of the application; its two lower layers stay as they are."""
        self.version += 1
        layout = images.build(self._folder / "images", str(self.version), platforms=["amd64"])
        self.lab.registry.push(layout, f"soak:{self.version}")
        shutil.rmtree(layout)

    # ---- sound points ---------------------------------------------------------------------------------

    def check(self) -> None:
        """An update without a fault; then all must agree. Raises Unsound."""
        done = self.operator.up(self._wanted())
        if not done.ok:
            raise Unsound(f"an update without a fault has failed: {done.output}")
        self._prove_holds()
        self._forget_older()
        self._prove_catalog()
        self._prove_nothing_left()
        self._prove_no_growth()

    def _wanted(self) -> dict[str, Any]:
        agents = [host.agent(self.lab.known_hosts_file) for host in self.lab.hosts.values()]
        return {"name": "soak", "x86": self._image, "agents": agents, "transfer_pool": 4}

    @property
    def _image(self) -> str:
        return f"{self.registry.address}/soak:{self.version}"

    def _prove_holds(self) -> None:
        lacking = [host.name for host in self.lab.hosts.values() if not proof.can_create(host, self._image)]
        if lacking:
            raise Unsound(f"reported as updated, without {self._image}: {lacking}")

    def _forget_older(self) -> None:
        """As people do by hand: what failed updates have brought is in no state, so ``prune`` does not know it."""
        for host in self.lab.hosts.values():
            for name in host.engine.images(host):
                if name != self._image:
                    host.engine.forget(host, name)

    def _prove_catalog(self) -> None:
        items = [each for each in self.controller.api.state["items"].values() if each["name"] == "soak"]
        named = [[each["containerImage"] for each in item["images"] if each["containerImage"]] for item in items]
        ids = [str(item["id"]) for item in items]
        state = self.operator.state
        if named != [[self._image]] or state is None or ids != [state["id"]] or state["outputs"]["pending_agents"]:
            raise Unsound(f"catalog: {named}, {ids}; state: {state and (state['id'], state['outputs'])}")

    def _prove_nothing_left(self) -> None:
        plugin = self.operator.plugin
        hosts, state = self.lab.hosts.values(), self.operator.state
        current = state["outputs"]["images"]["x86"]["digest"].partition(":")[2] if state else ""

        def look() -> list[str]:
            there = [line for host in hosts for line in leftovers.on_host(host, [self._image])]
            there = [line for line in there if "/image-" not in line or current in line]
            old = [f"{host.name}: {each}" for host in hosts for each in host.run(OLD_SPOOLS).split()]
            return there + old + leftovers.at_operator(self.operator, self._family - set(plugin.family()))

        if not wait_for(lambda: not look(), 20):
            raise Unsound("left behind: " + "; ".join(look()))
        self._family |= set(plugin.family())
        # What failed updates to other versions have left is kept for a week, to be gone on with: that is over now.
        for host in hosts:
            host.run(SPOOLS + "-exec touch -d '8 days ago' {} +")

    def _prove_no_growth(self) -> None:
        pid = self.operator.plugin.pid
        held = Held.of(pid)
        print(f"     sound; the plugin holds {held}", flush=True)
        if self._first is None or self._first[0] != pid:
            self._first = (pid, held)
            return
        first = self._first[1]
        grown = held.memory - first.memory > LARGEST_GROWTH
        if grown or held.threads > first.threads + 8 or held.descriptors > first.descriptors + 16:
            raise Unsound(f"the plugin held {first}, and holds {held}")


# ---- faults --------------------------------------------------------------------------------------------


def nothing(soak: Soak, host: Host) -> None:
    """An update as it should be."""


def engine_killed(soak: Soak, host: Host) -> None:
    """It comes back at once."""
    faults.signal_engine(host, "KILL")
    if host.spec.engine != "podman":
        faults.start_engine(host)


def engine_frozen(soak: Soak, host: Host) -> None:
    """For some seconds."""
    faults.signal_engine(host, "STOP")
    time.sleep(3)
    faults.signal_engine(host, "CONT")


def sshd_killed(soak: Soak, host: Host) -> None:
    """With all sessions; it comes back at once."""
    faults.kill_sshd(host)
    host.start_sshd()


def power_lost(soak: Soak, host: Host) -> None:
    """And comes back."""
    faults.lose_power(host)
    faults.return_power(host)


def link_cut(soak: Soak, host: Host) -> None:
    """For some seconds."""
    host.cut()
    time.sleep(3)
    host.restore()


def link_slow(soak: Soak, host: Host) -> None:
    """For some seconds."""
    host.set_rate("2mbit")
    time.sleep(5)
    host.set_rate(None)


def plugin_killed(soak: Soak, host: Host) -> None:
    """As ``kill -9``; the next update has another one."""
    soak.operator.plugin.kill()


def cancelled(soak: Soak, host: Host) -> None:
    """Ctrl-C, once: the process ends with the command."""
    soak.operator.plugin.cancel()


def registry_killed(soak: Soak, host: Host) -> None:
    """It comes back after a second."""
    soak.registry.kill()
    time.sleep(1)
    soak.registry.start()


def answers_lost(soak: Soak, host: Host) -> None:
    """The Controller's next two."""
    soak.controller.drop_next(times=2)


def token_expired(soak: Soak, host: Host) -> None:
    """All that were given out."""
    with soak.controller.lock:
        soak.controller.api.expire_tokens()


FAULTS: tuple[Callable[[Soak, Host], None], ...] = (
    nothing,
    engine_killed,
    engine_frozen,
    sshd_killed,
    power_lost,
    link_cut,
    link_slow,
    plugin_killed,
    cancelled,
    registry_killed,
    answers_lost,
    token_expired,
)

LAST = (plugin_killed, cancelled)
"""With these, the process ends."""

if __name__ == "__main__":
    sys.exit(main())
