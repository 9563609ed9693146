"""The registry adapter where things go wrong on the way: what is tried again, and what the error says."""

from __future__ import annotations

import functools
import json
import socket

import pytest

from pulumi_iofog.adapters.registry.http import CHUNK, Backoff
from pulumi_iofog.adapters.registry.registry import MANIFEST_LIMIT, Registry
from pulumi_iofog.errors import ImageNotFound, RegistryError
from pulumi_iofog.oci.image import OCI_INDEX, OCI_MANIFEST, Descriptor, Reference, sha256
from tests.adapters.conftest import MakeRegistry
from tests.adapters.registry.registry_server import (
    DATA,
    LAYER,
    RAW,
    SERVED,
    Act,
    RegistryServer,
    answer,
    cut,
    error,
    hang_up,
    serve,
    stall,
)

NEVER = Backoff(first=1e12)
"""A back-off that time.sleep refuses: it passes only where it is not waited for."""


def _pull(registry: Registry, server: RegistryServer, offset: int = 0) -> bytes:
    return b"".join(registry.blob(server.app(), LAYER, offset))


def _ranges(server: RegistryServer) -> list[str]:
    return [asked.range for asked in server.asked]


# ---- blobs ------------------------------------------------------------------------------------------


def test_a_dropped_blob_goes_on_where_it_was(server: RegistryServer, make_registry: MakeRegistry) -> None:
    """More often than it would be tried without any progress."""
    server.next(cut(CHUNK + 100), times=8)
    assert _pull(make_registry(), server) == DATA
    begins = [int(text[6:-1]) for text in _ranges(server) if text]
    assert len(begins) == 8
    assert begins == sorted(set(begins))
    assert begins[0] >= CHUNK  # what had arrived is not asked for again


@pytest.mark.parametrize("offset", [0, 1, 2 * CHUNK, len(DATA) - 1])
def test_a_registry_that_ignores_range(server: RegistryServer, make_registry: MakeRegistry, offset: int) -> None:
    server.next(cut(3 * CHUNK, ranges=False))
    server.always(functools.partial(serve, ranges=False), at="/v2/")
    assert _pull(make_registry(), server, offset) == DATA[offset:]


@pytest.mark.parametrize("act", [hang_up, cut(0), cut(100, ranges=False), answer(200, DATA[: 5 * CHUNK])])
def test_a_blob_that_never_arrives(server: RegistryServer, make_registry: MakeRegistry, act: Act) -> None:
    """Also where the same beginning arrives over and over."""
    server.always(act, at="/v2/")
    with pytest.raises(RegistryError, match=rf"pulling {LAYER.digest} of .* of {len(DATA)} bytes had arrived\. Run"):
        _pull(make_registry(), server)
    assert len(server.asked) in (4, 5)


