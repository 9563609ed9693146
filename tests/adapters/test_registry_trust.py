"""Whom the registry adapter trusts: TLS, plain http, redirects, and who gets the credentials."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pulumi_iofog.errors import RegistryError
from pulumi_iofog.image import Reference
from pulumi_iofog.spec import RegistryAuth
from tests.adapters.registries import MakeRegistry, registries
from tests.adapters.registry_server import RegistryServer, answer, basic, hang_up
from tests.certificates import self_signed
from tests.images import make_image

MADE = make_image({"app": b"binary"})
LAYER = MADE.image.layers[0].blob
DATA = MADE.blobs[LAYER.digest]
BLOB = f"/v2/app/blobs/{LAYER.digest}"
AUTH = RegistryAuth("ci", "hidden")


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        server.add(MADE)
        yield server


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
        server.add(MADE)
        yield server


@pytest.fixture
def make_registry(tmp_path: Path) -> Iterator[MakeRegistry]:
    with registries(tmp_path) as make:
        yield make


def _app(server: RegistryServer, host: str = "127.0.0.1") -> Reference:
    return Reference.parse(f"{host}:{server.port}/app:1")


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
    registry.manifest(_app(server))
    server.next(answer(307, Location=f"http://{other.address}/store?signature=hidden"), at=BLOB)
    assert b"".join(registry.blob(_app(server), LAYER)) == DATA
    assert server.asked[-1].authorization
    assert [asked.authorization for asked in other.asked] == [""]


def test_credentials_follow_on_the_same_host(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.want_tokens("")
    server.content["/elsewhere"] = server.content[BLOB]
    registry = make_registry()
    registry.manifest(_app(server))
    server.next(answer(302, Location="/elsewhere"), at=BLOB)
    assert b"".join(registry.blob(_app(server), LAYER)) == DATA
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
    list(make_registry().blob(_app(server), LAYER))
    assert [asked.authorization for asked in (*server.asked, *other.asked)] == ["", ""]


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_a_blob_store_is_not_given_credentials_for_the_asking(
    server: RegistryServer, other: RegistryServer, make_registry: MakeRegistry, scheme: str
) -> None:
    server.always(answer(307, Location=f"http://{other.address}/store?signature=hidden"), at=BLOB)
    other.users.add(basic("ci", "hidden"))
    other.challenge = f'{scheme} realm="{other.realm}"'
    wanted = rf"HTTP status 401 from {other.address}, where the registry sent us \(authentication required\)$"
    with pytest.raises(RegistryError, match=wanted) as caught:
        list(make_registry(AUTH).blob(_app(server), LAYER))
    assert [asked.authorization for asked in (*server.asked, *other.asked)] == ["", ""]
    assert "hidden" not in str(caught.value)


def test_a_blob_store_out_of_reach_is_named(
    server: RegistryServer, other: RegistryServer, make_registry: MakeRegistry
) -> None:
    server.always(answer(307, Location=f"http://{other.address}/store?signature=hidden"), at=BLOB)
    other.always(hang_up, at="/store")
    with pytest.raises(RegistryError, match=rf"\(at {other.address}\); 0 of") as caught:
        list(make_registry().blob(_app(server), LAYER))
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("there", ["ftp://u:hidden@store.test/x", "http://[", "/loop?hidden"])
def test_a_redirect_that_leads_nowhere(server: RegistryServer, make_registry: MakeRegistry, there: str) -> None:
    server.always(answer(307, Location=there), at="/")
    with pytest.raises(RegistryError, match=r"looking up .*: no request can be made of it") as caught:
        make_registry().manifest(_app(server))
    assert "hidden" not in str(caught.value)


def test_a_redirect_from_https_to_http_is_refused(
    secure: RegistryServer, other: RegistryServer, make_registry: MakeRegistry
) -> None:
    secure.next(answer(307, Location=f"http://{other.address}/store"))
    with pytest.raises(RegistryError, match=rf"redirects from https to plain http \(at {other.address}\)"):
        make_registry().manifest(_app(secure, "registry.test"))
    assert other.asked == []


# ---- https and http ---------------------------------------------------------------------------------


def test_a_private_ca_that_is_trusted(secure: RegistryServer, make_registry: MakeRegistry) -> None:
    assert make_registry().manifest(_app(secure, "registry.test"))[0] == MADE.image.manifest.raw


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
        wanted = rf"{host}:{server.port}: looking up .*: TLS: .*{why}.*\. For a private CA set REQUESTS_CA_BUNDLE"
        with pytest.raises(RegistryError, match=why) as caught:
            make_registry(AUTH).manifest(_app(server, host))
        assert server.asked == []
        assert caught.match(wanted if host == "registry.test" else "mismatch")


@pytest.mark.usefixtures("far")
def test_plain_http_is_for_whom_the_user_names(server: RegistryServer, make_registry: MakeRegistry) -> None:
    reference = _app(server, "registry.test")
    with pytest.raises(RegistryError, match=r"TLS: .*for plain http, iofog:insecureRegistries"):
        make_registry(AUTH).manifest(reference)
    with pytest.raises(RegistryError, match="TLS: "):
        make_registry(AUTH, insecure=frozenset({f"registry.test:{server.port + 1}"})).manifest(reference)
    assert server.asked == []
    registry = make_registry(insecure=frozenset({reference.domain}))
    assert registry.manifest(reference)[0] == MADE.image.manifest.raw


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8"])
def test_plain_http_is_for_loopback(server: RegistryServer, make_registry: MakeRegistry, host: str) -> None:
    """``[::1]`` is not tried: where there is no IPv6, it cannot be."""
    if host == "127.8.8.8":
        with pytest.raises(RegistryError, match="Connection refused"):
            make_registry().manifest(_app(server, host))
    else:
        make_registry().manifest(_app(server, host))


@pytest.mark.parametrize("realm", ["http://127.0.0.1:{port}/token", "", "token", "file:///etc/passwd"])
def test_a_token_service_of_an_https_registry_needs_https(
    secure: RegistryServer, other: RegistryServer, make_registry: MakeRegistry, realm: str
) -> None:
    secure.challenge = f'Bearer realm="{realm.format(port=other.port)}",service="registry"'
    wanted = r"signing in as ci for .*: its token service .+ is not https"
    with pytest.raises(RegistryError, match=wanted):
        make_registry(AUTH).manifest(_app(secure, "registry.test"))
    assert other.asked == []


def test_a_token_service_by_https(secure: RegistryServer, make_registry: MakeRegistry) -> None:
    secure.want_tokens(basic("ci", "hidden"), realm=f"https://registry.test:{secure.port}/token")
    assert make_registry(AUTH).manifest(_app(secure, "registry.test"))[0] == MADE.image.manifest.raw
