"""The lines that ``python -m pulumi_iofog sudoers`` prints are enough for whole rollouts, and for nothing else."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import Host, Lab
from pulumi_iofog.__main__ import main
from pulumi_iofog.adapters.host.edge_host import EdgeHost
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.errors import EngineError
from pulumi_iofog.oci.image import AMD64, OCI_MANIFEST, Pin, parse_digest, parse_manifest
from tests.adapters.conftest import QUICK, AgentOf
from tests.adapters.host.edge import APP, REFERENCE
from tests.adapters.host.test_odd_images import Layout, brought, packed
from tests.images import layer_tar

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("home")]
USER = "outsider"
HOSTS = {"edge-docker": "docker", "edge-docker29": "docker", "edge-podman": "podman", "edge-edgelet": "edgelet"}
NOISE = random.Random(9).randbytes(5_000_000)


@contextmanager
def sudoers(host: Host, capsys: pytest.CaptureFixture[str], *arguments: str) -> Iterator[None]:
    """The host's sudoers with the lines that are printed, which visudo finds sound."""
    assert main(["sudoers", *arguments, "--user", USER]) == 0
    host.run("cp /etc/sudoers /run/sudoers")
    try:
        host.run(f"cat >> /etc/sudoers <<'LINES'\n{capsys.readouterr().out}LINES\nvisudo -c -q -f /etc/sudoers")
        yield
    finally:
        host.run("cat /run/sudoers > /etc/sudoers; rm /run/sudoers")


def version(folder: Path, number: int) -> Layout:
    """An image whose lower layer changes a little, so that the old one is asked back of the engine."""
    layout = Layout(folder)
    base = layer_tar({"etc/version": b"%d" % number, "lib/noise": NOISE})
    layout.name(layout.image(packed(base), packed(layer_tar({"app/run": b"application %d" % number}))))
    return layout


def pin_of(layout: Layout) -> Pin:
    digest = parse_digest(json.loads((layout.folder / "index.json").read_text())["manifests"][0]["digest"])
    manifest = parse_manifest((layout.folder / "blobs/sha256" / digest.hex).read_bytes(), OCI_MANIFEST)
    return Pin(REFERENCE, digest, manifest.config.digest, AMD64, manifest.size)


@pytest.mark.parametrize("name", HOSTS)
def test_a_whole_rollout_takes_no_more(
    lab: Lab, agent_of: AgentOf, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    host, engine = lab.hosts[name], HOSTS[name]
    fields: dict[str, Any] = {"user": USER, "engine": engine}
    with sudoers(host, capsys, engine):
        for number in (1, 2):
            layout = version(tmp_path / f"{number}", number)
            (outcome,) = brought(lab, layout, name, empty=number == 1, **fields)
            assert outcome.error is None, outcome.error
            assert outcome.updated
            assert host.engine.content(host, APP, "app/run") == f"application {number}"
        assert host.run(f"find /home/{USER}/.cache -name 'image-*'") == ""
        (again,) = brought(lab, layout, name, empty=False, **fields)
        assert (again.error, again.updated) == (None, False)
        host.engine.release(host)
        with ssh.connect(agent_of(name, **fields), timeouts=QUICK) as connection:
            edge = EdgeHost(connection, agent_of(name, **fields))
            assert edge.holds(pin_of(layout))
            assert edge.remove(pin_of(layout))
            assert not edge.holds(pin_of(layout))
            edge.remove_stale_containers()
    assert APP not in host.engine.images(host)
    assert host.engine.containers(host) == []


@pytest.mark.parametrize(
    "arguments",
    [
        "run --rm -v /:/host alpine true",
        "load -i /etc/shadow",
        "save -o /etc/cron.d/x 0123456789ab",
        "save 0123456789ab -o /etc/cron.d/x",
        "image rm --force x",
        "image ls --format x",
        "image inspect --format {{.Id}} x --root /home/outsider",
        "create --pull never --name pulumi-iofog-verify-0a --label pulumi-iofog=verify --network none"
        " --env-file /etc/shadow x true",
        "create --pull never --name pulumi-iofog-verify-0a --label pulumi-iofog=verify --network none x sh",
        "cp pulumi-iofog-verify-0a:/ /etc",
        "start pulumi-iofog-verify-0a",
        "rm --force --volumes other",
        "pull --quiet docker.io/library/alpine",
    ],
)
@pytest.mark.parametrize("name", ["edge-docker", "edge-podman"])
def test_nothing_else_is_allowed(lab: Lab, capsys: pytest.CaptureFixture[str], name: str, arguments: str) -> None:
    host, engine = lab.hosts[name], HOSTS[name]
    at = "-H unix:///var/run/docker.sock " if engine == "docker" else ""
    with sudoers(host, capsys, engine):
        ask = f"sudo -u {USER} sudo -n -l /usr/bin/{engine} {at}"
        assert host.run(f"{ask}image ls --all --quiet --no-trunc").strip()
        with pytest.raises(Exception, match="exit 1"):
            host.run(f"{ask}{arguments}")


def test_all_of_the_command_is_enough_too(lab: Lab, agent_of: AgentOf, capsys: pytest.CaptureFixture[str]) -> None:
    """For an older sudo, or as people have it; at another socket."""
    host = lab.hosts["edge-docker"]
    fields: dict[str, Any] = {"user": USER, "engine": "docker"}
    with (
        sudoers(host, capsys, "docker", "--whole"),
        ssh.connect(agent_of(host, **fields), timeouts=QUICK) as connection,
    ):
        edge = EdgeHost(connection, agent_of(host, **fields))
        assert edge.platform.runs(AMD64)
        assert edge._engine.images(REFERENCE).images is not None
    host.run("ln -s /var/run/docker.sock /run/other.sock")
    other: dict[str, Any] = {**fields, "engine_socket": "/run/other.sock"}
    try:
        with ssh.connect(agent_of(host, **other), timeouts=QUICK) as connection:
            with sudoers(host, capsys, "docker", "--socket", "/run/other.sock"):
                assert EdgeHost(connection, agent_of(host, **other)).platform.runs(AMD64)
            with sudoers(host, capsys, "docker"), pytest.raises(EngineError, match=r"sudoers docker prints the least"):
                EdgeHost(connection, agent_of(host, **other))
    finally:
        host.run("rm /run/other.sock")