def test_what_arrived_is_handed_on_before_the_error(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.next(cut(2 * CHUNK))
    server.always(answer(500), at="/v2/")
    got = bytearray()

    def pull() -> None:
        for chunk in make_registry().blob(server.app(), LAYER):
            got.extend(chunk)

    with pytest.raises(RegistryError, match=rf"HTTP status 500; {2 * CHUNK} of"):
        pull()
    assert got == DATA[: 2 * CHUNK]


def test_a_blob_is_neither_decoded_nor_encoded(server: RegistryServer, make_registry: MakeRegistry) -> None:
    """Some stores say of gzip layers that gzip is the transfer's own."""
    server.always(answer(200, DATA, Content_Encoding="gzip"), at="/v2/")
    assert _pull(make_registry(), server) == DATA


def test_a_blob_that_is_gone(server: RegistryServer, make_registry: MakeRegistry) -> None:
    absent = Descriptor(sha256(b"absent"), 10, "")
    with pytest.raises(ImageNotFound, match=rf"pulling {absent.digest} of {server.address}/app:1: not found \(manif"):
        list(make_registry().blob(server.app(), absent))
    assert len(server.asked) == 1


# ---- manifests --------------------------------------------------------------------------------------


def test_a_dropped_manifest_is_read_again(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.next(cut(10), times=2)
    server.next(hang_up)
    assert make_registry().manifest(server.app()) == (RAW, OCI_MANIFEST)


@pytest.mark.parametrize("body", [b"<html>Please sign in</html>", b"", b"[]", b"\xff\xfe"])
def test_something_else_than_a_registry(server: RegistryServer, make_registry: MakeRegistry, body: bytes) -> None:
    server.next(answer(200, body, "text/html"))
    with pytest.raises(
        RegistryError, match=r"not an image registry: it sent text/html, not a manifest\. Check its host"
    ):
        make_registry().manifest(server.app())


def test_a_manifest_that_is_too_large(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.next(answer(200, b" " * (MANIFEST_LIMIT + 1)))
    with pytest.raises(RegistryError, match=r"looking up .*: its manifest is larger than 4 MiB"):
        make_registry().manifest(server.app())
    largest = json.dumps({"manifests": []}).encode().ljust(MANIFEST_LIMIT)
    server.next(answer(200, largest))
    assert make_registry().manifest(server.app()) == (largest, OCI_INDEX)


def test_a_manifest_of_another_digest(server: RegistryServer, make_registry: MakeRegistry) -> None:
    wanted = SERVED.image.manifest.manifest_digest
    other = RAW + b" "
    server.next(answer(200, other, OCI_MANIFEST), times=2)
    for call in (
        lambda: make_registry().manifest(server.app(), wanted),
        lambda: make_registry().manifest(Reference.parse(f"{server.address}/app:1@{wanted}")),
    ):
        with pytest.raises(RegistryError, match=rf"got {sha256(other)}, want {wanted}"):
            call()


@pytest.mark.parametrize("kind", ["v1+prettyjws", "v1+json", "v2+json"])
def test_schema_1_is_refused(server: RegistryServer, make_registry: MakeRegistry, kind: str) -> None:
    server.next(answer(200, b'{"schemaVersion": 1}', f"application/vnd.docker.distribution.manifest.{kind}"))
    with pytest.raises(RegistryError, match=r"schema 1 manifest, which Docker itself has dropped\. Push"):
        make_registry().manifest(server.app())


@pytest.mark.parametrize("said", ["", "application/json", "text/plain; charset=utf-8", "application/octet-stream"])
def test_a_media_type_that_says_nothing(server: RegistryServer, make_registry: MakeRegistry, said: str) -> None:
    server.next(answer(200, RAW, said))
    assert make_registry().manifest(server.app())[1] == OCI_MANIFEST


def test_a_media_type_with_parameters(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.next(answer(200, b"{}", f"{OCI_INDEX.upper()} ; charset=utf-8"))
    assert make_registry().manifest(server.app())[1] == OCI_INDEX


# ---- trying again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_by_itself_is_waited_for(server: RegistryServer, make_registry: MakeRegistry, status: int) -> None:
    server.next(answer(status), times=3)
    make_registry().manifest(server.app())
    server.next(answer(status), times=3)
    assert _pull(make_registry(), server) == DATA


def test_what_does_not_pass_is_given_up(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.next(answer(503, error("down for maintenance")), times=4)
    with pytest.raises(RegistryError, match=r"looking up .*: HTTP status 503 \(down for maintenance\)$"):
        make_registry().manifest(server.app())
    server.next(answer(429, error("pull rate limit")), times=4)
    with pytest.raises(RegistryError, match=r"too many requests \(pull rate limit\)\. Sign in"):
        make_registry().manifest(server.app())
    server.next(answer(418))
    with pytest.raises(RegistryError, match="HTTP status 418"):
        make_registry().manifest(server.app())


def test_the_registrys_own_wish_to_wait_is_obeyed(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.next(answer(429, Retry_After="0"), times=2)
    server.next(answer(503, Retry_After=" 0 "))
    make_registry(backoff=NEVER).manifest(server.app())
    server.next(answer(429, Retry_After="0"))
    assert _pull(make_registry(backoff=NEVER), server) == DATA


def test_but_not_for_too_long(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.next(answer(429, Retry_After=str(10**12)))
    make_registry(backoff=Backoff(longest=0)).manifest(server.app())


def test_a_wish_that_is_a_date_is_left_aside(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.next(answer(429, Retry_After="Wed, 21 Oct 2116 07:28:00 GMT"))
    make_registry().manifest(server.app())


# ---- out of reach -----------------------------------------------------------------------------------


def test_no_answer_in_time(server: RegistryServer, make_registry: MakeRegistry) -> None:
    server.always(stall, at="/v2/")
    registry = make_registry(timeout=(5.0, 0.05))
    with pytest.raises(RegistryError, match=r"looking up .*: no answer in time\. Check the registry's name and"):
        registry.manifest(server.app())
    with pytest.raises(RegistryError, match=r"no answer in time; 0 of"):
        _pull(registry, server)


def test_nobody_listens(make_registry: MakeRegistry) -> None:
    with socket.socket() as taken:  # by nobody who listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        reference = Reference.parse(f"127.0.0.1:{port}/app")
        wanted = rf"^127\.0\.0\.1:{port}: looking up {reference}: Connection refused\. Check the registry's name"
        with pytest.raises(RegistryError, match=wanted):
            make_registry().manifest(reference)


def test_a_name_that_nobody_knows(make_registry: MakeRegistry) -> None:
    with pytest.raises(RegistryError, match=r"^no-such-host\.invalid: looking up .*: [A-Z].*\. Check") as caught:
        make_registry().manifest(Reference.parse("no-such-host.invalid/app"))
    assert "HTTPSConnection" not in str(caught.value)
    assert "[Errno" not in str(caught.value)
