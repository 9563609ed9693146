"""Whom the registry adapter trusts: TLS, plain http, redirects, and who gets the credentials."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pulumi_iofog.adapters.registry.hosts import TLS_TIMEOUT
from pulumi_iofog.errors import RegistryError
from pulumi_iofog.inputs.registry_settings import RegistryOptions
from pulumi_iofog.inputs.spec import RegistryAuth
from pulumi_iofog.oci.image import Reference
from tests.adapters.conftest import MakeRegistry
from tests.adapters.registry.registry_server import (
    BLOB,
    DATA,
    LAYER,
    RAW,
    SERVED,
    RegistryServer,
    answer,
    basic,
    hang_up,
)
from tests.certificates import self_signed

AUTH = RegistryAuth("ci", "hidden")
INSECURE = RegistryOptions(insecure=True)


@pytest.fixture
def other() -> Iterator[RegistryServer]:
    """Another host, where blobs lie."""
    with RegistryServer() as other:
        other.content["/store"] = (DATA, "application/octet-stream")
        yield other


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that end in ``.test`` are loopback, though nothing in them says so."""
    real = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **options: Any) -> Any:
        return real("127.0.0.1" if str(host).endswith(".test") else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far: None) -> Iterator[RegistryServer]:
    """A registry at registry.test, by https, whose certificate is trusted."""
    public, both = self_signed(tmp_path, "registry.test")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(public))
    with RegistryServer(both) as server:
        server.add(SERVED)
        yield server


# ---- redirects --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_credentials_do_not_follow_to_another_host(
    server: RegistryServer, other: RegistryServer, make_registry: MakeRegistry, kind: str
) -> None:
    """Another port is another host."""
    if kind == "bearer":
        server.want_tokens(basic("ci", "hidden"))
    else:
        server.challenge = 'Basic realm="registry"'
        server.admitted[basic("ci", "hidden")] = float("inf")
    registry = make_registry(AUTH)
    registry.manifest(server.app())
    server.next(answer(307, Location=f"http://{other.address}/store?signature=hidden"), at=BLOB)
    assert b"".join(registry.blob(server.app(), LAYER)) == DATA
    assert server.asked[-1].authorization
    assert [asked.authorization for asked in other.asked] == [""]


