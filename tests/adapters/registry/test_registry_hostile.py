"""A registry that means harm: each answer is an error of ours with the reference in it, in bounded time and memory."""

from __future__ import annotations

import json
import re
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pulumi_iofog.adapters.http import Backoff, bounds
from pulumi_iofog.adapters.registry.registry import Registry
from pulumi_iofog.check.platforms import Argument, candidates, find_offer, pin
from pulumi_iofog.errors import InputError, RegistryError
from pulumi_iofog.inputs.registry_settings import RegistryOptions
from pulumi_iofog.oci.image import OCI_INDEX, OCI_MANIFEST, Descriptor, Reference, sha256
from tests.adapters.conftest import MakeRegistry
from tests.adapters.hostile import Harm, HostileServer, bomb, drip, endless, endless_line, head, nested, says
from tests.adapters.registry.registry_server import SERVED, RegistryServer

MIB = 1 << 20
TOTAL = 1.0
"""Seconds that the registry of these tests has for an answer."""
CONFIG = SERVED.image.manifest.config
CHALLENGE = 'WWW-Authenticate: Bearer realm="http://127.0.0.1:{port}/token",service="s"'


def _digest(letter: str) -> str:
    return "sha256:" + letter * 64


def _descriptor(**fields: Any) -> dict[str, Any]:
    return {"mediaType": OCI_MANIFEST, "digest": _digest("a"), "size": 7, **fields}


def _index(**fields: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, **fields}).encode()


def _manifest(**fields: Any) -> bytes:
    config = {"mediaType": "c", "digest": CONFIG.digest, "size": CONFIG.size}
    return json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [], **fields}
    ).encode()


@pytest.fixture
def cost() -> Iterator[None]:
    """Fails what takes more than 10 s, or 64 MiB of memory at any time."""
    tracemalloc.start()
    began = time.monotonic()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - began < 10
    assert peak < 64 * MIB


def _refusal(make_registry: MakeRegistry, harm: Harm | dict[str, Harm]) -> str:
    """What the error says of the image's manifest."""
    with HostileServer(harm) as server:
        registry = make_registry(total=TOTAL, timeout=(1.0, 0.5), backoff=Backoff(first=0, longest=0))
        reference = Reference.parse(f"{server.address}/app:1")
        with pytest.raises(RegistryError) as caught:
            registry.manifest(reference)
    said = str(caught.value)
    assert f"{server.address}: " in said
    assert f"{reference}: " in said
    assert len(said) < 1000
    return said


# ---- bytes and time -----------------------------------------------------------------------------------

