"""An image registry, read only: OCI distribution spec 1.1, and Docker's Registry HTTP API v2 before it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import TypeVar

import requests

from pulumi_iofog import log
from pulumi_iofog.adapters.http import Transient, retry_after
from pulumi_iofog.adapters.http.bounds import TOTAL, body
from pulumi_iofog.adapters.registry import http
from pulumi_iofog.adapters.registry.auth import Authenticator
from pulumi_iofog.adapters.registry.hosts import CERTS_D, Hosts, Place
from pulumi_iofog.adapters.registry.http import CHUNK, TRANSIENT, TRIES, Backoff, Http, Task, translated
from pulumi_iofog.errors import ImageNotFound, RegistryError
from pulumi_iofog.inputs.registry_settings import RegistryOptions
from pulumi_iofog.inputs.spec import RegistryAuth
from pulumi_iofog.oci.image import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Digest,
    Reference,
    media_type_of,
    sha256,
)
from pulumi_iofog.outside import object_of

T = TypeVar("T")

MANIFEST_LIMIT = 4 << 20
"""Bytes; the least that the distribution spec asks registries to accept."""
ACCEPT = ", ".join((OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST))


class Registry:
    """Reads manifests and blobs; several threads may use it.

    Args:
        auth: the user's credentials, which no mirror gets; else docker's configuration is used, else none.
        options: mirrors and TLS of registries (``host:port``); those on loopback need no TLS.
        docker_config: a file to use instead of those of docker, podman and skopeo.
        certs: folders with certificates for registries.
        timeout: seconds for connecting and for each read.
        total: seconds for an answer that is no blob.
        backoff: how long to wait before trying again.
        warn: gets a line for the user.

    Methods raise RegistryError; ImageNotFound if repository, tag or digest do not exist.
    """

    def __init__(
        self,
        auth: RegistryAuth | None = None,
        *,
        options: Mapping[str, RegistryOptions] | None = None,
        docker_config: Path | None = None,
        timeout: tuple[float, float] = (10.0, 60.0),
        total: float = TOTAL,
        backoff: Backoff | None = None,
        certs: tuple[str, ...] = CERTS_D,
        warn: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._http = Http(timeout, total, backoff or Backoff())
        self._hosts = Hosts(self._http, options or {}, certs)
        self._auth = Authenticator(self._http, auth, docker_config, warn)
        self._handed_out: set[tuple[Place, Digest]] = set()

    def close(self) -> None:
        self._http.close()

    def anew(self) -> Registry:
        """The same connections, tokens and TLS for another user; nothing is known of what mirrors have served."""
        other = copy(self)
        other._handed_out = set()
        return other

    def manifest(self, reference: Reference, target: str | None = None) -> tuple[bytes, str]:
        """A manifest's or index's own bytes and media type (``GET /v2/<name>/manifests/<reference>``).

        Args:
            target: a digest or tag instead of the reference's own; a digest is verified.
        """
        failed: list[RegistryError] = []
        for place in self._hosts.places(reference):
            try:
                return self._manifest(place, target or reference.target)
            except RegistryError as problem:
                failed.append(self._note(place, problem))
        raise _together(failed)

    def _manifest(self, place: Place, target: str) -> tuple[bytes, str]:
        task = Task(place.domain, f"looking up {place}")
        raw, media_type = self._http.retry(lambda: self._read_manifest(task, place, target), _tries(place))
        if target.startswith("sha256:") and sha256(raw) != target:
            raise task.error(
                f"got {sha256(raw)}, want {target}", "A proxy in front of the registry may be serving wrong data"
            )
        return raw, _media_type(task, raw, media_type)

    def _read_manifest(self, task: Task, place: Place, target: str) -> tuple[bytes, str]:
        with self._open(task, place, f"manifests/{target}", {"Accept": ACCEPT}) as response:
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            return body(response, MANIFEST_LIMIT, "manifest"), media_type

    def blob(self, reference: Reference, blob: Descriptor, offset: int = 0) -> Generator[bytes, None, None]:
        """A blob's bytes from an offset on (``GET /v2/<name>/blobs/<digest>``), not verified.

        After a dropped connection it resumes where it was, as long as every few attempts bring 64 KiB.
        """
        failed: list[RegistryError] = []
        for place in self._hosts.places(reference):
            whole = (place, blob.digest)
            if offset == 0 and whole in self._handed_out and not place.origin:
                # Asked for once more from the beginning: what the mirror served was wrong.
                self._hosts.leave_out(place)
                continue
            try:
                for chunk in self._blob(place, blob, offset):
                    offset += len(chunk)
                    yield chunk
                self._handed_out.add(whole)
                return
            except RegistryError as problem:
                failed.append(self._note(place, problem))
        raise _together(failed)

    def _note(self, place: Place, problem: RegistryError) -> RegistryError:
        if not isinstance(problem, ImageNotFound):
            self._hosts.leave_out(place)
        return problem

    def _blob(self, place: Place, blob: Descriptor, offset: int) -> Iterator[bytes]:
        task = Task(place.domain, f"pulling {blob.digest} of {place}")
        fruitless = 0
        while offset < blob.size:
            problem = Transient(task.error("it ended too early"))
            began = offset
            try:
                for chunk in self._read_blob(task, place, blob, offset):
                    offset += len(chunk)
                    yield chunk
            except Transient as transient:
                problem = transient
            if offset >= blob.size:
                return
            # Whoever sends a byte, hangs up, and sends the next one, would have us ask for ever.
            fruitless = 0 if offset - began >= CHUNK else fruitless + 1
            if fruitless == _tries(place):
                why = f"{problem.error.why}; {offset} of {blob.size} bytes had arrived"
                raise task.error(why, "Run pulumi up again: it resumes from there")
            self._http.backoff.wait(max(fruitless - 1, 0), problem)

    def _read_blob(self, task: Task, place: Place, blob: Descriptor, offset: int) -> Iterator[bytes]:
        # The digest is of the bytes as they are in the registry: nothing may encode or decode them.
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={offset}-"} if offset else {})}
        with self._open(task, place, f"blobs/{blob.digest}", headers, blob=True) as response:
            skip = offset if response.status_code == 200 else 0
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                if skip < len(chunk):
                    yield chunk[skip:]
                skip = max(skip - len(chunk), 0)

    # ---- one request --------------------------------------------------------------------------------

    @contextmanager
    def _open(
        self, task: Task, place: Place, path: str, headers: dict[str, str], *, blob: bool = False
    ) -> Iterator[requests.Response]:
        """A successful answer, its body not read yet. Raises Transient for what may pass by itself."""
        with translated(task):
            with self._ask(place, path, headers, blob=blob) as response:
                if response.status_code < 400:
                    yield response
                    return
                problem = self._refused(task, place, response)
            if response.status_code in TRANSIENT:
                raise Transient(problem, retry_after(response))
            raise problem

    def _ask(self, place: Place, path: str, headers: dict[str, str], *, blob: bool) -> requests.Response:
        """The answer; the request is repeated with credentials if the registry wants some."""
        base = self._hosts.base(place.domain)
        url = f"{base}/v2/{place.path}/{path}"
        sent = self._auth.header(place)
        response = self._http.get(url, {**headers, **sent}, blob=blob)
        # A blob store that a redirect led to gets no credentials, whatever it asks for.
        if response.status_code != 401 or http.from_elsewhere(response):
            return response
        challenge = response.headers.get("WWW-Authenticate", "")
        if not self._auth.answer(place, challenge, sent, tls=base.startswith("https:")):
            return response
        return self._http.get(url, {**headers, **self._auth.header(place)}, blob=blob)

    def _refused(self, task: Task, place: Place, response: requests.Response) -> RegistryError:
        code, said = response.status_code, self._said(response)
        elsewhere = http.from_elsewhere(response)
        if elsewhere:
            return task.error(f"HTTP status {code} from {elsewhere}, to which the registry redirected{said}")
        if code == 404:
            hint = "Check repository and tag"
            if place.reference.latest_is_assumed:
                hint = "Without a tag, :latest is looked for: check the repository, or give a tag"
            return ImageNotFound(task.who, task.doing, f"not found{said}", hint)
        if code in (401, 403):
            hint = "Set auth=, or run: docker login" + ("" if task.who == "docker.io" else f" {task.who}")
            return task.error(f"not allowed {self._auth.whom(place)}{said}", hint)
        if code == 429:
            return task.error(f"too many requests{said}", "Sign in with auth=, or try again later")
        return task.error(f"HTTP status {code}{said}")

    def _said(self, response: requests.Response) -> str:
        """The registry's own words (distribution spec, error codes), without secrets."""
        try:
            error = object_of(response.content)["errors"][0]
            said = error.get("message") or error.get("code")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return ""
        return f" ({log.clean(' '.join(str(said).split()))[:200]})" if said else ""


