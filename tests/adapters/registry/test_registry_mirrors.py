"""Where the registry adapter asks: mirrors first, each with its own credentials, and what it says of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.errors import ImageNotFound, RegistryError
from pulumi_iofog.inputs.registry_settings import Mirror, RegistryOptions
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
    cut,
    hang_up,
)


@pytest.fixture
def mirror() -> Iterator[RegistryServer]:
    """Has the same image, below a path of its own too."""
    with RegistryServer() as mirror:
        mirror.add(SERVED)
        mirror.add(SERVED, "cached/app")
        yield mirror


def mirrored(server: RegistryServer, *mirrors: Mirror) -> dict[str, RegistryOptions]:
    return {server.address: RegistryOptions(mirrors)}


def test_a_mirror_is_asked_first(server: RegistryServer, mirror: RegistryServer, make_registry: MakeRegistry) -> None:
    registry = make_registry(options=mirrored(server, Mirror(mirror.address, "cached")))
    assert registry.manifest(server.app())[0] == RAW
    assert b"".join(registry.blob(server.app(), LAYER)) == DATA
    assert server.connections == 0
    assert mirror.paths() == ["/v2/cached/app/manifests/1", BLOB.replace("/app/", "/cached/app/")]


def test_another_registry_has_no_part_in_it(
    server: RegistryServer, mirror: RegistryServer, make_registry: MakeRegistry
) -> None:
    make_registry(options={"docker.io": RegistryOptions((Mirror(mirror.address),))}).manifest(server.app())
    assert mirror.connections == 0


@pytest.mark.parametrize("act", [hang_up, answer(503), answer(500), answer(200, b"<html>"), answer(200, b"{}")])
def test_a_mirror_that_fails_is_left_out(
    server: RegistryServer, mirror: RegistryServer, make_registry: MakeRegistry, act: object
) -> None:
    """Also one that hands out wrong data; it is tried once, and not again."""
    mirror.always(act, at="/v2/")  # type: ignore[arg-type]
    registry = make_registry(options=mirrored(server, Mirror(mirror.address)))
    digest = SERVED.image.manifest.manifest_digest
    assert registry.manifest(server.app(), digest)[0] == RAW
    assert b"".join(registry.blob(server.app(), LAYER)) == DATA
    assert len(mirror.asked) == 1


def test_the_next_mirror_is_asked_then(
    server: RegistryServer, mirror: RegistryServer, make_registry: MakeRegistry
) -> None:
    registry = make_registry(options=mirrored(server, Mirror("127.0.0.1:1"), Mirror(mirror.address)))
    assert registry.manifest(server.app())[0] == RAW
    assert (server.asked, len(mirror.asked)) == ([], 1)


def test_what_a_mirror_does_not_have_is_had_from_the_registry(
    server: RegistryServer, mirror: RegistryServer, make_registry: MakeRegistry
) -> None:
    del mirror.content["/v2/app/manifests/1"]
    registry = make_registry(options=mirrored(server, Mirror(mirror.address)))
    assert registry.manifest(server.app())[0] == RAW
    assert b"".join(registry.blob(server.app(), LAYER)) == DATA
    assert server.paths() == ["/v2/app/manifests/1"]
    assert mirror.paths() == ["/v2/app/manifests/1", BLOB]


def test_a_blob_goes_on_where_a_mirror_has_stopped(
    server: RegistryServer, mirror: RegistryServer, make_registry: MakeRegistry
) -> None:
    mirror.next(cut(200_000), at=BLOB)
    mirror.always(hang_up, at=BLOB)
    registry = make_registry(options=mirrored(server, Mirror(mirror.address)))
    assert b"".join(registry.blob(server.app(), LAYER)) == DATA
    assert int(server.asked[-1].range[6:-1]) > 100_000


def test_a_blob_that_a_mirror_has_wrong_is_had_from_the_registry(
    server: RegistryServer, mirror: RegistryServer, make_registry: MakeRegistry, tmp_path: Path
) -> None:
    mirror.content[BLOB] = (bytes(len(DATA)), "")
    registry = make_registry(options=mirrored(server, Mirror(mirror.address)))
    with contextlib.closing(Store(tmp_path / "cache")) as store:
        assert store.fetch(LAYER, lambda offset: registry.blob(server.app(), LAYER, offset)).read_bytes() == DATA
    assert (mirror.paths(), server.paths()) == ([BLOB], [BLOB])


def test_the_error_names_all_that_were_asked(
    server: RegistryServer, mirror: RegistryServer, make_registry: MakeRegistry
) -> None:
    mirror.always(answer(500), at="/v2/")
    registry = make_registry(options=mirrored(server, Mirror(mirror.address), Mirror("127.0.0.1:1")))
    wanted = (
        rf"^{server.address}: looking up {server.address}/absent:1: not found \(manifest unknown\); its mirrors were"
        rf" tried first: {mirror.address}: HTTP status 500; 127\.0\.0\.1:1: Connection refused\. Check"
    )
    with pytest.raises(ImageNotFound, match=wanted):
        registry.manifest(Reference.parse(f"{server.address}/absent:1"))
    with pytest.raises(ImageNotFound, match=r"not found \(manifest unknown\)\. Check"):
        registry.manifest(Reference.parse(f"{server.address}/absent:1"))


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_a_mirror_gets_its_own_credentials_only(
    server: RegistryServer, mirror: RegistryServer, make_registry: MakeRegistry, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "config.json"
    own = basic("mirror", "hidden-2").partition(" ")[2]
    file.write_text(json.dumps({"auths": {mirror.address: {"auth": own}}}))
    if kind == "basic":
        mirror.challenge = 'Basic realm="mirror"'
        mirror.admitted[f"Basic {own}"] = float("inf")
    else:
        mirror.want_tokens(f"Basic {own}")
    options = mirrored(server, Mirror(mirror.address))
    make_registry(RegistryAuth("ci", "hidden"), options=options, docker_config=file).manifest(server.app())
    assert basic("ci", "hidden") not in {asked.authorization for asked in mirror.asked}
    # Without any of its own it gets none, and what the user gave goes to the registry itself.
    server.challenge = 'Basic realm="registry"'
    server.admitted[basic("ci", "hidden")] = float("inf")
    mirror.asked.clear()
    registry = make_registry(RegistryAuth("ci", "hidden"), options=options)
    assert registry.manifest(server.app())[0] == RAW
    assert {asked.authorization for asked in mirror.asked} == {""}


def test_no_secret_of_a_mirror_in_an_error(
    server: RegistryServer, mirror: RegistryServer, make_registry: MakeRegistry, tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {mirror.address: {"username": "m", "password": "hidden"}}}))
    mirror.challenge = 'Basic realm="mirror"'
    registry = make_registry(options=mirrored(server, Mirror(mirror.address)), docker_config=file)
    with pytest.raises(RegistryError, match=rf"{mirror.address}: not allowed as m") as caught:
        registry.manifest(Reference.parse(f"{server.address}/absent:1"))
    assert "hidden" not in str(caught.value)