GIVEN = {
    "endless": (endless(), "its manifest is larger than 4 MiB"),
    "endless, of a length": (endless(200, f"Content-Length: {1 << 40}"), "its manifest is larger than 4 MiB"),
    "endless chunk": (endless(200, "Transfer-Encoding: chunked", unit=b"100000\r\n" + b" " * MIB + b"\r\n"), "4 MiB"),
    "a chunk's size without end": (endless_line(head(200, "Transfer-Encoding: chunked")), "InvalidChunkLength|hunk"),
    "a status without end": (endless_line(b"HTTP/1.1 200 "), "line|status"),
    "a field without end": (endless_line(b"HTTP/1.1 200 OK\r\nX: "), "line"),
    "bomb": (bomb(), "its manifest is larger than 4 MiB"),
    "bomb in a bomb": (bomb(encoding="gzip, gzip"), "encoded as gzip, gzip, which was not asked for"),
    "no gzip": (says(b"plain", 200, "Content-Encoding: gzip"), "not the gzip that it says"),
    "drip in the status": (drip(b"HTTP/1.1 200 "), r"has not ended after 1 s"),
    "drip in the head": (drip(b"HTTP/1.1 200 OK\r\nX: "), r"has not ended after 1 s"),
    "drip between heads": (drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), r"has not ended after 1 s"),
    "drip in the body": (drip(head(200, "Content-Length: 100000")), r"has not ended after 1 s"),
    "drip in chunks": (drip(head(200, "Transfer-Encoding: chunked"), b"1\r\n \r\n"), r"has not ended after 1 s"),
    "drip in a trailer": (drip(head(200, "Transfer-Encoding: chunked") + b"0\r\n", b"X: y\r\n"), r"after 1 s"),
    "silence": (drip(b"", every=60), "no answer in time|has not ended after"),
    "nested": (says(nested()), "not an image registry"),
    "nested objects": (says(nested(b'{"a":')), "not an image registry"),
    "many values": (says(b"[" + b"[]," * MIB + b"[]]"), "not an image registry"),
    "not UTF-8": (says(b'{"manifests": "\xff"}'), "not an image registry"),
    "a 401 without end": (endless(401), "not allowed anonymously"),
    "a 401 that is a bomb": (bomb(401), "not allowed anonymously"),
    "a 401 that drips": (drip(head(401, "Content-Length: 100000")), "not allowed anonymously"),
    "a 404 without end": (endless(404), "not found"),
    "a 500 that is a bomb": (bomb(500), "HTTP status 500"),
    "a 500 that is nested": (says(b'{"errors":' + nested(), 500), "HTTP status 500"),
    "a challenge of 60 kB": (says(b"", 401, f"WWW-Authenticate: Bearer {'a' * 60_000}"), "is not https|not allowed"),
    "a token service that is no URL": (says(b"", 401, 'WWW-Authenticate: Bearer realm="http://["'), "is not https"),
    "a redirect to nothing": (says(b"", 302, "Location: http://["), "could not be made"),
    "a redirect that is no text": (says(b"", 302, "Location: \xff\xfe"), "could not be made|HTTP status|not ended"),
    "a redirect in circles": (says(b"", 302, "Location: /v2/"), "could not be made|not ended"),
    "a redirect without end": ({"": endless(302, "Location: /there"), "/there": says(b"[]")}, "not an image registry"),
    "a redirect that is a bomb": ({"": bomb(302, "Location: /there"), "/there": says(b"[]")}, "not an image registry"),
}


@pytest.mark.usefixtures("cost")
@pytest.mark.parametrize("what", GIVEN)
def test_an_answer_without_bounds(make_registry: MakeRegistry, what: str) -> None:
    harm, wanted = GIVEN[what]
    assert re.search(wanted, _refusal(make_registry, harm))


TOKENS = {
    "endless": (endless(), "its token is larger than 64 KiB"),
    "bomb": (bomb(), "its token is larger than 64 KiB"),
    "nested": (says(nested(depth=50_000)), "gave no token"),
    "drip": (drip(head(200, "Content-Length: 100000")), "has not ended after 1 s"),
    "a 401 without end": (endless(401), "answered HTTP status 401"),
    "a 400 that is a bomb": (bomb(400), "answered HTTP status 400"),
    "no text": (says(b'{"token": [1]}'), "gave no token"),
    "half a letter": (says(b'{"token": "\\ud800"}'), "gave no token"),
    "good for ever": (says(b'{"token": "t", "expires_in": 1e999}'), "gave no token"),
    "good for a list": (says(b'{"token": "t", "expires_in": [1]}'), "gave no token"),
}


@pytest.mark.usefixtures("cost")
@pytest.mark.parametrize("what", TOKENS)
def test_a_token_service_without_bounds(make_registry: MakeRegistry, what: str) -> None:
    harm, wanted = TOKENS[what]

    def challenge(connection: Any, stopped: Any) -> None:
        port = connection.getsockname()[1]
        says(b"", 401, CHALLENGE.format(port=port))(connection, stopped)

    assert wanted in _refusal(make_registry, {"": challenge, "/token": harm})


def test_a_helper_that_is_not_installed_is_no_reason_to_fail(
    server: RegistryServer, make_registry: MakeRegistry, tmp_path: Path
) -> None:
    """The image is public; where it is not, the error says what was missing."""
    config = tmp_path / "config.json"
    config.write_text('{"credsStore": "absent"}')
    warned: list[str] = []
    assert make_registry(docker_config=config, warn=warned.append).manifest(server.app())
    assert warned == []  # nobody asked for credentials
    server.want_tokens("")
    assert make_registry(docker_config=config, warn=warned.append).manifest(server.app())
    said = f"docker-credential-absent, which docker's config.json names for {server.address}, is not installed"
    assert warned == [f"{said}: trying without credentials. Put it on PATH, or set auth="]
    server.users.clear()
    with pytest.raises(RegistryError, match="anonymously, as docker-credential-absent is not installed"):
        make_registry(docker_config=config).manifest(server.app())


