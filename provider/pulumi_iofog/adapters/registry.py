"""An image registry, read only: OCI distribution spec 1.1, and Docker's Registry HTTP API v2 before it."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from pulumi_iofog.adapters.registry_auth import Authenticator
from pulumi_iofog.errors import ImageNotFound, RegistryError
from pulumi_iofog.image import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    OCI_INDEX,
    OCI_MANIFEST,
    Blob,
    Reference,
    sha256,
)
from pulumi_iofog.spec import RegistryAuth

CHUNK = 1 << 20
"""Bytes of a blob handed on at once."""
MANIFEST_LIMIT = 4 << 20
"""Bytes; what the distribution spec asks registries to accept at least."""
TRIES = 4
BACK_OFF = 0.5
"""Seconds before the second try; twice as long before each further one."""
LONGEST_WAIT = 20.0
"""Seconds at most that a registry's Retry-After is obeyed."""
TRANSIENT = (429, 500, 502, 503, 504)
ACCEPT = ", ".join((OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST))


class Registry:
    """Reads manifests and blobs; several threads may use it.

    Args:
        auth: the user's credentials; else docker's configuration is asked, else anonymous.
        insecure: registries (``host:port``) spoken to by plain http, besides those on loopback.
        docker_config: instead of ``$DOCKER_CONFIG/config.json`` or ``~/.docker/config.json``.
        timeout: seconds for connecting and for each read.

    Methods raise RegistryError; ImageNotFound where repository, tag or digest are not there.
    """

    def __init__(
        self,
        auth: RegistryAuth | None = None,
        *,
        insecure: frozenset[str] = frozenset(),
        docker_config: Path | None = None,
        timeout: tuple[float, float] = (10.0, 60.0),
    ) -> None:
        self._insecure, self._timeout = insecure, timeout
        self._session = requests.Session()
        # An authentication of its own keeps requests from sending what ~/.netrc has for the host.
        self._session.auth = lambda request: request
        self._auth = Authenticator(self._session, auth, docker_config, timeout)

    def close(self) -> None:
        self._session.close()

    def manifest(self, reference: Reference, target: str | None = None) -> tuple[bytes, str]:
        """A manifest's or index's own bytes and media type (``GET /v2/<name>/manifests/<reference>``).

        Args:
            target: a digest or tag instead of the reference's own; a digest is verified.
        """
        target = target or reference.target
        with self._get(reference, f"manifests/{target}", {"Accept": ACCEPT}) as response:
            raw = response.raw.read(MANIFEST_LIMIT + 1, decode_content=True)
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        doing = f"reading the manifest of {reference}"
        if len(raw) > MANIFEST_LIMIT:
            raise RegistryError(reference.domain, doing, "it is larger than 4 MiB")
        if media_type.startswith(DOCKER_SCHEMA1.removesuffix("+json")):
            why = "it is of Docker's schema 1, which Docker itself dropped"
            raise RegistryError(reference.domain, doing, why, "Push the image again with a current tool")
        if target.startswith("sha256:") and sha256(raw) != target:
            raise RegistryError(reference.domain, doing, f"got {sha256(raw)}, want {target}")
        return raw, media_type or _own_media_type(raw)

    def blob(self, reference: Reference, blob: Blob, offset: int = 0) -> Generator[bytes, None, None]:
        """A blob's bytes from an offset on (``GET /v2/<name>/blobs/<digest>``), not verified.

        A connection that drops is taken up again where it was, a few times.
        """
        for number in range(TRIES):
            try:
                for chunk in self._read_blob(reference, blob, offset):
                    offset += len(chunk)
                    yield chunk
                if offset >= blob.size:
                    return
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                pass
            time.sleep(BACK_OFF * 2**number)
        why = f"the connection was lost again and again, {offset} of {blob.size} bytes arrived"
        raise RegistryError(reference.domain, f"pulling {blob.digest} of {reference}", why, "Run pulumi up again")

    def _read_blob(self, reference: Reference, blob: Blob, offset: int) -> Iterator[bytes]:
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with self._get(reference, f"blobs/{blob.digest}", headers) as response:
            skip = offset if response.status_code == 200 else 0
            for chunk in response.iter_content(CHUNK):
                if skip >= len(chunk):
                    skip -= len(chunk)
                    continue
                yield chunk[skip:]
                skip = 0

    # ---- one request --------------------------------------------------------------------------------

    @contextmanager
    def _get(self, reference: Reference, path: str, headers: dict[str, str]) -> Iterator[requests.Response]:
        """A successful answer; asks again after 401 with credentials, and after transient failures."""
        base = f"{'http' if self._plain(reference.domain) else 'https'}://{_api_host(reference.domain)}"
        url = f"{base}/v2/{reference.path}/{path}"
        response = self._ask(reference, url, headers)
        with response:
            if response.status_code >= 400:
                raise self._refused(reference, path, response)
            yield response

    def _ask(self, reference: Reference, url: str, headers: dict[str, str]) -> requests.Response:
        asked = False
        for number in range(TRIES):
            last = number == TRIES - 1
            with _translated(reference):
                try:
                    response = self._session.get(
                        url,
                        headers={**headers, **self._auth.header(reference)},
                        stream=True,
                        timeout=self._timeout,
                    )
                except (requests.ConnectionError, requests.Timeout):
                    if last:
                        raise
                    time.sleep(BACK_OFF * 2**number)
                    continue
                if response.status_code == 401 and not asked:
                    asked = True
                    response.close()
                    self._auth.answer(reference, response, plain=self._plain(reference.domain))
                    continue
            if response.status_code not in TRANSIENT or last:
                return response
            response.close()
            time.sleep(_wait(response, number))
        raise AssertionError("unreachable")

    def _plain(self, domain: str) -> bool:
        """Plain http is for loopback, and where the user has said so."""
        host = domain.rsplit(":", 1)[0].strip("[]") if not domain.endswith("]") else domain.strip("[]")
        if domain in self._insecure or host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def _refused(self, reference: Reference, path: str, response: requests.Response) -> RegistryError:
        doing = f"looking up {reference}" if path.startswith("manifests") else f"pulling a layer of {reference}"
        who, code = reference.domain, response.status_code
        if code == 404:
            return ImageNotFound(who, doing, f"not found{_details(response)}", "Check repository and tag")
        if code in (401, 403):
            hint = "Give auth=, or run: docker login " + ("" if who == "docker.io" else who)
            return RegistryError(who, doing, f"not allowed {self._auth.whom(reference)}{_details(response)}", hint)
        if code == 429:
            return RegistryError(who, doing, "too many requests", "Sign in with auth=, or try again later")
        return RegistryError(who, doing, f"HTTP status {code}{_details(response)}")