def _tries(place: Place) -> int:
    """A mirror gets one attempt: there is another place to ask."""
    return TRIES if place.origin else 1


def _together(failed: list[RegistryError]) -> RegistryError:
    """The last error, which is that of the image's own registry, with what the mirrors said."""
    *mirrors, last = failed
    if not mirrors:
        return last
    said = "; ".join(f"{problem.who}: {problem.why.rstrip('.')}" for problem in mirrors)
    return type(last)(last.who, last.doing, f"{last.why}; its mirrors were tried first: {said}", last.hint)


def _media_type(task: Task, raw: bytes, said: str) -> str:
    """The manifest's media type: the header's, else its own. RegistryError if it is not a manifest."""
    try:
        fields, own = object_of(raw), media_type_of(raw)
    except ValueError:
        kind = f"{said[:100] or 'something'}, not a manifest"
        hint = "Check its host and port; a sign-in page or a proxy may be in front of it"
        raise task.error(f"this is not an image registry: it sent {kind}", hint) from None
    if said.startswith(DOCKER_SCHEMA1.removesuffix("+json")) or fields.get("schemaVersion") == 1:
        why = "it is a schema 1 manifest, which Docker itself has dropped"
        raise task.error(why, "Push the image again with a current tool")
    return said if said in (*INDEX_TYPES, *MANIFEST_TYPES) else own
