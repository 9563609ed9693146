"""An image registry, read only: OCI distribution spec 1.1, and Docker's Registry HTTP API v2 before it."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from pulumi_iofog.adapters.registry import http
from pulumi_iofog.adapters.registry.auth import Authenticator
from pulumi_iofog.adapters.registry.http import CHUNK, TRANSIENT, TRIES, Http, Passing, Patience, Task, translated
from pulumi_iofog.errors import ImageNotFound, RegistryError
from pulumi_iofog.image import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Blob,
    Reference,
    media_type_of,
    sha256,
)
from pulumi_iofog.spec import RegistryAuth

MANIFEST_LIMIT = 4 << 20
"""Bytes; what the distribution spec asks registries to accept at least."""
MESSAGE_LIMIT = 64 << 10
"""Bytes read of an error's body."""
ACCEPT = ", ".join((OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST))


class Registry:
    """Reads manifests and blobs; several threads may use it.

    Args:
        auth: the user's credentials; else docker's configuration is asked, else anonymous.
        insecure: registries (``host:port``) spoken to by plain http, besides those on loopback.
        docker_config: instead of ``$DOCKER_CONFIG/config.json`` or ``~/.docker/config.json``.
        timeout: seconds for connecting and for each read.
        patience: how long to wait before trying again.

    Methods raise RegistryError; ImageNotFound where repository, tag or digest are not there.
    """

    def __init__(
        self,
        auth: RegistryAuth | None = None,
        *,
        insecure: frozenset[str] = frozenset(),
        docker_config: Path | None = None,
        timeout: tuple[float, float] = (10.0, 60.0),
        patience: Patience | None = None,
    ) -> None:
        self._insecure = insecure
        self._http = Http(timeout, patience or Patience())
        self._auth = Authenticator(self._http, auth, docker_config)

    def close(self) -> None:
        self._http.close()

    def manifest(self, reference: Reference, target: str | None = None) -> tuple[bytes, str]:
        """A manifest's or index's own bytes and media type (``GET /v2/<name>/manifests/<reference>``).

        Args:
            target: a digest or tag instead of the reference's own; a digest is verified.
        """
        target = target or reference.target
        task = Task(reference.domain, f"looking up {reference}")
        raw, media_type = self._http.persist(lambda: self._read_manifest(task, reference, target))
        if len(raw) > MANIFEST_LIMIT:
            raise task.error("its manifest is larger than 4 MiB")
        if target.startswith("sha256:") and sha256(raw) != target:
            raise task.error(f"got {sha256(raw)}, want {target}", "A proxy before the registry may hand out wrong data")
        return raw, _media_type(task, raw, media_type)

    def _read_manifest(self, task: Task, reference: Reference, target: str) -> tuple[bytes, str]:
        with self._open(task, reference, f"manifests/{target}", {"Accept": ACCEPT}) as response:
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            return http.read(response, MANIFEST_LIMIT), media_type

    def blob(self, reference: Reference, blob: Blob, offset: int = 0) -> Generator[bytes, None, None]:
        """A blob's bytes from an offset on (``GET /v2/<name>/blobs/<digest>``), not verified.

        A connection that drops is taken up again where it was: for as long as every few tries bring some bytes.
        """
        task = Task(reference.domain, f"pulling {blob.digest} of {reference}")
        fruitless = 0
        while offset < blob.size:
            problem = Passing(task.error("it ended too early"))
            try:
                for chunk in self._read_blob(task, reference, blob, offset):
                    offset += len(chunk)
                    fruitless = 0
                    yield chunk
            except Passing as passing:
                problem = passing
            if offset >= blob.size:
                return
            fruitless += 1
            if fruitless == TRIES:
                why = f"{problem.error.why}; {offset} of {blob.size} bytes had arrived"
                raise task.error(why, "Run pulumi up again: it goes on from there")
            self._http.patience.wait(fruitless - 1, problem.retry_after)

    def _read_blob(self, task: Task, reference: Reference, blob: Blob, offset: int) -> Iterator[bytes]:
        # The digest is of the bytes as they lie in the registry: nothing may encode them, or decode them.
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={offset}-"} if offset else {})}
        with self._open(task, reference, f"blobs/{blob.digest}", headers) as response:
            skip = offset if response.status_code == 200 else 0
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                if skip < len(chunk):
                    yield chunk[skip:]
                skip = max(skip - len(chunk), 0)

    # ---- one request --------------------------------------------------------------------------------

    @contextmanager
    def _open(
        self, task: Task, reference: Reference, path: str, headers: dict[str, str]
    ) -> Iterator[requests.Response]:
        """A successful answer, its body not read yet. Raises Passing for what may pass by itself."""
        with translated(task):
            with self._ask(reference, path, headers) as response:
                if response.status_code < 400:
                    yield response
                    return
                problem = self._refused(task, reference, response)
            if response.status_code in TRANSIENT:
                raise Passing(problem, http.retry_after(response))
            raise problem

    def _ask(self, reference: Reference, path: str, headers: dict[str, str]) -> requests.Response:
        """The answer; asked for again with credentials where the registry wants some."""
        plain = self._plain(reference.domain)
        url = f"{'http' if plain else 'https'}://{_api_host(reference.domain)}/v2/{reference.path}/{path}"
        sent = self._auth.header(reference)
        response = self._http.get(url, {**headers, **sent})
        # A blob store that a redirect led to is nobody to give credentials to, whatever it asks.
        if response.status_code != 401 or http.from_elsewhere(response):
            return response
        # Read to its end, so that the connection can be used again.
        _ = response.content
        challenge = response.headers.get("WWW-Authenticate", "")
        if not self._auth.answer(reference, challenge, sent, plain=plain):
            return response
        return self._http.get(url, {**headers, **self._auth.header(reference)})

    def _plain(self, domain: str) -> bool:
        """Plain http is for loopback, and where the user has said so."""
        host = domain.rsplit(":", 1)[0].strip("[]") if not domain.endswith("]") else domain.strip("[]")
        if domain in self._insecure or host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def _refused(self, task: Task, reference: Reference, response: requests.Response) -> RegistryError:
        code, said = response.status_code, self._said(response)
        elsewhere = http.from_elsewhere(response)
        if elsewhere:
            return task.error(f"HTTP status {code} from {elsewhere}, where the registry sent us{said}")
        if code == 404:
            return ImageNotFound(task.who, task.doing, f"not found{said}", "Check repository and tag")
        if code in (401, 403):
            hint = "Give auth=, or run: docker login" + ("" if task.who == "docker.io" else f" {task.who}")
            return task.error(f"not allowed {self._auth.whom(reference)}{said}", hint)
        if code == 429:
            return task.error(f"too many requests{said}", "Sign in with auth=, or try again later")
        return task.error(f"HTTP status {code}{said}")

    def _said(self, response: requests.Response) -> str:
        """The registry's own words (distribution spec, error codes), without secrets."""
        try:
            error = json.loads(http.read(response, MESSAGE_LIMIT))["errors"][0]
            said = error.get("message") or error.get("code")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, requests.RequestException):
            return ""
        return f" ({self._auth.clean(' '.join(str(said).split()))[:200]})" if said else ""


def _api_host(domain: str) -> str:
    return "registry-1.docker.io" if domain == "docker.io" else domain


def _media_type(task: Task, raw: bytes, said: str) -> str:
    """The manifest's media type: the header's, else its own word. RegistryError for what is none."""
    try:
        body, own = json.loads(raw), media_type_of(raw)
    except ValueError:
        kind = f"{said or 'something'}, not a manifest"
        hint = "Check its host and port; a sign-in page or a proxy may stand before it"
        raise task.error(f"what answers there is no image registry: it sent {kind}", hint) from None
    if said.startswith(DOCKER_SCHEMA1.removesuffix("+json")) or body.get("schemaVersion") == 1:
        why = "it is of Docker's schema 1, which Docker itself dropped"
        raise task.error(why, "Push the image again with a current tool")
    return said if said in (*INDEX_TYPES, *MANIFEST_TYPES) else own
