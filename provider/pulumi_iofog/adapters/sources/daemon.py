"""The operator's Docker engine, by docker's SDK.

Which engine: ``DOCKER_HOST`` (with ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH``), else docker's current context,
else the local socket. For ssh:// the system's ssh is used, as docker's own command does, with its known hosts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import requests
from docker import errors
from docker.context import ContextAPI

from pulumi_iofog.errors import SourceError

ANSWER, SAVE = 30, 1800
"""Seconds for an answer, and between two bytes of a save: an engine packs the whole image before it sends any."""
CHUNK = 1 << 20


class Daemon:
    """See the module; methods raise SourceError."""

    def image_id(self, name: str) -> str:
        """The engine's own id of the image (``GET /images/NAME/json``): the config's digest on the classic
        store, the manifest's or index's on containerd's."""
        doing = f"looking for {name}"
        with _connected(doing, ANSWER) as (who, client):
            try:
                return str(client.images.get(name).id)
            except errors.ImageNotFound:
                hint = "Build or pull it there, or select another engine with DOCKER_HOST"
                why = "it has no such image"
                if ":" not in name.rpartition("/")[2]:
                    why += " (without a tag, :latest is looked for)"
                raise SourceError(who, doing, why, hint) from None

    def save(self, image_id: str, out: Path) -> None:
        """``docker save`` of an image into a file, which is whole or not there."""
        part = out.with_name(f"{out.name}.part")
        try:
            with _connected(f"saving {image_id}", SAVE) as (_, client), part.open("wb") as file:
                file.writelines(client.api.get_image(image_id, chunk_size=CHUNK))
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _connected(doing: str, timeout: int) -> Iterator[tuple[str, docker.DockerClient]]:
    """The engine's name for errors, and a client of it; the SDK's errors → SourceError."""
    who, client = "the docker engine", None
    try:
        host, options = _place()
        who = f"the docker engine at {host}"
        make = docker.DockerClient if options else docker.from_env
        client = make(**options, timeout=timeout, use_ssh_client=True)
        yield who, client
    except (errors.DockerException, requests.RequestException) as problem:
        hint = "Is it running, and are you allowed to use it? DOCKER_HOST selects another"
        raise SourceError(who, doing, _cause(problem), hint) from None
    finally:
        if client:
            client.close()


def _place() -> tuple[str, dict[str, Any]]:
    """The engine's address, and options for the SDK."""
    if host := os.environ.get("DOCKER_HOST"):
        return host, {}
    context: Any = ContextAPI.get_current_context()
    if context and context.name != "default" and context.Host:
        return context.Host, {"base_url": context.Host, "tls": context.TLSConfig or False}
    return "its local socket", {}


def _cause(problem: BaseException) -> str:
    """The words at the bottom of what docker, requests and urllib3 have wrapped them in."""
    inner = (getattr(problem, "reason", None), problem.__cause__, problem.__context__, *problem.args)
    deeper = next((each for each in inner if isinstance(each, BaseException)), None)
    if deeper and not isinstance(problem, errors.APIError):
        return _cause(deeper)
    said = getattr(problem, "explanation", None) or getattr(problem, "strerror", None) or problem
    return str(said) or type(problem).__name__
