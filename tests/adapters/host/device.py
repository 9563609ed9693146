"""A host as rollouts and refreshes find it, and what a bad disk does to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from lab import Host, proof
from pulumi_iofog.adapters.host.edge_host import EdgeHost
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Digest
from pulumi_iofog.rollout.outcome import Outcome
from pulumi_iofog.rollout.rollout import Job, bring
from pulumi_iofog.rollout.tools import Tools
from tests.adapters.host.edge import reach
from tests.images import MadeImage
from tests.rollout.memory_hosts import Quiet, Site


class Device:
    """A host, and what a rollout and a refresh would do with it; each connects anew.

    Args:
        blobs: the folder on the host that has them.
        folder: for what is sent: layers of the images ``made``.
    """

    def __init__(self, host: Host, agent: Agent, blobs: str, folder: Path, *made: MadeImage) -> None:
        self.host, self.agent, self._blobs = host, agent, blobs
        self._tools = Tools(self._connect, Site(folder, *made), Quiet())
        proof.empty(host)
        host.run("rm -rf /home/*/.cache/pulumi-iofog")

    def connect(self) -> AbstractContextManager[EdgeHost]:
        return self._connect(self.agent)

    @contextmanager
    def _connect(self, agent: Agent) -> Iterator[EdgeHost]:
        with ssh.connect(agent) as connection:
            yield EdgeHost(connection, agent)

    def up(self, made: MadeImage) -> Outcome:
        return bring(Job(self.agent, made.image), self._tools)

    def bring_whole(self, made: MadeImage, absent: frozenset[Digest] = frozenset()) -> None:
        """All layers but the absent ones, whatever is there already."""
        with reach(self.host, self.agent) as edge:
            edge.bring(made, absent)

    def refresh(self, made: MadeImage) -> bool:
        with self.connect() as host:
            return host.holds(made.image.pin)

    def rot(self, blob: Digest) -> None:
        """Other bytes in the middle; the size stays."""
        self.host.run(f"printf rotten | dd of={self._blobs}/{blob.hex} bs=1 seek=20 conv=notrunc status=none")

    def truncate(self, blob: Digest) -> None:
        self.host.run(f": > {self._blobs}/{blob.hex}")

    def lose(self, blob: Digest) -> None:
        self.host.run(f"rm {self._blobs}/{blob.hex}")

    def is_right(self, blob: Digest) -> bool:
        return self.host.run(f"sha256sum < {self._blobs}/{blob.hex}").split()[0] == blob.hex

    def content(self, name: str) -> tuple[str, str]:
        """Two files of a container, which CRI has made by that name and unpacked."""
        first, second = (self.host.engine.content(self.host, name, path) for path in ("etc/base", "app/run"))
        return first, second