def test_credentials_follow_on_the_same_host(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.want_tokens("")
    server.content["/elsewhere"] = server.content[BLOB]
    registry = make_registry()
    registry.manifest(server.app())
    server.next(answer(302, Location="/elsewhere"), at=BLOB)
    assert b"".join(registry.blob(server.app(), LAYER)) == DATA
    assert server.asked[-1].authorization.startswith("Bearer ")


def test_netrc_is_never_asked(
    server: RegistryServer,
    other: RegistryServer,
    make_registry: MakeRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stores with signed URLs refuse whoever brings other credentials too."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login u password hidden\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.always(answer(307, Location=f"http://{other.address}/store"), at=BLOB)
    list(make_registry().blob(server.app(), LAYER))
    assert [asked.authorization for asked in (*server.asked, *other.asked)] == ["", ""]


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_a_blob_store_is_not_given_credentials_for_the_asking(
    server: RegistryServer, other: RegistryServer, make_registry: MakeRegistry, scheme: str
) -> None:
    server.always(answer(307, Location=f"http://{other.address}/store?signature=hidden"), at=BLOB)
    other.users.add(basic("ci", "hidden"))
    other.challenge = f'{scheme} realm="{other.realm}"'
    wanted = rf"HTTP status 401 from {other.address}, to which the registry redirected \(authentication required\)$"
    with pytest.raises(RegistryError, match=wanted) as caught:
        list(make_registry(AUTH).blob(server.app(), LAYER))
    assert [asked.authorization for asked in (*server.asked, *other.asked)] == ["", ""]
    assert "hidden" not in str(caught.value)


def test_a_blob_store_out_of_reach_is_named(
    server: RegistryServer, other: RegistryServer, make_registry: MakeRegistry
) -> None:
    server.always(answer(307, Location=f"http://{other.address}/store?signature=hidden"), at=BLOB)
    other.always(hang_up, at="/store")
    with pytest.raises(RegistryError, match=rf"\(at {other.address}\); 0 of") as caught:
        list(make_registry().blob(server.app(), LAYER))
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("there", ["ftp://u:hidden@store.test/x", "http://[", "/loop?hidden"])
def test_a_redirect_that_leads_nowhere(server: RegistryServer, make_registry: MakeRegistry, there: str) -> None:
    server.always(answer(307, Location=there), at="/")
    with pytest.raises(RegistryError, match=r"looking up .*: the request could not be made") as caught:
        make_registry().manifest(server.app())
    assert "hidden" not in str(caught.value)


def test_a_redirect_from_https_to_http_is_refused(
    secure: RegistryServer, other: RegistryServer, make_registry: MakeRegistry
) -> None:
    secure.next(answer(307, Location=f"http://{other.address}/store"))
    with pytest.raises(RegistryError, match=rf"redirects from https to http \(at {other.address}\)"):
        make_registry().manifest(secure.app("registry.test"))
    assert other.asked == []


# ---- https and http ---------------------------------------------------------------------------------


def test_a_private_ca_that_is_trusted(secure: RegistryServer, make_registry: MakeRegistry) -> None:
    assert make_registry().manifest(secure.app("registry.test"))[0] == RAW


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize(("host", "why"), [("registry.test", "certificate verify failed"), ("other.test", "TLS")])
def test_a_certificate_that_does_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_registry: MakeRegistry, host: str, why: str
) -> None:
    """Of an unknown CA; of another name."""
    public, both = self_signed(tmp_path, "registry.test")
    if host == "other.test":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(public))
    with RegistryServer(both) as server:
        wanted = (
            rf"{host}:{server.port}: looking up .*: TLS: .*{why}.*\. For a private CA, set caFile in iofog:registries"
        )
        with pytest.raises(RegistryError, match=why) as caught:
            make_registry(AUTH).manifest(server.app(host))
        assert server.asked == []
        assert caught.match(wanted if host == "registry.test" else "mismatch")


@pytest.mark.usefixtures("far")
def test_plain_http_is_for_whom_the_user_names(server: RegistryServer, make_registry: MakeRegistry) -> None:
    reference = server.app("registry.test")
    with pytest.raises(RegistryError, match=r"TLS: .*for http without TLS, set insecure in iofog:registries"):
        make_registry(AUTH).manifest(reference)
    with pytest.raises(RegistryError, match="TLS: "):
        make_registry(AUTH, options={f"registry.test:{server.port + 1}": INSECURE}).manifest(reference)
    assert server.asked == []
    registry = make_registry(options={reference.domain: INSECURE})
    assert registry.manifest(reference)[0] == RAW


@pytest.fixture
def private(tmp_path: Path, far: None) -> Iterator[tuple[RegistryServer, Path]]:
    """A registry at registry.test, by https, of a CA that nobody trusts yet."""
    public, both = self_signed(tmp_path, "registry.test")
    with RegistryServer(both) as server:
        server.add(SERVED)
        yield server, public


def test_a_private_ca_by_the_config(private: tuple[RegistryServer, Path], make_registry: MakeRegistry) -> None:
    server, public = private
    reference = server.app("registry.test")
    registry = make_registry(options={reference.domain: RegistryOptions(ca_file=str(public))})
    assert registry.manifest(reference)[0] == RAW
    # It is trusted for that registry alone.
    with pytest.raises(RegistryError, match="certificate verify failed"):
        registry.manifest(Reference.parse(f"other.test:{server.port}/app:1"))