def _api_host(domain: str) -> str:
    return "registry-1.docker.io" if domain == "docker.io" else domain


def _own_media_type(raw: bytes) -> str:
    try:
        body = json.loads(raw)
        return str(body.get("mediaType") or (OCI_INDEX if "manifests" in body else OCI_MANIFEST))
    except (ValueError, AttributeError):
        return ""


def _wait(response: requests.Response, number: int) -> float:
    after = response.headers.get("Retry-After", "")
    return min(float(after), LONGEST_WAIT) if after.isdigit() else BACK_OFF * 2**number


def _details(response: requests.Response) -> str:
    """The registry's own words (distribution spec, error codes)."""
    try:
        errors: list[dict[str, Any]] = response.json()["errors"]
        said = errors[0].get("message") or errors[0].get("code")
        return f" ({' '.join(str(said).split())[:200]})" if said else ""
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, requests.RequestException):
        return ""


@contextmanager
def _translated(reference: Reference) -> Iterator[None]:
    who, doing = reference.domain, f"looking up {reference}"
    try:
        yield
    except requests.exceptions.SSLError as problem:
        hint = "For a private CA set REQUESTS_CA_BUNDLE to its PEM file; for plain http, iofog:insecureRegistries"
        raise RegistryError(who, doing, f"TLS failed: {_inner(problem)}", hint) from None
    except requests.Timeout:
        raise RegistryError(who, doing, "no answer in time", "Check the network to the registry") from None
    except requests.ConnectionError as problem:
        raise RegistryError(who, doing, _inner(problem), "Check the registry's name and the network") from None
    except requests.RequestException as problem:
        raise RegistryError(who, doing, _inner(problem)) from None


def _inner(problem: BaseException) -> str:
    """The cause at the bottom of what requests and urllib3 have wrapped it in."""
    reason = getattr(problem, "reason", None) or (problem.args[0] if problem.args else None)
    if isinstance(reason, BaseException):
        return _inner(reason)
    text = str(getattr(problem, "strerror", None) or problem)
    return text.rpartition(">: ")[2] or type(problem).__name__
