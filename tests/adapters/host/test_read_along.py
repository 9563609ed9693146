"""Layers that the real Docker reads while they arrive: what is loaded, and what becomes of it when they do not."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest

from lab import Lab, proof
from lab.shell import wait_for
from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.adapters.host.delivery import Delivery
from pulumi_iofog.adapters.host.edge_host import EdgeHost
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.errors import CorruptLayer, Unreachable
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Descriptor
from pulumi_iofog.rollout.rollout import Job, bring
from pulumi_iofog.rollout.tools import Tools
from pulumi_iofog.session.payloads import Payloads
from pulumi_iofog.transfer.encodings import AsIs, Encoding, Part, Recoded
from pulumi_iofog.transfer.signals import COMPLETE, MORE, WHOLE
from tests.adapters.conftest import QUICK, AgentOf
from tests.adapters.host.edge import APP, REFERENCE, Edge, reach
from tests.adapters.host.test_travel import ABOVE, OLD, OLD_BASE, blobs, emptied, expected, zstd
from tests.adapters.host.test_travel import bring as bring_whole
from tests.images import layer_tar, make_image
from tests.rollout.memory_hosts import Quiet
from tests.session.test_payloads import MemoryRegistry

pytestmark = pytest.mark.lab
AS_THEY_ARE = blobs(OLD)
UNPACKED: list[tuple[Encoding, bytes]] = [(AsIs(unpack=True), data) for _, data in AS_THEY_ARE]
RECODED: list[tuple[Encoding, bytes]] = [(Recoded(9, 23), zstd(layer_tar(files))) for files in (OLD_BASE, ABOVE)]
PARTS = [Part(layer, AsIs()) for layer in OLD.image.layers]


@pytest.fixture
def docker(lab: Lab) -> Iterator[Edge]:
    """The classic store."""
    with emptied(lab, "edge-docker") as edge:
        yield edge


class Told:
    """Lines as they are put; None is the end of them."""

    def __init__(self) -> None:
        self.said: SimpleQueue[bytes | None] = SimpleQueue()

    def __iter__(self) -> Iterator[bytes]:
        yield MORE
        yield from iter(self.said.get, None)

    def __call__(self, *lines: bytes | None) -> None:
        for line in lines:
            self.said.put(line)


@contextmanager
def followed(edge: Edge, coming: list[tuple[Part, Descriptor]]) -> Iterator[tuple[Delivery, Told, Future[bool]]]:
    """Docker reads what comes from now on."""
    delivery, told = edge.delivery(OLD.image), Told()
    with ThreadPoolExecutor(1) as lane:
        try:
            yield delivery, told, lane.submit(delivery.load_along, OLD.image, coming, told)
        finally:
            told(None)


def arrive(delivery: Delivery, told: Told, travelling: list[tuple[Encoding, bytes]], pause: float = 0.0) -> None:
    """Every layer arrives in two pieces, and is proven."""
    for layer, (way, data) in zip(OLD.image.layers, travelling, strict=True):

        def pieces(offset: int, data: bytes = data) -> Iterator[bytes]:
            yield data[:100]
            time.sleep(pause)
            told(MORE)
            yield data[100:]

        part = Part(layer, way)
        delivery.receive(part, pieces, lambda count: None)
        delivery.prove(part, expected(part, data))
        told(WHOLE)


def coming(travelling: list[tuple[Encoding, bytes]]) -> list[tuple[Part, Descriptor]]:
    parts = [(Part(layer, way), data) for layer, (way, data) in zip(OLD.image.layers, travelling, strict=True)]
    return [(part, expected(part, data)) for part, data in parts]


def bring_followed(edge: Edge, travelling: list[tuple[Encoding, bytes]], *, late: bool = False) -> None:
    if late:
        arrive(edge.delivery(OLD.image), Told(), travelling)
    with followed(edge, coming(travelling)) as (delivery, told, loaded):
        if late:
            told(*[WHOLE] * len(travelling))
        else:
            arrive(delivery, told, travelling, 0.3)
        assert edge.engine.image_id(REFERENCE) is None, "nothing is loaded before all of it is proven"
        told(COMPLETE, None)
        assert loaded.result(20)
    edge.engine.verify(OLD.image.pin)
    assert edge.content(APP, "lib/note") == "old"


@pytest.mark.parametrize("travelling", [AS_THEY_ARE, UNPACKED, RECODED], ids=["as they are", "unpacked", "recoded"])
@pytest.mark.parametrize("late", [False, True], ids=["while they arrive", "once they are there"])
def test_layers_are_read_by_docker(docker: Edge, travelling: list[tuple[Encoding, bytes]], late: bool) -> None:
    bring_followed(docker, travelling, late=late)


@pytest.mark.parametrize("user", ["plain", "asked"])
def test_by_sudo_without_and_with_a_password(lab: Lab, agent_of: AgentOf, user: str) -> None:
    host = lab.hosts["edge-docker"]
    with emptied(lab, "edge-docker"), reach(host, agent_of("edge-docker", user=user, password=host.password)) as edge:
        host.run(f"rm -rf {edge.edge.spool.root}/*")
        bring_followed(edge, RECODED)
        edge.edge.clear_spool(OLD.image)
        assert host.run(f"find /home/{user}/.cache/pulumi-iofog/spool -mindepth 1") == ""


def test_what_is_wrong_is_not_loaded(docker: Edge) -> None:
    with followed(docker, coming(AS_THEY_ARE)) as (delivery, told, loaded):
        delivery.receive(PARTS[0], lambda offset: [b"something else"], lambda count: None)
        with pytest.raises(CorruptLayer):
            delivery.prove(PARTS[0], PARTS[0].layer.blob)
        told(None)
        assert not loaded.result(20)
    assert docker.engine.image_id(REFERENCE) is None
    bring_whole(docker, OLD, AS_THEY_ARE)
    docker.engine.verify(OLD.image.pin)


@pytest.mark.parametrize("wrong", [zstd(layer_tar({"other": b""})), b"no zstd"], ids=["another layer", "no zstd"])
def test_what_does_not_come_out_right_is_not_loaded(lab: Lab, wrong: bytes) -> None:
    travelling = [(RECODED[0][0], wrong), RECODED[1]]
    with emptied(lab, "edge-docker") as edge, followed(edge, coming(travelling)) as (delivery, told, loaded):
        arrive(delivery, told, travelling)
        told(COMPLETE, None)
        assert not loaded.result(20)
        assert edge.engine.image_id(REFERENCE) is None


def test_nobody_reads_once_the_connection_is_lost(lab: Lab) -> None:
    with emptied(lab, "edge-docker") as edge, followed(edge, coming(AS_THEY_ARE)) as (_delivery, told, loaded):
        assert wait_for(lambda: reading(edge), 10)
        edge.connection.abort()
        told(MORE)
        with pytest.raises(Unreachable):
            loaded.result(20)
        assert wait_for(lambda: not reading(edge), 10)


@pytest.mark.parametrize("user", ["edge", "plain"], ids=["as the user", "by sudo"])
def test_whoever_still_reads_for_a_lost_transfer_is_ended_by_the_next(lab: Lab, agent_of: AgentOf, user: str) -> None:
    host = lab.hosts["edge-docker"]
    with emptied(lab, "edge-docker"), reach(host, agent_of("edge-docker", user=user)) as edge:
        with followed(edge, coming(AS_THEY_ARE)) as (delivery, told, loaded):
            delivery.receive(PARTS[0], lambda offset: [b"first"], lambda count: None)
            folder = edge.edge.spool.folder(OLD.image)
            assert wait_for(lambda: reading(edge) and "following." in host.run(f"ls {folder}"), 10)
            # The host does not know that the link is gone.
            with reach(host, agent_of("edge-docker", user=user)) as again:
                again.delivery(OLD.image)
                assert wait_for(lambda: not reading(again), 10)
            told(MORE)
            with pytest.raises(Unreachable):
                loaded.result(20)
        assert host.run("ls /var/lib/docker/tmp") == ""


def reading(edge: Edge) -> bool:
    return "docker load" in edge.host.run("ps -eo args")


# ---- in a whole rollout ---------------------------------------------------------------------------------

SEED = random.Random(7)
LARGE = make_image({"base": SEED.randbytes(18_000_000)}, {"more": SEED.randbytes(17_000_000)}, {"app": b"1"}, level=0)


@pytest.fixture
def rolled_out(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[bool]]]:
    """Brings the large image to a host; which of its loads have been followed to their end."""
    load_along, ends = Delivery.load_along, list[bool]()
    registry, store = MemoryRegistry(LARGE), Store(tmp_path / "cache")

    def noted(self: Delivery, *args: object) -> bool:
        ends.append(load_along(self, *args))  # type: ignore[arg-type]
        return ends[-1]

    @contextmanager
    def connect(agent: Agent) -> Iterator[EdgeHost]:
        with ssh.connect(agent, timeouts=QUICK) as connection:
            yield EdgeHost(connection, agent)

    def roll_out() -> list[bool]:
        payloads = Payloads(store, store.records, lambda reference: registry)
        tools = Tools(connect, payloads, Quiet(), wait=lambda seconds: None)
        outcome = bring(Job(Agent(**lab.hosts["edge-docker"].agent(lab.known_hosts_file)), LARGE.image), tools)  # type: ignore[arg-type]
        assert outcome.error is None, outcome.error
        return ends

    monkeypatch.setattr(Delivery, "load_along", noted)
    # On a busy machine a probe may take the shaped link for a fast one; test_link.py is about that.
    monkeypatch.setattr(EdgeHost, "rate", lambda self: 6e6)
    try:
        yield roll_out
    finally:
        for host in lab.hosts.values():
            host.set_rate(None)
        store.close()
        registry.close()


def test_every_load_is_followed_and_nothing_is_left(lab: Lab, rolled_out: Callable[[], list[bool]]) -> None:
    with emptied(lab, "edge-docker") as edge:
        edge.host.set_rate("100mbit")
        assert rolled_out() == [True, True]
        assert_brought(edge)


def test_a_link_that_is_cut_while_docker_reads(lab: Lab, rolled_out: Callable[[], list[bool]]) -> None:
    with emptied(lab, "edge-docker") as edge:
        edge.host.set_rate("50mbit")
        before = edge.host.counters().received

        def cut() -> None:
            assert wait_for(lambda: edge.host.counters().received > before + 15_000_000, 20)
            edge.host.cut()
            time.sleep(1.5)
            edge.host.restore()

        with ThreadPoolExecutor(1) as other:
            cutting = other.submit(cut)
            assert rolled_out()[-1], "the last load, as every time the link is there"
            cutting.result()
        assert_brought(edge)


def test_a_docker_that_goes_down_while_it_reads(lab: Lab, rolled_out: Callable[[], list[bool]]) -> None:
    with emptied(lab, "edge-docker") as edge:
        edge.host.set_rate("100mbit")

        def stop() -> None:
            assert wait_for(lambda: reading(edge), 20)
            edge.host.stop_engine()

        with ThreadPoolExecutor(1) as other:
            stopping = other.submit(stop)
            try:
                with pytest.raises(AssertionError, match="Is the docker service running on the agent"):
                    rolled_out()
                stopping.result()
            finally:
                edge.host.start_engine()
        before = edge.host.counters().received
        rolled_out()
        assert edge.host.counters().received - before < 1_000_000, "nothing is sent again"
        assert_brought(edge)


def assert_brought(edge: Edge) -> None:
    """The image is there, and nothing of how it came."""
    assert proof.can_create(edge.host, APP)
    assert proof.images(edge.host) == [APP]
    assert edge.host.run("find /home/edge/.cache/pulumi-iofog/spool -mindepth 1") == ""
    assert wait_for(lambda: not reading(edge), 10)
    assert edge.host.run("ls /var/lib/docker/tmp") == ""
