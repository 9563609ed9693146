"""Who may import whom inside the package: one rule a folder, as data."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "provider" / "pulumi_iofog"

EVERYWHERE = {"errors", "outside", "text"}
"""What every room may import."""
PURE = {"oci", "inputs", "transfer"}
ACTING = {*PURE, "log"}
"""What rooms may import that do what others have decided."""
RULES: dict[str, set[str]] = {
    "errors": set(),
    "outside": set(),
    "text": set(),
    "log": set(),
    "oci": set(),
    "inputs": {"oci"},
    "transfer": {"oci", "inputs"},
    "check": PURE,
    "rollout": ACTING,
    "adapters": set(),
    "adapters.backend": set(),
    "adapters.http": {"log"},
    "adapters.namespace_file": ACTING,
    "adapters.cache": ACTING,
    "adapters.controller": {*ACTING, "adapters.http"},
    "adapters.gzip_tokens": PURE,
    "adapters.host": {*ACTING, "adapters.gzip_tokens", "adapters.ssh"},
    "adapters.recode": {*ACTING, "adapters.gzip_tokens"},
    "adapters.registry": {*ACTING, "adapters.http"},
    "adapters.sources": ACTING,
    "adapters.ssh": ACTING,
    "saved_name": set(),
    "session": {*ACTING, "check", "rollout", "adapters"},
    "plugin": {"log"},
    "provider": {*ACTING, "check", "rollout", "session", "plugin", "saved_name"},
    "program": {*PURE, "saved_name"},
    "convert": {"inputs"},
    "sudoers": {"inputs"},
    "__init__": {"program"},
    "__main__": {"convert", "inputs", "sudoers"},
}
"""Room → the other rooms that its modules may import; "adapters" stands for each of them."""
ONLY_AT = {
    "pulumi": {"check", "plugin", "program", "provider", "saved_name"},
    "paramiko": {"adapters.ssh"},
    "cryptography": {"adapters.ssh"},
    "socket": {"adapters.backend", "adapters.http", "adapters.registry", "adapters.ssh", "plugin"},
    "requests": {"adapters.controller", "adapters.http", "adapters.registry", "adapters.sources"},
    "docker": {"adapters.sources"},
    "subprocess": {"adapters.recode", "adapters.registry", "adapters.ssh"},
    "backports": {"adapters.recode", "adapters.sources"},
    "logging": {"adapters.ssh", "log"},
}
"""Libraries that only these rooms may import: each is met, and its errors are translated, in one place."""

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def room_of(module: str) -> str:
    """``adapters.ssh.channel`` → ``adapters.ssh``, ``check.diff`` → ``check``."""
    return ".".join(module.split(".")[: 2 if module.startswith("adapters.") else 1])


@cache
def imported(path: Path) -> frozenset[str]:
    """Full names of what a module imports, ours by their name inside the package."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from pulumi_iofog import text` names a module, `from pulumi_iofog.errors import Failure` does not.
            found |= {name if name.removeprefix("pulumi_iofog.") in MODULES else node.module for name in names}
    return frozenset(found)


def ours(path: Path) -> set[str]:
    """The package's own modules that one of them imports."""
    return {name.removeprefix("pulumi_iofog.") for name in imported(path) if name.startswith("pulumi_iofog.")}


def test_every_module_has_a_room_with_a_rule() -> None:
    assert {room_of(module) for module in MODULES} == set(RULES)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    room = room_of(module)
    may = EVERYWHERE | RULES[room] | {room}
    rooms = {room_of(name) for name in ours(MODULES[module])}
    assert {each for each in rooms if each not in may and each.partition(".")[0] not in may} == set()


def test_no_module_is_part_of_a_circle() -> None:
    tuple(TopologicalSorter({module: ours(path) for module, path in MODULES.items()}).static_order())


@pytest.mark.parametrize("library", sorted(ONLY_AT))
def test_a_library_is_met_at_its_own_door_only(library: str) -> None:
    users = {
        room_of(module)
        for module, path in MODULES.items()
        if any(name.partition(".")[0] == library for name in imported(path))
    }
    assert users == ONLY_AT[library]


def test_the_provider_never_imports_the_lab() -> None:
    assert not any(name.partition(".")[0] in ("lab", "tests") for path in MODULES.values() for name in imported(path))
