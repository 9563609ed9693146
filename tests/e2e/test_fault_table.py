"""Faults at every stage of a real plugin process: nothing wrong is reported as right, nothing is left, the next update
finishes. docs/faults.md has them as a table; tests/e2e/test_killed.py has those that are Pulumi's own.

Where a stage's fault ends the run, the next stage's is the next run's, so that each run also finishes what the last one
has left; the last run is a whole one.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import Host, faults, leftovers, proof
from lab.controller import ControllerStandIn
from lab.controller.server import EMAIL, PASSWORD
from lab.crooked import Crooked
from lab.engines.docker import Docker
from lab.plugin import Done, Operator
from lab.shell import run, wait_for
from pulumi_iofog.oci.image import OCI_INDEX
from tests.e2e.site import Site
from tests.images import index_of, make_image, write_layout

ENGINES = ("docker", "docker29", "podman", "edgelet")
SECONDS = 150
"""More than any single run takes, on a busy machine."""

# Where a run is halted: a line of its log.
RESOLVE = r"request .*/manifests/"
ITEM = r"gateway item"
PULL = r"agent=\S+ download "
SEND = r"agent=\S+ send layer="
PROVE = r"agent=\S+ prove layer="
VERIFY = r"agent=\S+ load layers="
DONE = r"agent=\S+ done "
LOOK = r"request .*GET .*/catalog/microservices"
REGISTER = r"request status=201 .*POST .*/catalog/microservices"


class Scene:
    """An operator, a Controller of their own, and hosts; see the module."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self._folder, self._port = site, folder, 0
        self.start_controller()
        endpoint = self.controller.endpoint
        self._port = int(endpoint.rpartition(":")[2])
        config = {"iofog:endpoint": endpoint, "iofog:email": EMAIL, "iofog:password": PASSWORD}
        self.operator = Operator(folder / "operator", config)
        self.family: set[int] = set()
        self.wanted: dict[str, Any] = {}

    def start_controller(self) -> None:
        """With what it knew, and at the address that it had."""
        self.controller = ControllerStandIn(state=self._folder / "controller.json", port=self._port)
        self.controller.__enter__()

    def kill_controller(self) -> None:
        """With all its connections."""
        self.controller.__exit__()

    def want(self, hosts: Sequence[str], image: str, **more: Any) -> None:
        """What the runs are to bring."""
        agents = [self.site.agent(each) for each in hosts]
        self.wanted = {"name": self.site.repository, "x86": image, "agents": agents, "transfer_pool": 4, **more}

    @contextmanager
    def halted(self, *lines: str) -> Iterator[Callable[[], Done]]:
        """A run that has been halted at these lines, one after the other; what is given goes on, and to its end."""
        self.running = self.operator.begin(self.wanted, lines[0])
        plugin = self.operator.plugin
        assert plugin.halted(self.running.done), self.running.result(SECONDS)
        self.halt_next(*lines[1:])
        self.family |= set(plugin.family())

        def finish() -> Done:
            plugin.go()
            return self.running.result(SECONDS)

        yield finish
        finish()

    def halt_next(self, *lines: str) -> None:
        """Let it go on, to these lines one after the other."""
        for line in lines:
            self.operator.plugin.halt(line)
            self.operator.plugin.go()
            assert self.operator.plugin.halted(self.running.done), self.running.result(SECONDS)

    def items(self) -> list[dict[str, Any]]:
        return [each for each in self.controller.api.state["items"].values() if each["name"] == self.site.repository]

    def failed(self, done: Done, sees: str, *, made: bool = False) -> None:
        """It has failed, says why, and claims nothing."""
        assert not done.ok
        assert re.search(sees, done.output), done.output
        assert "Traceback" not in done.output
        assert len(self.items()) == int(made)

    def finish(self) -> None:
        """One more run does all that is left to do, and leaves nothing."""
        done = self.operator.up(self.wanted)
        assert done.ok, done.output
        self.proven()

    def proven(self, *also: str) -> None:
        """Catalog, state and hosts agree, and nothing is left on either side.

        Args:
            also: images that the hosts have besides.
        """
        self.operator.end()
        (item,), state = self.items(), self.operator.state
        assert state
        assert state["id"] == str(item["id"])
        image, names = self.wanted["x86"], [each["name"] for each in self.wanted["agents"]]
        assert [each["containerImage"] for each in item["images"] if each["containerImage"]] == [image]
        assert set(state["outputs"]["agent_digests"]) == set(names)
        assert state["outputs"]["pending_agents"] == []
        for name in names:
            host = self.site.host(name)
            assert proof.can_create(host, image), (name, proof.images(host), host.run(f"{host.cli} create {image}"))
        found = self._leftovers(image, *also)
        assert found == []

    def _leftovers(self, *images: str) -> list[str]:
        hosts = [self.site.host(each["name"]) for each in self.wanted["agents"]]

        def look() -> list[str]:
            there = [line for host in hosts for line in leftovers.on_host(host, images)]
            return there + leftovers.at_operator(self.operator, self.family)

        # A session's own end takes a moment.
        wait_for(lambda: not look(), 10)
        return look()


