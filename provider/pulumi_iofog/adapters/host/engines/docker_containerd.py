"""Docker with containerd's image store, the default since Docker 29."""

from __future__ import annotations

import shlex

from pulumi_iofog.adapters.host.engines.answers import About, Listing
from pulumi_iofog.adapters.host.engines.docker import Docker
from pulumi_iofog.adapters.host.shell import Result
from pulumi_iofog.adapters.host.sudo import Runner
from pulumi_iofog.oci.image import Image, Reference


class DockerContainerd(Docker):
    """See base.Engine."""

    store = "containerd store"

    def __init__(self, shell: Runner, agent: str, about: About, where: str = "") -> None:
        super().__init__(shell, agent, about, where)
        self._named: dict[str, str] = {}
        """The id that each name meant when it was last asked for."""

    def images(self, reference: Reference) -> Listing:
        listing = super().images(reference)
        if listing.named:
            self._named[reference.full_name] = listing.named
        return listing

    def _complaint(self, result: Result, image: Image) -> str:
        # Where a layer is missing or cannot be unpacked it answers 0, says so on its output, and lists a broken image.
        said = (line.strip() for line in result.text.splitlines())
        return next((line for line in said if "error unpacking" in line.lower()), "") or super()._complaint(
            result, image
        )

    def _undo_load(self, image: Image) -> None:
        """Remove the broken image, and give its name back to the one that had it."""
        name, id_ = shlex.quote(image.reference.full_name), self.traits.image_id(image.pin)
        before = self._named.get(image.reference.full_name, id_)
        back = f" && docker image tag {before} {name}" if before != id_ else ""
        means = f"[ \"$(docker image inspect --format '{{{{.Id}}}}' {name})\" = {id_} ]"
        self._shell.run(f"{means} && docker image rm {name}{back}", timeout=300.0)
