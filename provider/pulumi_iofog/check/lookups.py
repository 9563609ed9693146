"""What a check may ask of the world, as Protocols and functions; the session has the adapters that answer. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pulumi_iofog.check.catalog import Catalog
from pulumi_iofog.inputs.catalog import KnownAgent
from pulumi_iofog.inputs.iofogctl_namespace import Namespace
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Descriptor, Digest, Pin, Platform, Reference


class Manifests(Protocol):
    """Where images come from, as far as a check needs it: a registry, an archive, the operator's own engine."""

    def named(self, reference: Reference) -> Reference: ...
    def fetch_manifest(self, reference: Reference, target: str | None = None) -> tuple[bytes, str]: ...
    def small_blob(self, reference: Reference, blob: Descriptor) -> bytes: ...


class Controller(Catalog, Protocol):
    """The Controller, as far as a check needs it."""

    def agents(self) -> Sequence[KnownAgent]: ...


@dataclass(frozen=True, slots=True)
class Lookups:
    """Everything that a check may ask. Each may raise an IofogError.

    Attributes:
        manifests: the images' source, with the local cache in front of it.
        endpoint: the Controller's; None while it is not known yet. InputError if there is no Controller.
        controller: connects to the Controller when called; None while it is not known yet.
        mark: of the resource that is checked, on its catalog items (owner.py); None where nobody knows it.
        replaced: the item of the resource that this one replaces, by the Controller's endpoint; None if there is none.
        namespace: the iofogctl namespace.
        ssh_host: the HostName that ~/.ssh/config has for an alias, or None.
        key_problem: why a private key's file cannot be read, or None.
        probe: asks an agent's engine for its platform.
        previewed: the digest that a preview has shown for a reference, which its update keeps to; or None.
        recall: how a reference was last resolved for a platform on this machine, or None.
    """

    manifests: Manifests
    endpoint: Callable[[], str | None]
    controller: Callable[[], Controller] | None
    mark: str | None
    replaced: Callable[[str | None], int | None]
    namespace: Callable[[], Namespace]
    ssh_host: Callable[[str], str | None]
    key_problem: Callable[[str], str | None]
    probe: Callable[[Agent], Platform]
    previewed: Callable[[Reference], Digest | None]
    recall: Callable[[Reference, Platform], Pin | None]
