"""The operator's own engine as a source: Docker with its classic store, and with containerd's."""

from __future__ import annotations

import gc
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Host, Lab, images
from lab.shell import run
from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.adapters.sources.daemon import Daemon
from pulumi_iofog.adapters.sources.local import Local
from pulumi_iofog.errors import SourceError
from pulumi_iofog.oci.image import INDEX_TYPES, Reference, parse_config, parse_index, parse_manifest, sha256


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "cache")
    yield store
    store.close()


def load(host: Host, folder: Path, version: str, name: str) -> str:
    """Load a version of the application under a name; the engine's id of it."""
    layout = images.single(folder, version, "amd64")
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["annotations"] = {"io.containerd.image.name": Reference.parse(name).full_name}
    (layout / "index.json").write_text(json.dumps(index))
    manifest = json.loads((layout / "blobs/sha256" / index["manifests"][0]["digest"][7:]).read_text())
    paths = [f"blobs/{each['digest'].replace(':', '/')}" for each in (manifest["config"], *manifest["layers"])]
    body = [{"Config": paths[0], "RepoTags": [name], "Layers": paths[1:]}]
    (layout / "manifest.json").write_text(json.dumps(body))
    run("tar", "-C", layout, "-cf", host.folder / "run/image.tar", ".")
    host.run("docker load < /run/image.tar && rm /run/image.tar")
    return host.run(f"docker image inspect --format '{{{{.Id}}}}' {name}").strip()


@pytest.mark.lab
@pytest.mark.parametrize("name", ["edge-docker", "edge-docker29"])
def test_an_engines_image(lab: Lab, name: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = lab.hosts[name]
    monkeypatch.setenv("DOCKER_HOST", f"unix://{host.folder}/run/docker.sock")
    engines_id = load(host, tmp_path, f"of-{name}", "plant/app:1")
    local = Local(store.records, store)
    for text in ("docker-daemon:plant/app:1", f"docker-daemon:{engines_id}"):
        reference = Reference.parse(text)
        assert local.named(reference) == reference
        raw, media_type = local.manifest(reference)
        if media_type in INDEX_TYPES:
            (entry,) = parse_index(raw)
            raw, media_type = local.manifest(reference, entry.blob.digest)
        manifest = parse_manifest(raw, media_type)
        # The classic store knows the image by its config, containerd's by the registry's own manifest.
        assert engines_id == (sha256(raw) if name == "edge-docker29" else manifest.config.digest)
        for blob in (manifest.config, *manifest.layers):
            data = b"".join(local.blob(reference, blob))
            assert (sha256(data), len(data)) == (blob.digest, blob.size)
        config = b"".join(local.blob(reference, manifest.config))
        if name == "edge-docker":
            assert tuple(blob.digest for blob in manifest.layers) == parse_config(config)[1]
    assert len(list((store.root / "derived").iterdir())) == 1, "one image is saved once, whatever it is called"

    # Later it is asked for the image's id, and saves nothing.
    later = Local(store.records, Store(tmp_path / "other"))
    assert later.manifest(Reference.parse("docker-daemon:plant/app:1"))[0]
    assert list((tmp_path / "other/derived").iterdir()) == []

    with pytest.raises(SourceError, match=r"looking for absent:1: it has no such image\. Build or pull it there"):
        local.manifest(Reference.parse("docker-daemon:absent:1"))


# The SDK leaves its ssh's pipes to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.lab
def test_an_engine_by_ssh(lab: Lab, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the system's ssh, as docker's own command does it: here one that knows the lab's key and hosts."""
    host = lab.hosts["edge-docker"]
    load(host, tmp_path, "by-ssh", "plant/app:1")
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    options = f"-F /dev/null -i {host.private_key_file} -o UserKnownHostsFile={lab.known_hosts_file}"
    ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh {options} "$@"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", f"ssh://{host.user}@{host.address}")
    local, reference = Local(store.records, store), Reference.parse("docker-daemon:plant/app:1")
    manifest = parse_manifest(*local.manifest(reference))
    for blob in manifest.layers:
        assert sha256(b"".join(local.blob(reference, blob))) == blob.digest
    gc.collect()


def test_dockers_current_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where DOCKER_HOST is not set; the SDK's own ``from_env`` does not look at it."""
    name = "plant"
    meta = tmp_path / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    endpoint = {"Host": "tcp://127.0.0.1:1", "SkipTLSVerify": False}
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": name}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    with pytest.raises(SourceError, match=r"^the docker engine at tcp://127\.0\.0\.1:1: .*Connection refused"):
        Daemon().image_id("app:1")


# The SDK leaves the socket open whose connection has failed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_engine_that_does_not_answer(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for host, why in {
        f"unix://{tmp_path}/none.sock": "No such file or directory",
        "tcp://127.0.0.1:1": "Connection refused",
        "nonsense://x": "Invalid bind address protocol",
    }.items():
        monkeypatch.setenv("DOCKER_HOST", host)
        with pytest.raises(SourceError, match=rf"^the docker engine at {host}: .*: .*{why}.*\. Is it running"):
            Local(store.records, store).manifest(Reference.parse("docker-daemon:app:1"))
    gc.collect()  # here, where it is known of
