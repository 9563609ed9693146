"""Where an image may be fetched, mirrors first, and how to talk to each registry: TLS and its CAs, or http without TLS.

Sources: docker's ``daemon.json`` (``registry-mirrors``, ``insecure-registries``) and certs.d; containers-certs.d(5).
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pulumi_iofog.adapters.registry.http import Http
from pulumi_iofog.errors import RegistryError
from pulumi_iofog.inputs.registry_settings import RegistryOptions
from pulumi_iofog.oci.image import Reference

CERTS_D = (
    "/etc/docker/certs.d",
    "~/.config/docker/certs.d",
    "/etc/containers/certs.d",
    "~/.config/containers/certs.d",
)
"""Folders with a subfolder for each registry: ``*.crt`` are CAs, ``NAME.cert`` and ``NAME.key`` the client's."""
TLS_TIMEOUT = 3.0
"""Seconds to find out whether a registry that need not have TLS has it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A registry, and the image's repository there; ``origin``: not a mirror."""

    reference: Reference
    domain: str
    path: str
    origin: bool = True

    def __str__(self) -> str:
        return str(self.reference)


class Hosts:
    """See the module; several threads may use it."""

    def __init__(self, http: Http, options: Mapping[str, RegistryOptions], certs: Sequence[str] = CERTS_D) -> None:
        self._http, self._options, self._certs = http, options, certs
        self._bases: dict[str, str] = {}
        self._lock = threading.Lock()
        self._failed: set[str] = set()

    def places(self, reference: Reference) -> list[Place]:
        """Where to ask, in order; the image's own registry comes last."""
        options = self._options.get(reference.domain, RegistryOptions())
        mirrors = [
            Place(reference, mirror.domain, f"{mirror.prefix}/{reference.path}".lstrip("/"), origin=False)
            for mirror in options.mirrors
            if mirror.domain not in self._failed
        ]
        return [*mirrors, Place(reference, reference.domain, reference.path)]

    def leave_out(self, place: Place) -> None:
        """Do not ask a faulty mirror again."""
        if not place.origin:
            self._failed.add(place.domain)

    def base(self, domain: str) -> str:
        """``https://HOST`` or ``http://HOST``. Raises RegistryError if its certificates cannot be used."""
        with self._lock:
            if domain not in self._bases:
                self._bases[domain] = self._look(domain)
            return self._bases[domain]

    def _look(self, domain: str) -> str:
        host = "registry-1.docker.io" if domain == "docker.io" else domain
        options = self._options.get(domain, RegistryOptions())
        known = _certificates(domain, options.ca_file, self._certs)
        lenient = options.insecure or (is_loopback(domain) and not known)
        if not (lenient or known):
            return f"https://{host}"  # and requests' own context
        # What the system trusts takes 40 ms of a core to load.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if lenient else ssl.create_default_context()
        _load(context, domain, known)
        if lenient:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            # Docker's order, TLS first. An http server without TLS answers at once, as TLS' ClientHello contains a
            # line end (in extension 10, supported_groups).
            if not _speaks_tls(host, context):
                return f"http://{host}"
        self._http.use(f"https://{host}/", context, verify=not lenient)
        return f"https://{host}"


def is_loopback(domain: str) -> bool:
    """Whether its name says that it is on this machine, where no registry needs TLS."""
    host = domain.rsplit(":", 1)[0].strip("[]") if not domain.endswith("]") else domain.strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _speaks_tls(host: str, context: ssl.SSLContext) -> bool:
    """Whether the server speaks TLS; False also if nobody answers: then the http request will say so."""
    parts = urlsplit(f"//{host}")
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 443), TLS_TIMEOUT) as connection,
            context.wrap_socket(connection, server_hostname=parts.hostname),
        ):
            return True
    except OSError:
        return False


def _certificates(domain: str, ca_file: str | None, certs: Sequence[str]) -> list[tuple[Path, Path | None]]:
    """CAs for the registry, and certificates for us, each with its key."""
    folders = [Path(folder).expanduser() / domain for folder in certs]
    files = [Path(ca_file).expanduser()] if ca_file else []
    files += [file for folder in folders for file in sorted(folder.glob("*.crt"))]
    pairs = [(file, file.with_suffix(".key")) for folder in folders for file in sorted(folder.glob("*.cert"))]
    return [*((file, None) for file in files), *pairs]


def _load(context: ssl.SSLContext, domain: str, certificates: Sequence[tuple[Path, Path | None]]) -> None:
    for file, key in certificates:
        try:
            if key:
                context.load_cert_chain(file, key)
            else:
                context.load_verify_locations(file)
        except OSError as problem:
            why = f"{file}: {problem.strerror or problem}"
            if key and not key.exists():
                why = f"{key}: No such file or directory"
            raise RegistryError(
                domain, "reading its certificates", why, "They must be PEM files, each .cert with its .key next to it"
            ) from None
