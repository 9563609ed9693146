"""OfflineImage documents → the Pulumi program that does the same. Pure.

The program is formatted as by ``ruff format``: a call with keyword arguments spreads over lines of its own, with a
comma after the last. It contains no secrets: they are read from the stack's config.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pulumi_iofog.errors import Failures, InputError
from pulumi_iofog.inputs.iofogctl_document import Document
from pulumi_iofog.inputs.spec import parse

WIDTH = 88
"""Ruff's default, which most projects keep."""
INDENT = "    "
_TAKEN = frozenset({"pulumi", "iofog", "config"})
_ORDER = (
    *("name", "namespace", "x86", "arm", "riscv64", "armv7", "auth", "agents"),
    *("transfer_pool", "cache", "adopt"),
)


@dataclass(frozen=True, slots=True)
class Flags:
    """What ``iofogctl deploy`` was called with; and ``adopt``, for items that it has registered already."""

    namespace: str | None = None
    transfer_pool: int = 2
    cache: bool = True
    adopt: bool = False


@dataclass(frozen=True, slots=True)
class _Call:
    """A call; ``keywords`` spread it over lines of its own."""

    name: str
    arguments: Sequence[Any] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Code:
    """An expression as it is."""

    text: str


def program(documents: Sequence[Document], flags: Flags | None = None) -> str:
    """The program's text. Raises InputError for documents that iofogctl would refuse, all at once."""
    flags = flags or Flags()
    _refuse(documents, flags)
    variables, secrets = _variables(documents), _secrets(documents)
    files = dict.fromkeys(re.sub(r"[^\w.-]", "_", _file(document)) for document in documents)
    parts = [f'"""Offline images, converted from iofogctl documents: {", ".join(files)}."""']
    parts.append("import pulumi\nimport pulumi_iofog as iofog")
    if secrets:
        parts.append("config = pulumi.Config()")
    for document in documents:
        secret = secrets.get(document.name)
        comment = f"# pulumi config set --secret {secret}\n" if secret else ""
        parts.append(f"{comment}{variables[document.name]} = {_text(_resource(document, secret, flags))}")
    ids = {name: _Code(f"{variable}.catalog_item_id") for name, variable in variables.items()}
    parts.append(_text(_Call("pulumi.export", ("catalog_item_ids", ids))))
    return "\n\n".join(parts) + "\n"


def _refuse(documents: Sequence[Document], flags: Flags) -> None:
    failures = Failures()
    for document in documents:
        try:
            parse(document.inputs)
        except InputError as problem:
            for each in problem.failures:
                failures.add(document.where, f"{each.path}: {each.reason}")
        own = document.inputs.get("namespace")
        if own and flags.namespace and own != flags.namespace:
            failures.add(document.where, f"it is for namespace {own}, not {flags.namespace}")
    failures.raise_if_any()


def _resource(document: Document, secret: str | None, flags: Flags) -> _Call:
    inputs = {"namespace": flags.namespace, **document.inputs}
    if secret:
        password = _Call("config.require_secret", (secret,))
        auth = {"username": inputs["auth"]["username"], "password": password}
        inputs["auth"] = _Call("iofog.RegistryAuthArgs", keywords=auth)
    inputs |= {
        "name": None,  # the Pulumi name is also the item's name
        "namespace": None if inputs["namespace"] == "default" else inputs["namespace"],
        # iofogctl uses its default for a number of workers below 1.
        "transfer_pool": flags.transfer_pool if flags.transfer_pool > 0 and flags.transfer_pool != 2 else None,
        "cache": None if flags.cache else False,
        "adopt": flags.adopt or None,
    }
    given = {key: inputs[key] for key in _ORDER if inputs.get(key) is not None}
    return _Call("iofog.OfflineImage", (document.name,), given)


def _variables(documents: Sequence[Document]) -> dict[str, str]:
    """Document's name → its own variable."""
    found: dict[str, str] = {}
    for document in documents:
        name = re.sub(r"\W", "_", document.name, flags=re.ASCII)
        if name[:1].isdigit() or keyword.iskeyword(name) or name in _TAKEN:
            name = f"image_{name}"
        while name in found.values():
            name += "_"
        found[document.name] = name
    return found


def _secrets(documents: Sequence[Document]) -> dict[str, str]:
    """Document's name → the config key of its password; the same password has one key."""
    auths = {document.name: document.inputs["auth"] for document in documents if "auth" in document.inputs}
    different = {(auth["username"], auth["password"]) for auth in auths.values()}
    if len(different) <= 1:
        return dict.fromkeys(auths, "registryPassword")
    return {name: f"{_camel(name)}RegistryPassword" for name in auths}


def _camel(name: str) -> str:
    first, *rest = [word for word in re.split(r"[^A-Za-z0-9]+", name) if word]
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _file(document: Document) -> str:
    return document.where.rpartition(":")[0].rpartition("/")[2]


# ---- Python, written out ---------------------------------------------------------------------------


def _text(value: Any, before: str = "") -> str:
    """An expression; ``before`` is what stands on its line already."""
    if isinstance(value, _Code):
        return value.text
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Mapping):
        return _block("{", ((f"{_quoted(key)}: ", item) for key, item in value.items()), "}", before)
    if isinstance(value, Sequence):
        return _block("[", (("", item) for item in value), "]", before)
    if not isinstance(value, _Call):
        return repr(value)
    if not value.keywords and not any(isinstance(each, Mapping) for each in value.arguments):
        inline = f"{value.name}({', '.join(_text(each) for each in value.arguments)})"
        if len(before) + len(inline) < WIDTH:  # and the comma
            return inline
    parts = [("", each) for each in value.arguments] + [(f"{key}=", each) for key, each in value.keywords.items()]
    return _block(f"{value.name}(", iter(parts), ")", before)


def _block(opening: str, parts: Iterator[tuple[str, Any]], closing: str, before: str) -> str:
    margin = before[: len(before) - len(before.lstrip())]
    lines = []
    for head, value in parts:
        start = f"{margin}{INDENT}{head}"
        lines.append(f"{start}{_text(value, start)},\n")
    return f"{opening}\n{''.join(lines)}{margin}{closing}"


def _quoted(text: str) -> str:
    """With double quotes, unless that needs more backslashes."""
    literal = repr(text)
    if literal.startswith('"') or text.count('"') > text.count("'"):
        return literal
    inner = literal[1:-1].replace("\\'", "'").replace('"', '\\"')
    return f'"{inner}"'
