"""How to reach registries: ``iofog:registries`` and ``iofog:insecureRegistries`` of the stack's config. Pure.

iofog:registries:
  docker.io: {mirrors: [mirror.plant.example]}
  registry.plant.example:5000: {caFile: certs/plant.pem}
  10.1.2.3:5000: {insecure: true}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pulumi_iofog.errors import Failures
from pulumi_iofog.inputs.reader import Fields
from pulumi_iofog.oci.image import Reference
from pulumi_iofog.outside import json_of

KEY = "iofog:registries"


@dataclass(frozen=True, slots=True)
class Mirror:
    """A registry that has the images of another, perhaps below some path."""

    domain: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """The options of one registry.

    Attributes:
        mirrors: asked first, in this order.
        insecure: its certificate is not verified, and if it has no TLS, http is used.
        ca_file: PEM file of CAs to trust for it, besides the system's.
    """

    mirrors: tuple[Mirror, ...] = ()
    insecure: bool = False
    ca_file: str | None = None


def registries(config: Callable[[str], str | None]) -> Mapping[str, RegistryOptions]:
    """The options of each configured registry (``host[:port]``). Raises InputError with all failures."""
    failures = Failures()
    found: dict[str, RegistryOptions] = {}
    for domain, value in _object(config(KEY), failures).items():
        path = f"{KEY}.{domain}"
        if not _is_domain(domain):
            failures.add(path, "is not a registry: write HOST or HOST:PORT")
        reader = Fields("", {domain: value}, failures, set()).inside(path, value)
        if reader:
            found[domain] = _options(reader)
    for domain in (config("iofog:insecureRegistries") or "").replace(",", " ").split():
        found[domain] = replace(found.get(domain, RegistryOptions()), insecure=True)
    failures.raise_if_any()
    return found


def _object(text: str | None, failures: Failures) -> Mapping[str, Any]:
    try:
        value = json_of(text or "{}")
        if isinstance(value, dict):
            return value
    except ValueError:
        pass
    failures.add(KEY, "must be an object: registry → {mirrors, insecure, caFile}")
    return {}


def _options(reader: Fields) -> RegistryOptions:
    mirrors = []
    for text in reader.items("mirrors") or ():
        mirror = _mirror(text) if isinstance(text, str) else None
        if mirror:
            mirrors.append(mirror)
        else:
            reader.fail("mirrors", f"{text!r} is not a registry: write HOST, HOST:PORT or HOST/PATH")
    options = RegistryOptions(
        tuple(mirrors), insecure=reader.flag("insecure", default=False), ca_file=reader.text("caFile")
    )
    reader.refuse_others()
    return options


def _mirror(text: str) -> Mirror | None:
    domain, _, prefix = text.removeprefix("https://").rstrip("/").partition("/")
    return Mirror(domain, prefix) if _is_domain(domain, prefix) else None


def _is_domain(text: str, prefix: str = "") -> bool:
    """Whether it names a host. A single word does too, although in a reference it would be a repository."""
    try:
        path = f"{prefix}/x" if prefix else "x"
        qualified = text if {".", ":"} & set(text) or text == "localhost" else f"{text}:1"
        return Reference.parse(f"{qualified}/{path}").domain == qualified
    except ValueError:
        return False