@pytest.fixture
def scene(site: Site, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(site, tmp_path)
    with scene.operator:
        yield scene
    scene.kill_controller()


# ---- the operator's processes --------------------------------------------------------------------------


def test_the_plugin_is_killed_at_each_stage(scene: Scene) -> None:
    scene.want(ENGINES, scene.site.push("1"))
    for stage in (RESOLVE, PULL, SEND, PROVE, VERIFY, REGISTER):
        with scene.halted(stage) as finish:
            scene.operator.plugin.kill()
            scene.failed(finish(), "UNAVAILABLE", made=stage == REGISTER)
            assert scene.operator.state is None
    scene.finish()


def test_the_plugin_is_killed_while_engines_load(scene: Scene) -> None:
    scene.want(["docker"], scene.site.push("1"))
    host = scene.site.host("docker")
    with scene.halted(PROVE) as finish:
        faults.signal_engine(host, "STOP")
        scene.operator.plugin.go()
        assert faults.wait_for_load(host)
        scene.operator.plugin.kill()
        faults.signal_engine(host, "CONT")
        scene.failed(finish(), "UNAVAILABLE")
    scene.finish()


def test_pulumi_is_killed(scene: Scene) -> None:
    """The plugin ends: while it sends, in order; where it is stuck, all the same."""
    scene.want(["docker", "podman"], scene.site.push("1"))
    for name in ("docker", "podman"):
        scene.site.host(name).set_rate("4mbit")
    for stage in (SEND, VERIFY):
        with scene.halted(stage) as finish:
            plugin = scene.operator.plugin
            plugin.abandon()
            if stage == SEND:
                plugin.go()
            assert plugin.ended(10)
            scene.failed(finish(), "UNAVAILABLE|interrupted")
        for name in ("docker", "podman"):
            scene.site.host(name).set_rate(None)
    scene.finish()


def test_ctrl_c_once_and_twice(scene: Scene) -> None:
    scene.want(["docker", "podman"], scene.site.push("1"), max_unavailable=2)
    with scene.halted(SEND) as finish:
        scene.operator.plugin.cancel()
        began = time.monotonic()
        scene.failed(finish(), "pulumi was interrupted")
        assert time.monotonic() - began < 10
    with scene.halted(SEND) as finish:
        plugin = scene.operator.plugin
        plugin.cancel()
        plugin.kill()
        scene.failed(finish(), "UNAVAILABLE")
    scene.finish()


# ---- edge hosts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENGINES)
def test_the_engine_is_killed_at_each_stage(scene: Scene, name: str) -> None:
    """podman has no daemon: what it is doing is killed."""
    scene.want([name], scene.site.push("1"))
    host = scene.site.host(name)
    for stage in (SEND, PROVE, VERIFY):
        if name == "podman" and stage != PROVE:
            continue
        with scene.halted(stage) as finish:
            if stage == PROVE:
                _kill_while_it_loads(scene, host)
            else:
                faults.signal_engine(host, "KILL")
            try:
                scene.failed(finish(), f"{name}: ")
            finally:
                if name != "podman":
                    faults.start_engine(host)
    scene.finish()


def _kill_while_it_loads(scene: Scene, host: Host) -> None:
    if host.spec.engine != "podman":
        faults.signal_engine(host, "STOP")
    scene.operator.plugin.go()
    assert faults.wait_for_load(host)
    faults.signal_engine(host, "KILL")


def test_sshd_is_killed_at_each_stage(scene: Scene) -> None:
    """The same run goes on once it is back."""
    scene.want(["docker"], scene.site.push("1"))
    host = scene.site.host("docker")
    with scene.halted(SEND) as finish:
        for following in (PROVE, VERIFY, ""):
            faults.kill_sshd(host)
            host.start_sshd()
            scene.halt_next(*filter(None, [following]))
        done = finish()
    assert done.ok, done.output
    scene.proven()


def test_power_is_lost(scene: Scene) -> None:
    """The end of what had been sent comes to the disk as zeros."""
    scene.want(["docker"], scene.site.push("1"))
    host = scene.site.host("docker")
    with scene.halted(r"send layer=.* bytes=[0-9]{7}") as finish:
        faults.lose_power(host)
        faults.return_power(host)
        done = finish()
    assert done.ok, done.output
    scene.proven()


def test_the_spool_s_disk_is_full(scene: Scene) -> None:
    scene.want(["docker"], scene.site.push("1"))
    host = scene.site.host("docker")
    host.run("install -d -o edge -g edge /home/edge/.cache")
    with faults.mounted(host, "/home/edge/.cache", f"size=40m,mode=700,uid={host.run('id -u edge').strip()}"):
        with scene.halted(SEND) as finish:
            host.run("cat /dev/zero > /home/edge/.cache/full 2>/dev/null || true")
            scene.failed(finish(), "docker: .*[Nn]o space left on device")
        host.run("rm /home/edge/.cache/full")
        scene.finish()


def test_the_engine_s_disk_is_full(scene: Scene) -> None:
    scene.want(["docker"], scene.site.push("1"))
    host = scene.site.host("docker")
    with faults.mounted(host, "/var/lib/docker/tmp", "size=1m"), scene.halted(PROVE) as finish:
        scene.failed(finish(), "docker: .*no space left on device")
    scene.finish()


def test_the_link_is_cut_and_stalls(scene: Scene) -> None:
    scene.want(["docker"], scene.site.push("1"))
    host = scene.site.host("docker")
    with scene.halted(SEND) as finish:
        host.cut()
        scene.operator.plugin.halt(VERIFY)
        scene.operator.plugin.go()
        time.sleep(3)
        host.restore()
        assert scene.operator.plugin.halted(scene.running.done)
        host.run("kill -s STOP $(pgrep -x sshd)")
        scene.operator.plugin.go()
        time.sleep(3)
        host.run("kill -s CONT $(pgrep -x sshd)")
        done = finish()
    assert done.ok, done.output
    scene.proven()


def test_a_link_of_64_kbit_s(scene: Scene, tmp_path: Path) -> None:
    made = make_image({"app": random.Random(1).randbytes(100_000)})
    layout = write_layout(tmp_path / "small", index_of(made, media_type=OCI_INDEX), OCI_INDEX, made)
    scene.want(["docker"], scene.site.lab.registry.push(layout, f"{scene.site.repository}:small"))
    host = scene.site.host("docker")
    host.set_rate("64kbit")
    try:
        done = scene.operator.up(scene.wanted)
    finally:
        host.set_rate(None)
    assert done.ok, done.output
    scene.proven()


def test_the_host_key_changes(scene: Scene) -> None:
    scene.want(["docker", "podman"], scene.site.push("1"))
    host = scene.site.host("docker")
    with faults.another_host_key(host):
        done = scene.operator.up(scene.wanted)
        scene.failed(done, "docker: .*host key")
        assert not proof.can_create(host, scene.wanted["x86"])
    scene.finish()


def test_the_store_is_another_one_in_the_next_run(scene: Scene) -> None:
    first, second = scene.site.push("1"), scene.site.push("2")
    host = scene.site.host("docker29")
    scene.want(["docker29"], first)
    with classic_store(host):
        scene.finish()
    # The state says that the image is there, and a refresh that it is not.
    assert scene.operator.refresh().ok
    assert scene.operator.state
    assert scene.operator.state["outputs"]["agent_digests"] == {"docker29": "missing"}
    scene.finish()
    with classic_store(host):
        scene.want(["docker29"], second)
        scene.finish()


@contextmanager
def classic_store(host: Host) -> Iterator[None]:
    """While the body runs, Docker 29 has the store that it had before."""
    assert isinstance(host.engine, Docker)
    host.stop_engine()
    host.engine.start(host, "--feature=containerd-snapshotter=false")
    try:
        yield
    finally:
        host.stop_engine()
        # It would go on with a classic store that has been used.
        host.run("rm -rf /var/lib/docker/image /var/lib/docker/overlay2")
        host.start_engine()


def test_a_tag_is_moved_by_hand(scene: Scene) -> None:
    first, second = scene.site.push("1"), scene.site.push("2")
    for image in (first, second):
        scene.want(["docker"], image)
        assert scene.operator.up(scene.wanted).ok
    host = scene.site.host("docker")
    host.run(f"docker image tag {first} {second}")
    assert scene.operator.refresh().ok
    assert scene.operator.state
    assert scene.operator.state["outputs"]["agent_digests"] == {"docker": "missing"}
    done = scene.operator.up(scene.wanted)
    assert done.ok, done.output
    ids = host.run(f"docker image inspect --format '{{{{.Id}}}}' {first} {second}").split()
    assert len(set(ids)) == 2
    scene.proven(first)


# ---- clocks and folders ----------------------------------------------------------------------------------

LIBRARY = "faketime/libfaketimeMT.so.1"
"""It has whatever loads it see another time (package libfaketime)."""


def test_the_operator_s_clock_is_a_year_off(scene: Scene) -> None:
    """In one run ahead, then behind, then it is right again."""
    scene.want(["docker", "podman"], scene.site.push("1"))
    for days, stage in ((365, SEND), (-365, VERIFY)):
        scene.operator.environment["LAB_PLUGIN_CLOCK"] = str(days * 86400)
        with scene.halted(stage) as finish:
            scene.operator.plugin.kill()
            scene.failed(finish(), "UNAVAILABLE")
    del scene.operator.environment["LAB_PLUGIN_CLOCK"]
    scene.finish()


def test_the_host_s_clock_is_a_year_off(scene: Scene) -> None:
    """In the first run ahead, then behind."""
    scene.want(["docker"], scene.site.push("1"))
    with wrong_clock(scene, "+365d"), scene.halted(SEND) as finish:
        scene.operator.plugin.kill()
        scene.failed(finish(), "UNAVAILABLE")
    with wrong_clock(scene, "-365d"):
        scene.finish()


@contextmanager
def wrong_clock(scene: Scene, offset: str) -> Iterator[None]:
    """While the body runs, every login's processes on the host have a clock that is wrong."""
    host, (library,) = scene.site.host("docker"), Path("/usr/lib").glob(f"*/{LIBRARY}")
    with faults.sshd_config(host, "SetEnv PATH", f"SetEnv LD_PRELOAD={library} FAKETIME={offset} PATH"):
        assert _by_ssh(scene, host, "date +%Y") != time.strftime("%Y", time.gmtime())
        yield


def _by_ssh(scene: Scene, host: Host, command: str) -> str:
    lab = scene.site.lab
    options = ["-i", str(host.private_key_file), "-o", f"UserKnownHostsFile={lab.known_hosts_file}"]
    return run("ssh", *options, f"{host.user}@{host.address}", command).strip()


def test_nothing_may_be_run_in_temporary_folders(scene: Scene) -> None:
    """On either side."""
    scene.want(["docker", "docker29", "podman", "edgelet"], scene.site.push("1"))
    ours = scene.operator.folder / "tmp"
    run("mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", ours)
    try:
        with ExitStack() as stack:
            for name in ENGINES:
                for folder in ("/tmp", "/var/tmp"):
                    stack.enter_context(faults.mounted(scene.site.host(name), folder, "mode=1777,noexec"))
            scene.finish()
    finally:
        run("umount", ours)


def test_the_cache_s_disk_is_full(scene: Scene) -> None:
    scene.want(["docker"], scene.site.push("1"))
    ours = scene.operator.folder / "cache"
    ours.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", ours)
    try:
        scene.failed(scene.operator.up(scene.wanted), "[Nn]o space left on device")
        run("mount", "-o", "remount,size=100m", ours)
        scene.finish()
    finally:
        run("umount", ours)


# ---- registry and Controller -----------------------------------------------------------------------------


def test_the_registry_is_killed_at_each_stage(scene: Scene, tmp_path: Path) -> None:
    site = scene.site
    site.push("1")
    with faults.MortalRegistry(tmp_path / "registry", site.lab.registry.folder) as registry:
        scene.want(["docker"], f"{registry.address}/{site.repository}:1")
        for stage in (RESOLVE, ITEM, PULL):
            with scene.halted(stage) as finish:
                registry.kill()
                done = finish()
                registry.start()
            scene.failed(done, f"{registry.address}.*onnection refused")
        # All is pulled by now: it is not needed any more.
        with scene.halted(VERIFY) as finish:
            registry.kill()
            done = finish()
        assert done.ok, done.output
        scene.proven()


def test_a_crooked_registry_that_comes_to_its_senses(scene: Scene) -> None:
    site = scene.site
    site.push("1")
    with Crooked(site.lab.registry.address) as door:
        scene.want(["docker"], f"{door.address}/{site.repository}:1")
        for path, how, times in (
            ("/manifests/1$", "429", 2),
            ("/manifests/sha256", "503", 1),
            ("/blobs/", "502", 1),
            ("/blobs/", "cut", 1),
            ("/blobs/", "wrong", 1),
        ):
            door.spoil(path, how, times)
        done = scene.operator.up(scene.wanted)
        assert done.ok, done.output
        assert door.straighten() == 0, "all of it has been met"
        scene.proven()


def test_a_crooked_registry_that_does_not(scene: Scene) -> None:
    site = scene.site
    site.push("1")
    with Crooked(site.lab.registry.address) as door:
        scene.want(["docker"], f"{door.address}/{site.repository}:1")
        for path, how, sees in (
            ("/manifests/sha256", "wrong", "sha256:"),
            ("/blobs/", "wrong", "sha256:"),
            ("/blobs/", "404", "404|not found"),
        ):
            door.spoil(path, how, 99)
            scene.failed(scene.operator.up(scene.wanted), sees)
            assert proof.images(site.host("docker")) == []
            door.straighten()
        scene.finish()


def test_a_manifest_changes_after_it_was_resolved(scene: Scene) -> None:
    """What was resolved is what is brought; the next run sees the new one."""
    site = scene.site
    image = site.push("1")
    scene.want(["docker"], image)
    with scene.halted(ITEM) as finish:
        site.push("2", "1")
        done = finish()
    assert done.ok, done.output
    host = site.host("docker")
    assert proof.run(host, image) == "application 1\n"
    done = scene.operator.up(scene.wanted)
    assert done.ok, done.output
    assert proof.run(host, image) == "application 2\n"


def test_the_controller_is_killed_at_each_stage(scene: Scene, tmp_path: Path) -> None:
    scene.want(["docker"], scene.site.push("1"))
    for stages in ((RESOLVE,), (SEND, DONE)):
        with scene.halted(*stages) as finish:
            scene.kill_controller()
            done = finish()
            scene.start_controller()
        scene.failed(done, "onnection refused")
    # It was away for a while only.
    with scene.halted(DONE) as finish:
        scene.kill_controller()
        scene.start_controller()
        done = finish()
    assert done.ok, done.output
    scene.proven()


def test_the_controller_s_answer_is_lost(scene: Scene) -> None:
    scene.want(["docker"], scene.site.push("1"))
    with scene.halted(DONE, LOOK) as finish:
        scene.controller.drop_next()
        done = finish()
    assert done.ok, done.output
    assert scene.controller.requests.count("POST /api/v3/catalog/microservices") == 1
    scene.proven()


def test_the_token_expires_in_the_middle(scene: Scene) -> None:
    scene.want(["docker"], scene.site.push("1"))
    with scene.halted(DONE) as finish:
        with scene.controller.lock:
            scene.controller.api.expire_tokens()
        done = finish()
    assert done.ok, done.output
    scene.proven()
