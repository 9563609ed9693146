"""An edge host as the engine's tests use it: connected, with its engine found, and images brought to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab import Host
from pulumi_iofog.adapters.host.delivery import Delivery
from pulumi_iofog.adapters.host.edge_host import EdgeHost
from pulumi_iofog.adapters.host.engines.base import Engine
from pulumi_iofog.adapters.host.engines.detect import find
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.adapters.ssh.connect import Connection
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Digest, Image, Reference
from pulumi_iofog.transfer.encodings import AsIs, Part
from pulumi_iofog.transfer.plan import Transfer
from pulumi_iofog.transfer.planner import held
from tests.adapters.conftest import QUICK
from tests.images import MadeImage

APP = "registry.example/app:1"
REFERENCE = Reference.parse(APP)
BASE = {"etc/base": b"the base", "bin/tool": bytes(range(256)) * 500}
V1, V2 = {"app/run": b"version 1"}, {"app/run": b"version 2"}


@dataclass(frozen=True, slots=True)
class Edge:
    """A host, and the two things that reach it."""

    host: Host
    connection: Connection
    engine: Engine
    edge: EdgeHost

    def bring(self, made: MadeImage, absent: frozenset[Digest] = frozenset()) -> None:
        """Send all layers but the absent ones, and load the image."""
        delivery, carried = self.delivery(made.image), {}
        for layer in made.image.layers:
            if layer.diff_id not in absent:
                part, data = Part(layer, AsIs()), made.blobs[layer.blob.digest]
                delivery.receive(part, lambda offset, data=data: [data[offset:]], lambda count: None)  # type: ignore[misc]
                carried[layer.diff_id] = delivery.prove(part, layer.blob)
        delivery.load(made.image, carried)

    def delivery(self, image: Image, *parts: Part) -> Delivery:
        """The image on its way, seeing what has come of it before."""
        return self.edge.delivery(image, Transfer(parts, self.engine.traits))

    def expected_id(self, image: Image) -> Digest:
        """The id that the engine gives the image."""
        return self.engine.traits.image_id(image.pin)

    def held(self, image: Image) -> frozenset[Digest]:
        """The image's layers that the engine needs not to be given."""
        return held(image, self.edge.inventory(image))

    def content(self, name: str, path: str) -> str:
        """A file of a container of the image, read by the host's own engine."""
        return self.host.engine.content(self.host, name, path)

    def containers(self) -> list[str]:
        return self.host.engine.containers(self.host)


@contextmanager
def reach(host: Host, agent: Agent) -> Iterator[Edge]:
    """Connect and find the engine."""
    with ssh.connect(agent, timeouts=QUICK) as connection:
        yield Edge(host, connection, find(connection, agent), EdgeHost(connection, agent))
