"""Who may import whom inside the package, as a table; every module must be in it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "provider" / "pulumi_iofog"
PURE = {"errors", "fields", "image", "layout", "manifest", "plan", "settings", "spec", "state", "words", "resolve"}
ALLOWED: dict[str, set[str]] = {
    "__init__": {"args", "errors", "offline_image"},
    "offline_image": {"args", "errors", "manifest", "provider"},
    "provider": {"errors", "fields", "plan", "plugin", "progress", "resolve", "rollout", "session", "spec", "state"},
    "args": set(),
    "plugin": {"errors"},
    "progress": {"words"},
    "session": {
        *PURE,
        "adapters.controller",
        "adapters.registry",
        "adapters.ssh",
        "adapters.store",
        "edge_host",
        "rollout",
    },
    "edge_host": {"errors", "image", "layout", "plan", "spec", "adapters.engine", "adapters.spool", "adapters.ssh"},
    "rollout": {"errors", "image", "plan", "spec", "words"},
    "resolve": {"errors", "image", "manifest", "spec"},
    "state": {"errors", "fields", "image", "plan", "spec"},
    "settings": {"errors", "manifest", "spec"},
    "manifest": {"errors"},
    "spec": {"errors", "fields", "image"},
    "layout": {"image", "plan"},
    "plan": {"image", "spec", "words"},
    "fields": {"errors"},
    "image": set(),
    "errors": set(),
    "words": set(),
    "adapters.__init__": set(),
    "adapters.controller": {"errors", "spec", "adapters.controller_http", "adapters.controller_token"},
    "adapters.controller_http": {"errors", "spec"},
    "adapters.controller_token": {"errors", "spec", "adapters.controller_http"},
    "adapters.engine": {
        *("errors", "image", "layout", "plan", "spec", "words"),
        *("adapters.engine_answers", "adapters.sudo"),
    },
    "adapters.engine_answers": {"errors", "image", "plan", "spec"},
    "adapters.sudo": {"adapters.engine_answers"},
    "adapters.host_keys": {"errors"},
    "adapters.docker_config": {"errors", "spec"},
    "adapters.file_lock": set(),
    "adapters.recode": {"errors", "image"},
    "adapters.recode_child": set(),
    "adapters.registry": {"errors", "image", "spec", "adapters.registry_auth", "adapters.registry_http"},
    "adapters.registry_auth": {"image", "spec", "adapters.docker_config", "adapters.registry_http"},
    "adapters.registry_http": {"errors"},
    "adapters.spool": {"errors", "image", "layout"},
    "adapters.private_keys": set(),
    "adapters.ssh": {
        "errors",
        "spec",
        *(f"adapters.{part}" for part in ("host_keys", "private_keys", "ssh_channel", "ssh_config", "ssh_errors")),
    },
    "adapters.ssh_channel": {"adapters.ssh_config", "adapters.ssh_errors"},
    "adapters.ssh_config": {"errors", "spec"},
    "adapters.ssh_errors": {"errors", "adapters.ssh_config"},
    "adapters.store": {"errors", "image", "words", "adapters.file_lock"},
}
ONLY_AT = {
    "pulumi": {"args", "offline_image", "plugin", "provider"},
    "cryptography": {"adapters.private_keys"},
    "paramiko": {
        "adapters.host_keys",
        "adapters.private_keys",
        *(f"adapters.ssh{part}" for part in ("", "_channel", "_config", "_errors")),
    },
    "requests": {"adapters.controller_http", "adapters.registry", "adapters.registry_auth", "adapters.registry_http"},
    "subprocess": {"adapters.docker_config", "adapters.recode"},
    "socket": {"adapters.ssh_errors"},
    "backports": {"adapters.recode_child"},
}
"""Libraries that only these modules may import."""

MODULES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path: Path) -> set[str]:
    """Full names of what a module imports, ours by their name inside the package."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from pulumi_iofog import words` names a module, `from pulumi_iofog.image import Blob` does not.
            found |= {name if name.removeprefix("pulumi_iofog.") in MODULES else node.module for name in names}
    return found


def test_the_table_names_every_module() -> None:
    assert set(ALLOWED) == set(MODULES)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_it_may(module: str) -> None:
    ours = {name.removeprefix("pulumi_iofog.") for name in imported(MODULES[module]) if name.startswith("pulumi_iofog")}
    assert ours <= ALLOWED.get(module, set())


@pytest.mark.parametrize("library", sorted(ONLY_AT))
def test_a_library_is_met_at_its_own_door_only(library: str) -> None:
    users = {
        module for module, path in MODULES.items() if any(name.partition(".")[0] == library for name in imported(path))
    }
    assert users == ONLY_AT[library]


def test_the_provider_never_imports_the_lab() -> None:
    assert not any(name.partition(".")[0] in ("lab", "tests") for path in MODULES.values() for name in imported(path))