def test_a_blob_that_drips_has_stalled(make_registry: MakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never silent for long, but below 1 kB/s for two minutes (here: for 0.3 seconds)."""
    monkeypatch.setattr(bounds, "SLOW_FOR", 0.3)
    blob = Descriptor(sha256(b"x"), 1 << 20, "")
    with HostileServer(drip(head(200, f"Content-Length: {1 << 20}"), b"x" * 10)) as server:
        registry = make_registry(backoff=Backoff(first=0))
        with pytest.raises(RegistryError, match=rf"pulling {blob.digest} .*: it has stalled: \d+ bytes in 0 s; 0 of"):
            list(registry.blob(Reference.parse(f"{server.address}/app:1"), blob))
        assert len(server.asked) == 4


def test_a_blob_whose_reader_takes_their_time_has_not_stalled(
    make_registry: MakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "SLOW_FOR", 0.3)
    data = bytes(3 * bounds.CHUNK)
    with HostileServer(says(data)) as server:
        got = b""
        for chunk in make_registry().blob(
            Reference.parse(f"{server.address}/app:1"), Descriptor(sha256(data), len(data), "")
        ):
            got += chunk
            time.sleep(0.2)
    assert got == data


def test_a_proxy_is_held_to_the_same(make_registry: MakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with HostileServer(drip(b"HTTP/1.1 200 OK\r\nX: ")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
        registry = make_registry(total=TOTAL, options={"registry.invalid": RegistryOptions(insecure=True)})
        with pytest.raises(RegistryError, match="its answer has not ended after 1 s"):
            registry.manifest(Reference.parse("registry.invalid/app:1"))
        assert proxy.asked == ["GET http://registry.invalid/v2/app/manifests/1 HTTP/1.1"]


def test_a_byte_for_each_request_is_no_progress(make_registry: MakeRegistry) -> None:
    blob = Descriptor(sha256(b"x"), 1000, "")
    one = head(200, "Transfer-Encoding: chunked") + b"1\r\nx\r\n"
    with HostileServer(lambda connection, _: connection.sendall(one)) as server:
        registry = make_registry(backoff=Backoff(first=0))
        with pytest.raises(RegistryError, match="of 1000 bytes had arrived"):
            list(registry.blob(Reference.parse(f"{server.address}/app:1"), blob))
        assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("asked", "seconds"), [("100000", 60), ("9" * 400, 60), ("7", 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)]
)
def test_retry_after_is_obeyed_up_to_a_minute_and_told(make_registry: MakeRegistry, asked: str, seconds: int) -> None:
    told: list[str] = []
    waited: list[float] = []
    backoff = Backoff(say=told.append, pause=waited.append)
    with HostileServer(says(b"", 429, f"Retry-After: {asked}")) as server:
        with pytest.raises(RegistryError, match="too many requests"):
            make_registry(backoff=backoff).manifest(Reference.parse(f"{server.address}/app:1"))
        assert waited == [seconds] * 3
        for_how_long = {60: "1 min 0 s", 7: "7 s"}.get(seconds)
        line = f"waiting {for_how_long}, as {server.address} asks for it: too many requests"
        assert told == ([line] * 3 if for_how_long else [])


# ---- odd values ---------------------------------------------------------------------------------------

INDEXES = [
    _index(manifests="abc"),
    _index(manifests=[1]),
    _index(manifests=True),
    _index(manifests=[None, [], "x"]),
    _index(manifests=[_descriptor(platform="x")]),
    _index(manifests=[_descriptor(platform=[1])]),
    _index(manifests=[_descriptor(platform={"os": ["linux"], "architecture": "amd64"})]),
    _index(manifests=[_descriptor(platform={"os": "linux", "architecture": {"a": 1}})]),
    _index(manifests=[_descriptor(platform={"os": "linux", "architecture": "amd64", "variant": [1]})]),
    _index(manifests=[_descriptor(platform={"os": "linux", "architecture": "\x1b[2J"})]),
    _index(manifests=[_descriptor(platform={"os": "linux", "architecture": "amd64"}, digest=7)]),
    _index(manifests=[_descriptor(platform={"os": "linux", "architecture": "amd64"}, size=10**400)]),
    _index(manifests=[_descriptor(platform={"os": "linux", "architecture": "amd64"}, mediaType=[1])]),
    b'{"mediaType": [1], "manifests": []}',
    b'{"mediaType": "\\ud800"}',
]
MANIFESTS = [
    _manifest(layers=[1]),
    _manifest(layers=[None]),
    _manifest(layers="abc"),
    _manifest(layers=[_descriptor(size=10**400)]),
    _manifest(layers=[_descriptor(size=-1)]),
    _manifest(layers=[_descriptor(size=1.5)]),
    _manifest(layers=[_descriptor(digest="sha256:../../etc")]),
    _manifest(config=[1]),
    _manifest(config={"digest": CONFIG.digest, "size": 10**12}),
    _manifest(config={"digest": CONFIG.digest, "size": 9 * MIB}),
    b'{"mediaType": "application/vnd.oci.image.manifest.v1+json", "config": NaN}',
]
CONFIGS = [
    b"[]",
    nested(),
    b"{}",
    b'{"rootfs": {"diff_ids": "abc"}}',
    b'{"rootfs": {"diff_ids": [1, null]}}',
    b'{"os": ["linux"], "rootfs": {"diff_ids": []}}',
    b'{"architecture": {"a": 1}, "rootfs": {"diff_ids": []}}',
    b'{"os": "li\\ud800nux", "rootfs": {"diff_ids": []}}',
]


def _refused(server: HostileServer) -> Any:
    return pytest.raises((RegistryError, InputError), match=rf"{server.address}/app:1\b")


class Manifests:
    """What a check asks, straight from a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def named(self, reference: Reference) -> Reference:
        return reference

    def fetch_manifest(self, reference: Reference, target: str | None = None) -> tuple[bytes, str]:
        return self._registry.manifest(reference, target)

    def small_blob(self, reference: Reference, blob: Descriptor) -> bytes:
        return b"".join(self._registry.blob(reference, blob))


def _resolve(registry: Registry, server: HostileServer, lookups: Any, spec: Any) -> None:
    reference = Reference.parse(f"{server.address}/app:1")
    lookups.manifests, lookups.previewed.return_value = Manifests(registry), None
    offer = find_offer(Argument("x86", reference, ("x86",)), spec, {}, lookups)
    for arch in candidates(offer):
        pin(offer, arch, lookups.manifests)


@pytest.mark.usefixtures("cost")
@pytest.mark.parametrize("raw", [*INDEXES, *MANIFESTS], ids=lambda raw: raw.decode()[:80])
def test_an_odd_manifest(make_registry: MakeRegistry, raw: bytes, mocker: Any) -> None:
    kind = OCI_INDEX if b"manifests" in raw else OCI_MANIFEST
    with HostileServer(says(raw, 200, f"Content-Type: {kind}")) as server, _refused(server):
        _resolve(make_registry(), server, mocker.Mock(), mocker.Mock(pull_policy="always"))


@pytest.mark.usefixtures("cost")
@pytest.mark.parametrize("raw", CONFIGS, ids=lambda raw: raw.decode()[:80])
def test_an_odd_config(make_registry: MakeRegistry, raw: bytes, mocker: Any) -> None:
    config = {"mediaType": "c", "digest": sha256(raw), "size": len(raw)}
    manifest = says(_manifest(config=config), 200, f"Content-Type: {OCI_MANIFEST}")
    with HostileServer({"": manifest, f"/v2/app/blobs/{sha256(raw)}": says(raw)}) as server, _refused(server):
        _resolve(make_registry(), server, mocker.Mock(), mocker.Mock(pull_policy="always"))