def test_a_private_ca_in_dockers_folder(
    private: tuple[RegistryServer, Path], make_registry: MakeRegistry, tmp_path: Path
) -> None:
    server, public = private
    reference = server.app("registry.test")
    folder = tmp_path / "certs.d" / reference.domain
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(public.read_bytes())
    certs = ("/nowhere", str(tmp_path / "certs.d"))
    assert make_registry(certs=certs).manifest(reference)[0] == RAW
    with pytest.raises(RegistryError, match="certificate verify failed"):
        make_registry().manifest(reference)
    (folder / "client.cert").write_bytes(public.read_bytes())
    with pytest.raises(RegistryError, match=rf"reading its certificates: {folder}/client\.key: No such file"):
        make_registry(certs=certs).manifest(reference)
    (folder / "ca.crt").write_text("no certificate")
    with pytest.raises(RegistryError, match=rf"{reference.domain}: reading its certificates: {folder}/ca\.crt: "):
        make_registry(certs=certs).manifest(reference)


def test_the_clients_certificate_is_shown(far: None, make_registry: MakeRegistry, tmp_path: Path) -> None:
    public, both = self_signed(tmp_path, "registry.test")
    with RegistryServer(both, clients=public) as server:
        server.add(SERVED)
        reference = server.app("registry.test")
        folder = tmp_path / "certs.d" / reference.domain
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(public.read_bytes())
        certs = (str(tmp_path / "certs.d"),)
        with pytest.raises(RegistryError, match=r"registry.test:\d+: looking up"):
            make_registry(certs=certs).manifest(reference)
        for name in ("client.cert", "client.key"):
            (folder / name).write_bytes(both.read_bytes())
        assert make_registry(certs=certs).manifest(reference)[0] == RAW


def test_an_insecure_registry_may_have_tls(private: tuple[RegistryServer, Path], make_registry: MakeRegistry) -> None:
    """Of anybody, as with docker; and no other registry is less secure for it."""
    server, _ = private
    reference = server.app("registry.test")
    registry = make_registry(AUTH, options={reference.domain: INSECURE})
    assert registry.manifest(reference)[0] == RAW
    assert b"".join(registry.blob(reference, LAYER)) == DATA
    with pytest.raises(RegistryError, match="certificate verify failed"):
        registry.manifest(Reference.parse(f"other.test:{server.port}/app:1"))


def test_loopback_may_have_tls(tmp_path: Path, make_registry: MakeRegistry) -> None:
    _, both = self_signed(tmp_path, "elsewhere.test")
    with RegistryServer(both) as server:
        server.add(SERVED)
        assert make_registry().manifest(server.app())[0] == RAW


def test_loopback_without_tls_is_found_out_at_once(server: RegistryServer, make_registry: MakeRegistry) -> None:
    """The greeting of TLS has the end of a line in it, so that the server waits for no more."""
    for _ in range(20):
        began = time.monotonic()
        make_registry().manifest(server.app())
        assert time.monotonic() - began < TLS_TIMEOUT


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8"])
def test_plain_http_is_for_loopback(server: RegistryServer, make_registry: MakeRegistry, host: str) -> None:
    """``[::1]`` is not tried: where there is no IPv6, it cannot be."""
    if host == "127.8.8.8":
        with pytest.raises(RegistryError, match="Connection refused"):
            make_registry().manifest(server.app(host))
    else:
        make_registry().manifest(server.app(host))


@pytest.mark.parametrize("realm", ["http://127.0.0.1:{port}/token", "", "token", "file:///etc/passwd"])
def test_a_token_service_of_an_https_registry_needs_https(
    secure: RegistryServer, other: RegistryServer, make_registry: MakeRegistry, realm: str
) -> None:
    secure.challenge = f'Bearer realm="{realm.format(port=other.port)}",service="registry"'
    wanted = r"signing in as ci for .*: its token service .+ is not https"
    with pytest.raises(RegistryError, match=wanted):
        make_registry(AUTH).manifest(secure.app("registry.test"))
    assert other.asked == []


def test_a_token_service_by_https(secure: RegistryServer, make_registry: MakeRegistry) -> None:
    secure.want_tokens(basic("ci", "hidden"), realm=f"https://registry.test:{secure.port}/token")
    assert make_registry(AUTH).manifest(secure.app("registry.test"))[0] == RAW
