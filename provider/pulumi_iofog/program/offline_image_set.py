"""Many images for the same agents, as one component: what they share is written once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import pulumi
from pulumi import Input, Output

from pulumi_iofog.errors import Failures
from pulumi_iofog.inputs.spec import AgentPruning
from pulumi_iofog.program.args import (
    AgentArgs,
    AgentArgsDict,
    ControllerArgs,
    ControllerArgsDict,
    ImageArgs,
    ImageArgsDict,
    Items,
    RegistryAuthArgs,
    RegistryAuthArgsDict,
    fields_of,
)
from pulumi_iofog.program.offline_image import OfflineImage
from pulumi_iofog.program.refused import Refused

T = TypeVar("T")
PASSED_ON = ("depends_on", "ignore_changes", "replace_on_changes", "delete_before_replace", "retain_on_delete")
"""Options that Pulumi applies to the component only; here each image gets them too. ``protect`` and the like are
passed on by Pulumi."""


class OfflineImageSet(pulumi.ComponentResource):
    """Images that all go to the same agents; each is its own OfflineImage, named ``SET-IMAGE``.

    Up to four images are worked on at once, and each agent by one of them at a time, all over the same
    connection: 20 images to 50 agents make 50 connections. What images share is sent once.

    If an image fails, the ones in progress are finished, but Pulumi starts no more, unless it is run as
    ``pulumi up --continue-on-error``. The next ``pulumi up`` does what is left.

    Attributes:
        images: each image's OfflineImage, by its key.
        catalog_item_ids: key → the Controller's id of the catalog item; none with ``controller=False``.
        pending_agents: key → the agents that failed within ``max_unavailable``; only for keys that have any.
    """

    images: Mapping[str, OfflineImage]
    catalog_item_ids: Output[Mapping[str, int]]
    pending_agents: Output[Mapping[str, Sequence[str]]]

    def __init__(
        self,
        resource_name: str,
        *,
        images: Mapping[str, ImageArgs | ImageArgsDict],
        agents: Input[Items[Input[str | AgentArgs | AgentArgsDict]]],
        auth: Input[RegistryAuthArgs | RegistryAuthArgsDict] | None = None,
        controller: Input[ControllerArgs | ControllerArgsDict | Literal[False]] | None = None,
        namespace: Input[str] | None = None,
        transfer_pool: Input[int] | None = None,
        cache: Input[bool] | None = None,
        pull_policy: Input[Literal["always", "missing", "never"]] | None = None,
        max_unavailable: Input[int] | None = None,
        prune: Input[bool] | None = None,
        adopt: Input[bool] | None = None,
        rebuild: Input[bool] | None = None,
        agent_pruning: Input[AgentPruning] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """
        Args:
            resource_name: the Pulumi name.
            images: key → the image's own arguments; the key is the catalog item's name unless the image has
                a ``name``. The keys must be known when the program runs; the values may be outputs.
            agents: who gets the images: names, AgentArgs or dicts; at least one.
            auth: for the registries of images that have no ``auth`` of their own.
            controller: see OfflineImage, as for all that follow; they apply to each image.
            namespace: the iofogctl namespace that says how to reach agents and Controller (default: ``default``).
            transfer_pool: agents served at once, for each image (default: 2).
            cache: keep pulled blobs in the local cache (default: True).
            pull_policy: whether tags are looked up in their registry on every preview (default: ``always``).
            max_unavailable: agents that may fail for an image without failing it (default: 0).
            prune: also remove images from agents when they are replaced or destroyed (default: False).
            adopt: take over catalog items of those names which this stack did not create (default: False).
            rebuild: have the Controller restart microservices if an unchanged name has new content
                (default: True).
            agent_pruning: if agents will remove images before a microservice uses them: ``warn`` (default),
                ``ignore``, or ``configure``: turn that off on the Controller, and on again on destroy.
            opts: Pulumi's resource options; they apply to each image.

        Raises:
            InputError: no image, an unknown field, or a name given twice; all failures at once.
        """
        own = _checked(images)
        super().__init__("iofog:index:OfflineImageSet", resource_name, None, opts)
        passed = {key: value for key in PASSED_ON if (value := getattr(opts, key, None)) is not None}
        self.images = {
            key: OfflineImage(
                f"{resource_name}-{key}",
                agents=agents,
                controller=controller,
                namespace=namespace,
                transfer_pool=transfer_pool,
                cache=cache,
                pull_policy=pull_policy,
                max_unavailable=max_unavailable,
                prune=prune,
                adopt=adopt,
                agent_pruning=agent_pruning,
                opts=pulumi.ResourceOptions(parent=self, **passed),
                **{"name": key, "auth": auth, "rebuild": rebuild, **fields},
            )
            for key, fields in own.items()
        }
        self.catalog_item_ids = _some({key: image.catalog_item_id for key, image in self.images.items()})
        self.pending_agents = _some({key: image.pending_agents for key, image in self.images.items()})
        self.register_outputs({"catalog_item_ids": self.catalog_item_ids, "pending_agents": self.pending_agents})


def _some(outputs: Mapping[str, Output[T]]) -> Output[Mapping[str, T]]:
    """Those that are something."""
    return Output.all(**outputs).apply(lambda known: {key: value for key, value in known.items() if value})


def _checked(images: Mapping[str, ImageArgs | ImageArgsDict]) -> dict[str, dict[str, Any]]:
    """Each image's own arguments. Raises InputError with every failure."""
    own: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    failures = Failures()
    if not images:
        failures.add("images", "no image: give at least one")
    for key, image in images.items():
        if not isinstance(image, ImageArgs | Mapping):
            failures.add(f"images[{key!r}]", "must be ImageArgs or a dict, such as {'x86': 'registry.example/app:1'}")
            continue
        fields = fields_of(image, ImageArgsDict) if isinstance(image, ImageArgs) else dict(image)
        own[key] = fields
        for field in fields.keys() - ImageArgsDict.__annotations__.keys():
            failures.add(f"images[{key!r}].{field}", "there is no such field")
        name = fields.get("name", key)
        if isinstance(name, str) and (other := names.setdefault(name, key)) != key:
            failures.add(f"images[{key!r}].name", f"{name} is already the catalog item of {other!r}")
    if found := tuple(failures):
        raise Refused(found)
    return own
