"""The credentials that docker keeps, and podman and skopeo after it: config.json and credential helpers.

Sources: docker/cli ``cli/config/configfile/file.go`` (which store is asked, how ``auth`` is read),
docker/docker-credential-helpers (the protocol), and containers-auth.json(5) (its places, keys with a path).
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi_iofog.errors import RegistryError
from pulumi_iofog.inputs.spec import RegistryAuth
from pulumi_iofog.outside import object_of

DOCKER_HUB = "https://index.docker.io/v1/"
HELPER_TIMEOUT = 30.0
"""Seconds for a credential helper."""
TOKEN_USER = "<token>"  # noqa: S105  # nosec B105
"""What a credential helper gives as the user if the secret is an identity token."""
NOT_FOUND = ("credentials not found", "credentials server URL", "credentials username")
"""How helpers say that they have nothing for a server (docker-credential-helpers, credentials/error.go)."""


def default_paths() -> list[Path]:
    """``$DOCKER_CONFIG/config.json``, else ``~/.docker/config.json``; then podman's and skopeo's:
    ``$REGISTRY_AUTH_FILE`` and ``$XDG_RUNTIME_DIR/containers/auth.json``."""
    docker = Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")) / "config.json"  # noqa: PTH111
    named, runtime = os.environ.get("REGISTRY_AUTH_FILE"), os.environ.get("XDG_RUNTIME_DIR")
    return [docker, *([Path(named)] if named else []), *([Path(runtime, "containers/auth.json")] if runtime else [])]


Absent = Callable[[str], None]
"""Gets the name of a credential helper that is not installed."""


def _ignore(program: str) -> None: ...


def first(paths: Sequence[Path], domain: str, repository: str = "", *, absent: Absent = _ignore) -> RegistryAuth | None:
    """The first of the files that has credentials. Raises RegistryError, as ``credentials`` does."""
    found = (credentials(path, domain, repository, absent=absent) for path in paths)
    return next(filter(None, found), None)


def credentials(path: Path, domain: str, repository: str = "", *, absent: Absent = _ignore) -> RegistryAuth | None:
    """What docker would use: the registry's helper, or the default one; else its entry in the file; else None.

    Args:
        repository: the image's path in the registry, for entries that are only for a part of it.
        absent: is told of a helper that is not installed, without which it goes on.

    Raises RegistryError if the file, or a helper's answer, cannot be read.
    """
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise _unreadable(path, problem.strerror or "it cannot be read") from None
    entries, helper = parse(raw, domain, path)
    server = _server(domain)
    found = _from_helper(helper, server, absent) if helper else None
    return found or _from_entries(entries, server, repository, path)


def parse(raw: bytes, domain: str, path: Path) -> tuple[Mapping[str, Any], str]:
    """A config's entries, and the name of the helper for a registry; empty where there is none. RegistryError if it
    does not have docker's format."""
    try:
        config = object_of(raw)
    except ValueError as problem:
        raise _unreadable(path, str(problem)) from None
    entries, helpers, store = (config.get(key) for key in ("auths", "credHelpers", "credsStore"))
    entries, helpers = ({} if each is None else each for each in (entries, helpers))
    for key, value in (("auths", entries), ("credHelpers", helpers)):
        if not isinstance(value, dict):
            raise _unreadable(path, f"{key} is not an object")
    helper = helpers.get(domain) or helpers.get(_server(domain)) or store or ""
    if not isinstance(helper, str) or not helper.isprintable() or "/" in helper:
        raise _unreadable(path, f"the credential helper for {domain} is not a program's name")
    return entries, helper


def _server(domain: str) -> str:
    return DOCKER_HUB if domain == "docker.io" else domain


def _unreadable(path: Path, why: str) -> RegistryError:
    return RegistryError(str(path), "reading docker's configuration", why, "Fix it, or set auth=")


def _from_entries(entries: Mapping[str, Any], server: str, repository: str, path: Path) -> RegistryAuth | None:
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


def _from_helper(name: str, server: str, absent: Absent) -> RegistryAuth | None:
    """``docker-credential-NAME get`` with the server on its standard input, as docker calls it."""
    program = f"docker-credential-{name}"
    doing = f"asking {program} for credentials"
    try:
        # The operator's own configuration names it; ``parse`` lets it be a program's name only.
        done = subprocess.run(  # noqa: S603
            [program, "get"], input=server.encode(), capture_output=True, timeout=HELPER_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise RegistryError(server, doing, "it did not answer in time", "Set auth=") from None
    except FileNotFoundError:
        absent(program)
        return None
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
        return parse_answer(done.stdout)
    except ValueError:
        raise RegistryError(server, doing, "its answer cannot be read", "Set auth=") from None


def parse_answer(raw: bytes) -> RegistryAuth | None:
    """What a helper has answered; None for nothing. ValueError if it cannot be read."""
    answer = object_of(raw)
    username, secret = answer.get("Username"), answer.get("Secret")
    if not isinstance(username, str) or not isinstance(secret, str):
        raise ValueError("without Username or Secret")
    # Some helpers answer with empty strings instead of saying that they have nothing.
    return RegistryAuth(username, secret) if secret else None
