"""Docker with containerd's image store, the default since Docker 29."""

from __future__ import annotations

from pulumi_iofog.adapters.host.engines.docker import Docker
from pulumi_iofog.adapters.host.shell import Result, says


class DockerContainerd(Docker):
    """See base.Engine."""

    store = "containerd store"

    def _loaded(self, result: Result) -> bool:
        # It answers 0 and leaves a broken image where a layer is missing.
        return result.ok and not says(result, "error unpacking")
