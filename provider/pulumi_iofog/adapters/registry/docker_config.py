"""The credentials that docker keeps, and podman and skopeo after it: config.json and credential helpers.

Sources: docker/cli ``cli/config/configfile/file.go`` (which store is asked, how ``auth`` is read),
docker/docker-credential-helpers (the protocol), and containers-auth.json(5) (its places, keys with a path).
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pulumi_iofog.errors import RegistryError
from pulumi_iofog.inputs.spec import RegistryAuth

DOCKER_HUB = "https://index.docker.io/v1/"
HELPER_TIMEOUT = 30.0
"""Seconds for a credential helper."""
TOKEN_USER = "<token>"  # noqa: S105
"""What a credential helper gives as the user if the secret is an identity token."""
NOT_FOUND = ("credentials not found", "credentials server URL", "credentials username")
"""How helpers say that they have nothing for a server (docker-credential-helpers, credentials/error.go)."""


def default_paths() -> list[Path]:
    """``$DOCKER_CONFIG/config.json``, else ``~/.docker/config.json``; then podman's and skopeo's:
    ``$REGISTRY_AUTH_FILE`` and ``$XDG_RUNTIME_DIR/containers/auth.json``."""
    docker = Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")) / "config.json"  # noqa: PTH111
    named, runtime = os.environ.get("REGISTRY_AUTH_FILE"), os.environ.get("XDG_RUNTIME_DIR")
    return [docker, *([Path(named)] if named else []), *([Path(runtime, "containers/auth.json")] if runtime else [])]


def first(paths: Sequence[Path], domain: str, repository: str = "") -> RegistryAuth | None:
    """The first of the files that has credentials. Raises RegistryError, as ``credentials`` does."""
    return next((found for path in paths if (found := credentials(path, domain, repository))), None)


def credentials(path: Path, domain: str, repository: str = "") -> RegistryAuth | None:
    """What docker would use: the registry's helper, or the default one; else its entry in the file; else None.

    Args:
        repository: the image's path in the registry, for entries that are only for a part of it.

    Raises RegistryError if the file, or a helper's answer, cannot be read.
    """
    try:
        config: dict[str, Any] = json.loads(path.read_bytes())
        helpers = dict(config.get("credHelpers") or {})
        entries = dict(config.get("auths") or {})
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise _unreadable(path, problem.strerror or "it cannot be read") from None
    except ValueError as problem:
        raise _unreadable(path, f"it is not JSON ({problem})") from None
    except (AttributeError, TypeError):
        raise _unreadable(path, "it does not have docker's format") from None
    server = DOCKER_HUB if domain == "docker.io" else domain
    helper = helpers.get(domain) or helpers.get(server) or config.get("credsStore")
    found = _from_helper(str(helper), server) if helper else None
    return found or _from_entries(entries, server, repository, path)


def _unreadable(path: Path, why: str) -> RegistryError:
    return RegistryError(str(path), "reading docker's configuration", why, "Fix it, or set auth=")


def _from_entries(entries: dict[str, Any], server: str, repository: str, path: Path) -> RegistryAuth | None:
    """The most specific key first; then the server's own, then others for the same host, as docker compares
    them."""
    mine = [key for key in entries if _host(key) == _host(server) and _covers(_part(key), repository)]
    for key in sorted(mine, key=lambda key: (-len(_part(key)), key != server)):
        if found := _from_entry(key, entries[key], path):
            return found
    return None


def _part(key: str) -> str:
    """``host/team/app`` → ``team/app``. With a scheme, or an API version for a path, the key is for the whole host."""
    part = "" if "://" in key else key.partition("/")[2].strip("/")
    return "" if part in ("v1", "v2") else part


def _covers(part: str, repository: str) -> bool:
    return not part or f"{repository}/".startswith(f"{part}/")


def _host(key: str) -> str:
    """``https://host/v1/`` → ``host``."""
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _from_entry(key: str, entry: Any, path: Path) -> RegistryAuth | None:
    if not isinstance(entry, dict):
        return None
    if entry.get("identitytoken"):
        return RegistryAuth(TOKEN_USER, str(entry["identitytoken"]))
    if entry.get("username") and entry.get("password"):
        return RegistryAuth(str(entry["username"]), str(entry["password"]))
    if not entry.get("auth"):
        return None
    try:
        text = base64.b64decode("".join(str(entry["auth"]).split()), validate=True).decode()
    except ValueError:
        raise _unreadable(path, f"auth of {key} is not base64") from None
    username, colon, password = text.partition(":")
    if not colon:
        raise _unreadable(path, f"auth of {key} is not base64 of user:password")
    return RegistryAuth(username, password.strip("\0"))


def _from_helper(name: str, server: str) -> RegistryAuth | None:
    """``docker-credential-NAME get`` with the server on its standard input, as docker calls it."""
    program = f"docker-credential-{name}"
    doing = f"asking {program} for credentials"
    try:
        done = subprocess.run(
            [program, "get"], input=server.encode(), capture_output=True, timeout=HELPER_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise RegistryError(server, doing, "it did not answer in time", "Set auth=") from None
    except OSError as problem:
        hint = f"docker's config.json names it: put {program} on PATH, or set auth="
        raise RegistryError(server, doing, str(problem.strerror), hint) from None
    if done.returncode != 0:
        # Helpers say what is wrong on their standard output; having nothing for a server is not a failure.
        said = " ".join((done.stdout.strip() or done.stderr.strip()).decode(errors="replace").split())
        if any(words in said for words in NOT_FOUND):
            return None
        raise RegistryError(server, doing, f"exit {done.returncode}: {said[:200]}", "Set auth=")
    try:
        found = json.loads(done.stdout)
        # Some helpers answer with empty strings instead of saying that they have nothing.
        return RegistryAuth(found["Username"], found["Secret"]) if found["Secret"] else None
    except (ValueError, KeyError, TypeError):
        raise RegistryError(server, doing, "its answer cannot be read", "Set auth=") from None
