"""iofogctl's and potctl's OfflineImage documents, as inputs. Pure except that it reads a file.

What they accept is taken from their sources (internal/execute/utils.go, internal/config/types.go,
internal/resource/types.go): a strict header, a strict spec, case-sensitive names, any scalar where text
is expected. Since 3.8 the spec names Go's architectures, and its ``arm`` is 32-bit:

    up to 3.7       x86, arm
    3.8 and newer   amd64, arm64, riscv64, arm

A document with ``arm`` alone is read the older way: its image goes to 64-bit agents and, from the
same index, to 32-bit ones.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pulumi_iofog.errors import Failures
from pulumi_iofog.inputs import yaml_nodes

KIND = "OfflineImage"
API_VERSIONS = ("iofog.org/v3", "iofogctl/v3", "potctl/v3", "datasance.com/v3")
OLDER: Mapping[str, str] = {"x86": "x86", "arm": "arm"}
NEWER: Mapping[str, str] = {"amd64": "x86", "arm64": "arm", "riscv64": "riscv64", "arm": "armv7"}
"""The spec's field → the resource's argument."""

_HEADER = ("apiVersion", "kind", "metadata", "spec", "data", "status", "rules", "roleRef", "subjects")
_METADATA = ("name", "namespace", "tags", "applicationName")
_SPEC = ("name", "x86", "arm", "amd64", "arm64", "riscv64", "auth", "agent")
_AUTH = ("username", "password")


@dataclass(frozen=True, slots=True)
class Document:
    """One ``kind: OfflineImage`` document as the resource's arguments; ``where`` is FILE:LINE."""

    where: str
    name: str
    inputs: dict[str, Any] = field(repr=False)


def read_documents(*paths: str | Path) -> list[Document]:
    """Every OfflineImage document of YAML files; other kinds are ignored.

    Raises InputError, all failures of all files at once, each at ``FILE:LINE``.
    """
    failures = Failures()
    documents: list[Document] = []
    for path in paths:
        documents += _file(Path(path).expanduser(), failures)
    names: dict[str, str] = {}
    for document in documents:
        first = names.setdefault(document.name, document.where)
        if document.name and first != document.where:
            failures.add(document.where, f"{document.name} is already defined at {first}")
    failures.raise_if_any()
    return documents


def _file(path: Path, failures: Failures) -> Iterator[Document]:
    try:
        # As bytes: the YAML parser detects UTF-16, which PowerShell writes.
        nodes = yaml_nodes.compose(path.read_bytes())
    except (OSError, ValueError) as problem:
        failures.add(str(path), " ".join(str(problem).split()))
        return
    reader = _Reader(path, failures)
    kinds = []
    for node in nodes:
        kind = _kind(node)
        kinds.append(kind)
        if kind == KIND:
            yield _document(reader, node)
        elif kind.lower().rstrip("s") == KIND.lower():
            reader.fail(node, f"unknown kind {kind}; did you mean {KIND}?")
    if not any(kind.lower().rstrip("s") == KIND.lower() for kind in kinds):
        others = ", ".join(dict.fromkeys(kind for kind in kinds if kind))
        has = f"; it has {others}" if others else ""
        failures.add(str(path), f"no document of kind: {KIND}{has}")


def _kind(node: yaml.Node | None) -> str:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    scalars = ((key.value, value.value) for key, value in pairs if isinstance(value, yaml.ScalarNode))
    return next((str(value) for key, value in scalars if key == "kind"), "")


def _document(reader: _Reader, node: yaml.Node) -> Document:
    header = reader.fields(node, "", _HEADER)
    if reader.text(header, "apiVersion") not in API_VERSIONS:
        reader.fail(header.get("apiVersion") or node, f"apiVersion must be one of {', '.join(API_VERSIONS)}")
    metadata = reader.fields(header.get("metadata"), "metadata", _METADATA)
    spec = reader.fields(header.get("spec"), "spec", _SPEC)
    name = reader.text(metadata, "name") or reader.text(spec, "name") or ""
    if not name:
        reader.fail(header.get("metadata") or node, "metadata.name is required")
    inputs: dict[str, Any] = {"name": name}
    namespace = reader.text(metadata, "namespace")
    if namespace:
        inputs["namespace"] = namespace
    inputs |= _images(reader, spec)
    auth = reader.fields(spec.get("auth"), "spec.auth", _AUTH)
    if auth:
        inputs["auth"] = {key: text for key in _AUTH if (text := reader.text(auth, key))}
    inputs["agents"] = list(dict.fromkeys(reader.texts(spec, "agent")))
    return Document(reader.where(node), name, inputs)


def _images(reader: _Reader, spec: Mapping[str, yaml.Node]) -> dict[str, str]:
    newer = [key for key in NEWER if key != "arm" and key in spec]
    if newer and "x86" in spec:
        why = f"x86 and {newer[0]} come from different versions of iofogctl, which mean different things by arm"
        reader.fail(spec["x86"], f"{why}: write amd64, arm64, riscv64 and arm, or x86 and arm")
    arguments = NEWER if newer else OLDER
    return {argument: text for key, argument in arguments.items() if (text := reader.text(spec, key))}


class _Reader:
    """Reads YAML nodes, which know their lines, noting failures."""

    def __init__(self, path: Path, failures: Failures) -> None:
        self._path, self._failures = path, failures

    def where(self, node: yaml.Node) -> str:
        return f"{self._path}:{node.start_mark.line + 1}"

    def fail(self, node: yaml.Node, reason: str) -> None:
        self._failures.add(self.where(node), reason)

    def fields(self, node: yaml.Node | None, at: str, allowed: Sequence[str]) -> dict[str, yaml.Node]:
        """An object's fields; those that are not allowed, or appear twice, are failures."""
        if node is None or _is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.fail(node, f"{at} must be an object")
            return {}
        found: dict[str, yaml.Node] = {}
        merged: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                for other in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    merged = {**self.fields(other, at, allowed), **merged}
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.fail(key, "a field's name must be text")
                continue
            name = str(key.value)[:100]
            inner = f"{at}.{name}" if at else name
            if name not in allowed:
                near = difflib.get_close_matches(name.lower(), [each.lower() for each in allowed], n=1)
                hint = next((f"; did you mean {each}?" for each in allowed if [each.lower()] == near), "")
                self.fail(key, f"unknown field {inner}{hint}")
            elif name in found:
                self.fail(key, f"{inner} appears twice")
            else:
                found[name] = value
        return {**merged, **found}

    def text(self, fields: Mapping[str, yaml.Node], key: str) -> str | None:
        """A scalar as written: a password of digits is text too."""
        node = fields.get(key)
        if node is None or _is_null(node):
            return None
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self.fail(node, f"{key} must be text")
        return None

    def texts(self, fields: Mapping[str, yaml.Node], key: str) -> list[str]:
        node = fields.get(key)
        if node is None or _is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.fail(node, f"{key} must be a list")
            return []
        texts = []
        for item in node.value:
            if text := self.text({key: item}, key):
                texts.append(text)
            elif isinstance(item, yaml.ScalarNode):
                self.fail(item, f"{key} has an empty entry")
        return texts


def _is_null(node: yaml.Node) -> bool:
    return str(node.tag) == "tag:yaml.org,2002:null"
