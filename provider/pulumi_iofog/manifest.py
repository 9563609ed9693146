"""iofogctl's YAML: OfflineImage documents and namespace files, as inputs. Pure but for reading a file.

Namespace files lie in ``~/.iofog/v3/namespaces/NS.yaml`` and say how iofogctl reaches the Controller
and the agents. Passwords in them are base64.
"""

from __future__ import annotations

import base64
import binascii
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pulumi_iofog.errors import Failure, InputError

API_VERSIONS = ("iofog.org/v3", "iofogctl/v3", "potctl/v3", "datasance.com/v3")
NAMESPACE_FOLDERS = (Path(".iofog/v3/namespaces"), Path(".potctl/v3/namespaces"))

_FIELDS: dict[str, tuple[str, ...]] = {
    "": ("apiVersion", "kind", "metadata", "spec"),
    "metadata": ("name", "namespace"),
    "spec": ("name", "x86", "arm", "auth", "agent"),
    "spec.auth": ("username", "password"),
}


@dataclass(frozen=True, slots=True)
class Document:
    """One ``kind: OfflineImage`` document as the resource's arguments; ``where`` is FILE:LINE."""

    where: str
    name: str
    inputs: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Namespace:
    """What a namespace file tells; agents as inputs of AgentArgs, by name."""

    endpoint: str | None = None
    email: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    agents: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def read_documents(path: str | Path) -> list[Document]:
    """Every OfflineImage document of a YAML file; other kinds are left alone.

    Raises InputError, all failures at once, each at ``FILE:LINE``.
    """
    path = Path(path).expanduser()
    failures: list[Failure] = []
    documents = []
    try:
        nodes = list(yaml.compose_all(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise InputError([Failure(str(path), _one_line(problem))]) from None
    for node in nodes:
        body = yaml.SafeLoader("").construct_document(node) if node else None
        if not isinstance(body, dict) or body.get("kind") != "OfflineImage":
            continue
        document = _document(path, node, body, failures)
        documents.append(document)
    if failures:
        raise InputError(failures)
    if not documents:
        raise InputError([Failure(str(path), "there is no document of kind: OfflineImage in it")])
    return documents


def read_namespace(name: str, home: Path) -> Namespace:
    """The namespace's file under the home folder, iofogctl's or potctl's; empty if there is none.

    Raises InputError for a file that is not a namespace.
    """
    for folder in NAMESPACE_FOLDERS:
        path = home / folder / f"{name}.yaml"
        if path.is_file():
            try:
                return _namespace(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
            except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, TypeError) as problem:
                raise InputError([Failure("namespace", f"{path}: {_one_line(problem)}")]) from None
    return Namespace()


def _document(path: Path, node: yaml.Node, body: dict[str, Any], failures: list[Failure]) -> Document:
    where = f"{path}:{node.start_mark.line + 1}"
    failures.extend(_unknown_fields(path, "", node))
    if body.get("apiVersion") not in API_VERSIONS:
        failures.append(Failure(where, f"apiVersion must be one of {', '.join(API_VERSIONS)}"))
    metadata, spec = body.get("metadata") or {}, body.get("spec")
    if not isinstance(spec, dict) or not isinstance(metadata, dict):
        failures.append(Failure(where, "metadata and spec must be objects"))
        return Document(where, "", {})
    name = metadata.get("name") or spec.get("name")
    if not isinstance(name, str):
        failures.append(Failure(where, "metadata.name is required"))
    inputs = {key: spec[key] for key in ("x86", "arm", "auth") if spec.get(key) is not None}
    inputs["agents"] = spec.get("agent") or []
    if metadata.get("namespace"):
        inputs["namespace"] = metadata["namespace"]
    return Document(where, str(name), {"name": name, **inputs})


def _unknown_fields(path: Path, at: str, node: yaml.Node) -> Iterator[Failure]:
    allowed = _FIELDS.get(at)
    if allowed is None or not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        where = f"{path}:{key.start_mark.line + 1}"
        inner = f"{at}.{key.value}" if at else str(key.value)
        if key.value in allowed:
            yield from _unknown_fields(path, inner, value)
            continue
        near = difflib.get_close_matches(str(key.value), allowed, n=1)
        yield Failure(where, f"unknown field {inner}" + (f"; did you mean {near[0]}?" if near else ""))


def _namespace(body: Mapping[str, Any]) -> Namespace:
    spec = body.get("spec") or body
    planes = (spec.get(key) for key in ("remoteControlPlane", "k8sControlPlane", "localControlPlane"))
    plane: Mapping[str, Any] = next((plane for plane in planes if plane), {})
    user = plane.get("iofogUser") or {}
    controllers = plane.get("controllers") or [plane.get("controller") or {}]
    endpoint = plane.get("endpoint") or next((c.get("endpoint") for c in controllers if c.get("endpoint")), None)
    agents = {agent["name"]: _agent(agent) for agent in spec.get("remoteAgents") or []}
    return Namespace(
        endpoint=endpoint,
        email=user.get("email"),
        password=_from_base64(user.get("password")),
        token=user.get("accessToken") or None,
        agents=agents,
    )


def _agent(entry: Mapping[str, Any]) -> dict[str, Any]:
    ssh = entry.get("ssh") or {}
    found = {
        "host": entry.get("host"),
        "user": ssh.get("user"),
        "port": ssh.get("port"),
        "private_key_file": ssh.get("keyFile"),
    }
    return {key: value for key, value in found.items() if value}


def _from_base64(text: str | None) -> str | None:
    """iofogctl writes base64; a value that is none was written by hand and is taken as it is."""
    if not text:
        return None
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return text


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split())
