"""Who may import whom inside the package, as a table; every module must be in it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "provider" / "pulumi_iofog"
PURE = {
    *("errors", "fields", "image", "layout", "namespace", "plan", "registries", "resolve", "settings", "spec", "state"),
    "words",
}
ALLOWED: dict[str, set[str]] = {
    "__init__": {"args", "errors", "offline_image", "offline_image_set"},
    "__main__": {"convert", "errors", "manifest"},
    "convert": {"errors", "manifest", "spec"},
    "offline_image": {"args", "errors", "manifest", "provider"},
    "offline_image_set": {"args", "errors", "offline_image"},
    "provider": {
        *("errors", "outcome", "pace", "plan", "plugin", "progress", "properties", "resolve", "rollout", "session"),
        *("spec", "state", "adapters.ssh.pool"),
    },
    "properties": {"fields", "resolve", "spec", "state"},
    "args": {"spec"},
    "plugin": {"errors"},
    "progress": {"words"},
    "session": {
        *PURE,
        *("blobs", "edge_host", "images", "pace", "rollout"),
        *("adapters.controller.controller", "adapters.namespace_file", "adapters.recode"),
        *("adapters.registry.registry", "adapters.sources.local", "adapters.ssh.connect", "adapters.ssh.pool"),
        "adapters.store.store",
    },
    "images": {"blobs", "errors", "image", "adapters.store.store"},
    "edge_host": {
        *("errors", "following", "image", "layout", "parts", "spec", "transfer", "adapters.engine.find"),
        *("adapters.spool", "adapters.ssh.connect", "adapters.ssh.link"),
    },
    "blobs": {
        *("errors", "image", "layout", "parts", "adapters.recode", "adapters.store.growing"),
        "adapters.store.store",
    },
    "rollout": {"behind", "errors", "image", "layout", "load", "outcome", "parts", "spec", "transfer"},
    "outcome": {"errors", "words"},
    "behind": {"errors"},
    "following": {"behind", "errors"},
    "load": {"following", "image", "parts"},
    "resolve": {"errors", "image", "locate", "namespace", "offers", "spec"},
    "offers": {"errors", "image", "spec"},
    "locate": {"errors", "namespace", "spec"},
    "state": {"errors", "fields", "image", "plan", "spec"},
    "settings": {"errors", "namespace", "spec"},
    "manifest": {"errors"},
    "namespace": set(),
    "spec": {"errors", "fields", "image"},
    "layout": {"image", "parts"},
    "delta": set(),
    "transfer": {"delta", "image", "parts"},
    "parts": {"image"},
    "plan": {"image", "spec", "transfer", "words"},
    "fields": {"errors"},
    "pace": {"errors"},
    "image": {"reference"},
    "reference": set(),
    "registries": {"errors", "fields", "image"},
    "errors": set(),
    "words": set(),
    "adapters.__init__": set(),
    **{f"adapters.{room}.__init__": set() for room in ("controller", "engine", "registry", "sources", "ssh", "store")},
    "adapters.controller.controller": {
        *("errors", "spec"),
        *("adapters.controller.dialect", "adapters.controller.http", "adapters.controller.token"),
    },
    "adapters.controller.dialect": {"spec"},
    "adapters.controller.http": {"errors", "spec", "adapters.controller.dialect"},
    "adapters.controller.token": {"errors", "spec", "adapters.controller.http"},
    "adapters.engine.engine": {
        *("errors", "image", "layout", "parts", "words", "adapters.engine.answers"),
        *("adapters.engine.archive", "adapters.engine.following", "adapters.engine.sudo", "adapters.shell"),
    },
    "adapters.engine.find": {
        *("errors", "spec", "adapters.engine.answers", "adapters.engine.engine", "adapters.engine.sudo"),
        "adapters.shell",
    },
    "adapters.engine.archive": {"image", "layout"},
    "adapters.engine.following": {"following", "image", "layout", "parts", "adapters.engine.archive"},
    "adapters.engine.answers": {"errors", "image", "layout", "parts", "spec"},
    "adapters.engine.sudo": {"adapters.shell"},
    "adapters.namespace_file": {"errors", "namespace"},
    "adapters.recode": {"errors", "image"},
    "adapters.recode_child": set(),
    "adapters.registry.registry": {
        *("errors", "image", "registries", "spec"),
        *("adapters.registry.auth", "adapters.registry.hosts", "adapters.registry.http"),
    },
    "adapters.registry.auth": {
        *("errors", "spec"),
        *("adapters.registry.docker_config", "adapters.registry.hosts", "adapters.registry.http"),
    },
    "adapters.registry.docker_config": {"errors", "spec"},
    "adapters.registry.hosts": {"errors", "image", "registries", "adapters.registry.http"},
    "adapters.registry.http": {"errors"},
    "adapters.shell": set(),
    "adapters.spool": {"errors", "image", "layout", "parts", "adapters.shell"},
    "adapters.sources.daemon": {"errors"},
    "adapters.sources.docker_archive": {"errors", "image", "adapters.sources.files", "adapters.sources.found"},
    "adapters.sources.files": {"errors", "image"},
    "adapters.sources.found": {"image"},
    "adapters.sources.layout": {"errors", "image", "adapters.sources.files", "adapters.sources.found"},
    "adapters.sources.local": {
        *("errors", "image", "adapters.sources", "adapters.sources.daemon", "adapters.sources.docker_archive"),
        *("adapters.sources.files", "adapters.sources.found", "adapters.sources.layout", "adapters.sources.packed"),
    },
    "adapters.sources.packed": {"errors", "adapters.sources.files"},
    "adapters.ssh.connect": {
        *("errors", "spec", "adapters.ssh.channel", "adapters.ssh.config", "adapters.ssh.dial"),
        *("adapters.ssh.errors", "adapters.ssh.host_keys", "adapters.ssh.login"),
    },
    "adapters.ssh.certificates": {"adapters.ssh.known_hosts", "adapters.ssh.ssh_config"},
    "adapters.ssh.channel": {"adapters.ssh.config", "adapters.ssh.errors"},
    "adapters.ssh.link": {"adapters.shell", "adapters.ssh.channel"},
    "adapters.ssh.config": {"errors", "spec", "adapters.ssh.settings", "adapters.ssh.ssh_config"},
    "adapters.ssh.dial": {"adapters.ssh.channel", "adapters.ssh.config", "adapters.ssh.settings"},
    "adapters.ssh.errors": {"errors", "adapters.ssh.config"},
    "adapters.ssh.host_keys": {"errors", "adapters.ssh.certificates", "adapters.ssh.known_hosts"},
    "adapters.ssh.identities": {
        *("errors", "adapters.ssh.certificates", "adapters.ssh.config", "adapters.ssh.private_keys"),
        *("adapters.ssh.settings", "adapters.ssh.ssh_agent"),
    },
    "adapters.ssh.keywords": set(),
    "adapters.ssh.known_hosts": {"adapters.ssh.ssh_config"},
    "adapters.ssh.login": {"adapters.ssh.config", "adapters.ssh.errors", "adapters.ssh.identities"},
    "adapters.ssh.pool": {"errors", "spec", "adapters.ssh.connect"},
    "adapters.ssh.private_keys": {"adapters.ssh.known_hosts"},
    "adapters.ssh.settings": {"adapters.ssh.keywords"},
    "adapters.ssh.ssh_agent": {"adapters.ssh.certificates"},
    "adapters.ssh.ssh_config": {"adapters.ssh.keywords", "adapters.ssh.settings"},
    "adapters.store.file_lock": set(),
    "adapters.store.growing": set(),
    "adapters.store.files": set(),
    "adapters.store.store": {"errors", "image", "words", "adapters.store.file_lock", "adapters.store.files"},
}
ONLY_AT = {
    "pulumi": {"args", "offline_image", "offline_image_set", "plugin", "properties", "provider"},
    "paramiko": {"adapters.ssh"},
    "cryptography": {"adapters.ssh"},
    "socket": {"adapters.registry", "adapters.ssh"},
    "requests": {"adapters.controller", "adapters.registry", "adapters.sources"},
    "docker": {"adapters.sources"},
    "subprocess": {"adapters.recode", "adapters.registry", "adapters.ssh"},
    "backports": {"adapters.recode_child", "adapters.sources"},
}
"""Libraries that only these rooms may import: each is met, and its errors are translated, in one place."""

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
        ".".join(module.split(".")[:2])
        for module, path in MODULES.items()
        if any(name.partition(".")[0] == library for name in imported(path))
    }
    assert users == ONLY_AT[library]


def test_the_provider_never_imports_the_lab() -> None:
    assert not any(name.partition(".")[0] in ("lab", "tests") for path in MODULES.values() for name in imported(path))
