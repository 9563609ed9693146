"""Docker with containerd's image store, the default since Docker 29."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_iofog.adapters.host.engines.docker import Docker
from pulumi_iofog.adapters.host.shell import Result, says
from pulumi_iofog.oci.image import Image, Pin


class DockerContainerd(Docker):
    """See base.Engine."""

    store = "containerd store"

    def proven(self, pins: Sequence[Pin]) -> frozenset[Pin]:
        # A container says nothing of the blobs, which the store has besides: each image is verified by itself.
        return frozenset()

    def _complaint(self, result: Result, image: Image) -> str:
        # It answers 0 and leaves a broken image where a layer is missing.
        return result.error if says(result, "error unpacking") else super()._complaint(result, image)
