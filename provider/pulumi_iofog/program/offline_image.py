"""The resource that users declare. What its verbs do is in provider.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pulumi
from pulumi import Input, Output
from pulumi.dynamic import Resource
from pulumi.dynamic.dynamic import PROVIDER_KEY

from pulumi_iofog.errors import Failure
from pulumi_iofog.inputs.iofogctl_document import read_documents
from pulumi_iofog.inputs.spec import AgentPruning
from pulumi_iofog.program.args import (
    AgentArgs,
    AgentArgsDict,
    ControllerArgs,
    ControllerArgsDict,
    Items,
    RegistryAuthArgs,
    RegistryAuthArgsDict,
)
from pulumi_iofog.program.interrupt import end_interrupts_silently
from pulumi_iofog.program.refused import Refused
from pulumi_iofog.program.secrets import apart, seal
from pulumi_iofog.saved_name import REPLACE, RUN, SAVED


class OfflineImage(Resource, module="iofog", name="OfflineImage"):
    """Container images on edge hosts that cannot pull them, and the catalog item that names them.

    Attributes:
        catalog_item_id: the Controller's id of the catalog item; also the resource's id, as text. None with
            ``controller=False``.
        agent_digests: agent → config digest of the image that it must hold.
        images: architecture → {reference, digest (the platform manifest's), image_id (the config's),
            platform, size (compressed bytes)}.
        pending_agents: agents that failed within ``max_unavailable``.
        engines: agent → the engine that was used, its version, store and socket:
            ``docker 29.0.1 (containerd store), unix:///run/docker.sock``.
    """

    catalog_item_id: Output[int]
    agent_digests: Output[Mapping[str, str]]
    images: Output[Mapping[str, Mapping[str, Any]]]
    pending_agents: Output[Sequence[str]]
    engines: Output[Mapping[str, str]]

    def __init__(
        self,
        resource_name: str,
        *,
        agents: Input[Items[Input[str | AgentArgs | AgentArgsDict]]],
        x86: Input[str] | None = None,
        arm: Input[str] | None = None,
        riscv64: Input[str] | None = None,
        armv7: Input[str] | None = None,
        name: Input[str] | None = None,
        description: Input[str] | None = None,
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
            agents: who gets the image: names, AgentArgs or dicts; at least one.
            x86: image reference for linux/amd64: in a registry, or with one of skopeo's transports
                ``docker-daemon:``, ``oci:``, ``oci-archive:``, ``docker-archive:``.
            arm: image reference for linux/arm64, and linux/arm/v7 for 32-bit agents where the index has it.
            riscv64: image reference for linux/riscv64; Controllers older than 3.8 refuse it.
            armv7: image reference for linux/arm/v7, instead of the one in the index of ``arm``; Controllers
                older than 3.8 refuse it.
            name: of the catalog item (default: the Pulumi name).
            description: of the catalog item (default: ``Offline image bundle NAME``).
            auth: for the registry (default: ``~/.docker/config.json``, then anonymous).
            controller: the ioFog Controller (default: the stack's config, the environment, the namespace). False:
                bring the image and make no catalog item; the resource's id is its Pulumi name then.
            namespace: the iofogctl namespace that says how to reach agents and Controller (default: ``default``).
            transfer_pool: agents served at once (default: 2).
            cache: keep pulled blobs in the local cache (default: True).
            pull_policy: whether a tag is looked up in its registry on every preview (default: ``always``).
            max_unavailable: agents that may fail without failing the update (default: 0).
            prune: also remove images from agents: the replaced one after an update, the image on
                destroy (default: False).
            adopt: take over a catalog item of that name which this stack did not create (default: False).
            rebuild: have the Controller restart microservices if an unchanged name has new content, as
                after a tag has moved; False leaves running ones alone (default: True).
            agent_pruning: if agents will remove the image before a microservice uses it: ``warn`` (default),
                ``ignore``, or ``configure``: turn that off on the Controller, and on again on destroy.
            opts: Pulumi's resource options. A replacement deletes the old catalog item first, as names are
                unique; ``import_`` is refused (use ``adopt`` instead).

        Raises:
            InputError: for ``opts.import_``. Other bad input is refused by ``check``, during preview and update:
                all failures at once, each with its property's path.
        """
        end_interrupts_silently()
        agents_without_secrets, agent_secrets = apart(agents)
        arguments = {
            "x86": x86,
            "arm": arm,
            "riscv64": riscv64,
            "armv7": armv7,
            "agents": agents_without_secrets,
            "agent_secrets": agent_secrets,
            "name": resource_name if name is None else name,
            "description": description,
            "auth": seal(auth),
            "controller": seal(controller),
            "namespace": namespace,
            "transfer_pool": transfer_pool,
            "cache": cache,
            "pull_policy": pull_policy,
            "max_unavailable": max_unavailable,
            "prune": prune,
            "adopt": adopt,
            "rebuild": rebuild,
            "agent_pruning": agent_pruning,
        }
        props: dict[str, Any] = {key: value for key, value in arguments.items() if value is not None}
        # The engine must be told of every output before it has a value.
        props |= dict.fromkeys(("catalog_item_id", "agent_digests", "images", "pending_agents", "engines"))
        # Consumed by check, and never in the state: preview and update are separate processes.
        props[RUN] = {
            "preview": pulumi.runtime.is_dry_run(),
            "resource": _identity(resource_name),
            "organization": pulumi.get_organization(),
        }
        if opts and opts.replace_on_changes:
            props[REPLACE] = opts.replace_on_changes
        # Past dynamic.Resource, which would only add the provider, pickled by the protocol of this Python.
        props[PROVIDER_KEY] = SAVED
        super(Resource, self).__init__(
            f"pulumi-python:{self._resource_type_name}", resource_name, props, _options(opts)
        )

    @classmethod
    def from_yaml(
        cls,
        path: str | Path,
        *,
        resource_name: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
        **overrides: Any,
    ) -> OfflineImage:
        """The resource that an iofogctl document (``kind: OfflineImage``) describes.

        Args:
            path: the YAML file.
            resource_name: the Pulumi name (default: the document's ``metadata.name``). In a file of
                several OfflineImage documents it also selects the document.
            opts: Pulumi's resource options.
            overrides: arguments of OfflineImage that override the document's.

        Raises:
            InputError: the file cannot be used; all failures, each with its line.
        """
        documents = Refused.instead(lambda: read_documents(path))
        chosen = [d for d in documents if d.name == resource_name] or documents
        if len(chosen) > 1:
            names = ", ".join(d.name for d in documents)
            raise Refused([Failure(str(path), f"which one? Set resource_name= to one of {names}")])
        arguments = {**chosen[0].inputs, **overrides}
        return cls(resource_name or chosen[0].name, opts=opts, **arguments)


def _options(opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    if opts and opts.import_:
        # Pulumi's own plugin for dynamic providers fails here, with a KeyError.
        reason = "dynamic resources cannot be imported; set adopt=True, and pulumi up takes the catalog item over"
        raise Refused([Failure("opts.import_", reason)])
    # Names are unique on a Controller, so a replacement deletes the old item first. It is not enough that diff
    # says so too: for `--replace` it is not called.
    first: pulumi.ResourceOptions = pulumi.ResourceOptions(delete_before_replace=True)
    return pulumi.ResourceOptions.merge(first, opts)


def _identity(resource_name: str) -> str:
    return f"{pulumi.get_project()}/{pulumi.get_stack()}/{resource_name}"
