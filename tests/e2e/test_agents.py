"""Agents that come, go, fail and change."""

from __future__ import annotations

import json

import pytest

from lab import proof
from lab.controller_process import ControllerProcess
from tests.adapters.host.test_engine_find import second_daemon
from tests.e2e.site import Site

ALL = ("docker", "podman", "docker29")


def test_only_agents_that_changed_are_visited(site: Site) -> None:
    image = site.push("1")
    site.want(["docker"], x86=image)
    assert site.stack.up().ok

    # Two more: the first one is left alone.
    site.want(ALL, x86=image)
    preview = site.stack.preview("--diff")
    assert "2 of 3 agents to update: podman, docker29 (" in preview.output
    assert '+ podman  : "sha256:' in preview.output, preview.output
    before = site.visits(*ALL)
    up = site.stack.up()
    assert up.ok, up.output
    assert "2 agents updated" in up.output
    after = site.visits(*ALL)
    assert [name for name in ALL if after[name] > before[name]] == ["podman", "docker29"]
    assert site.holds("podman", "1")
    assert site.holds("docker29", "1")

    # One is taken away: it keeps the image, and nobody is visited.
    site.want(["docker", "docker29"], x86=image)
    assert "no longer managed: podman" in site.stack.preview().output
    assert site.stack.up().ok
    assert site.visits(*ALL) == after
    assert set(site.stack.outputs()["agent_digests"]) == {"docker", "docker29"}

    # Another user for the same hosts: credentials and pool size are no reason to send anything.
    site.want([site.agent("docker", password="unused"), "docker29"], x86=image, transfer_pool=5)
    preview = site.stack.preview()
    assert "nothing to send: only settings change" in preview.output, preview.output
    assert site.stack.up().ok
    assert site.visits(*ALL) == after


def test_an_agent_that_is_down_costs_only_itself(site: Site) -> None:
    image = site.push("1")
    site.want(ALL, x86=image)
    site.host("podman").stop_sshd()
    try:
        up = site.stack.up()
        assert not up.ok
        assert "1 of 3 agents failed; the other 2 will be skipped by the next pulumi up" in up.output
        address = site.host("podman").address
        line = f"podman: connecting ({address}:22): Connection refused. Is the host up, and sshd on port 22 reachable"
        assert line in up.output
        assert "Traceback" not in up.output
        assert site.repository not in site.items(), "the catalog item comes last"
        assert site.holds("docker", "1")
        assert site.holds("docker29", "1")

        # It may fail: it is pending, and the item is there.
        site.want(ALL, x86=image, max_unavailable=1)
        up = site.stack.up()
        assert up.ok, up.output
        assert "2 agents already had it" in up.output
        assert "pending: podman: connecting" in up.output
        assert site.stack.outputs()["pending_agents"] == ["podman"]
        assert site.repository in site.items()
    finally:
        site.host("podman").start_sshd()

    # The next up tries it again, and only it.
    assert "1 of 3 agents to update: podman (" in site.stack.preview().output
    before = site.visits(*ALL)
    up = site.stack.up()
    assert up.ok, up.output
    assert site.holds("podman", "1")
    assert site.stack.outputs()["pending_agents"] == []
    after = site.visits(*ALL)
    assert [name for name in ALL if after[name] > before[name]] == ["podman"]


def test_a_host_that_another_resource_makes(site: Site) -> None:
    image = site.push("1")
    site.late = {"docker": site.host("docker").address}
    site.want([site.agent("docker", host=None), "podman"], x86=image)
    preview = site.stack.preview()
    assert preview.ok, preview.output
    assert "2 of 2 agents to update: docker, podman (" in preview.output
    up = site.stack.up()
    assert up.ok, up.output
    assert site.holds("docker", "1")
    assert site.holds("podman", "1")
    assert site.stack.up("--expect-no-changes").ok


@pytest.mark.parametrize("dialect", ["3.7.3", "3.9.0"])
def test_each_agent_gets_the_image_of_its_architecture(site: Site, dialect: str) -> None:
    image = site.push("1")
    site.want(["docker", "arm", "arm32"], x86=image, arm=image)
    up = site.stack.up()
    assert up.ok, up.output
    outputs = site.stack.outputs()
    ids = {key: each["image_id"] for key, each in outputs["images"].items()}
    assert outputs["agent_digests"] == {"docker": ids["x86"], "arm": ids["arm"], "arm32": ids["armv7"]}
    assert outputs["images"]["armv7"]["platform"] == "linux/arm/v7"
    for name, architecture in {"docker": "amd64", "arm": "arm64", "arm32": "arm"}.items():
        host = site.host(name)
        assert host.run(f"{host.cli} image inspect --format '{{{{.Architecture}}}}' {image}").strip() == architecture
    # Since 3.8 a catalog tells 32-bit ARM from 64-bit.
    numbers = {"3.7.3": ("fogTypeId", 1, 2), "3.9.0": ("archId", 1, 2, 4)}[dialect]
    wanted = [{"containerImage": image, numbers[0]: number} for number in numbers[1:]]
    assert site.items()[site.repository]["images"] == wanted
    assert site.stack.refresh().ok
    assert site.stack.up("--expect-no-changes").ok
    # An agent of the wrong kind is told by its name before anything is sent.
    site.want([site.agent("docker", arch="arm"), "arm"], x86=image)
    preview = site.stack.preview()
    assert not preview.ok
    assert "is arm, but there is no arm= image" in preview.output, preview.output


def test_a_host_is_asked_for_its_architecture_once(site: Site) -> None:
    """With images for several, of which the Controller does not know which: the first preview asks, and remembers."""
    image = site.push("1")
    site.want(["docker", "arm"], x86=image, arm=image)
    before = site.visits("docker", "arm")
    preview = site.stack.preview()
    assert preview.ok, preview.output
    asked = site.visits("docker", "arm")
    assert {name: asked[name] - before[name] for name in asked} == {"docker": 1, "arm": 1}
    preview = site.stack.preview()
    assert preview.ok, preview.output
    assert site.visits("docker", "arm") == asked


@pytest.mark.parametrize("dialect", ["3.9.0"])
def test_an_image_of_its_own_for_32_bit_arm(site: Site, controllers: dict[str, ControllerProcess]) -> None:
    image, seventh = site.push("1"), site.push("2")
    site.want(["arm", "arm32"], arm=image, armv7=seventh)
    # A catalog that has no such architecture is found out by the preview.
    site.stack.configure({"iofog:endpoint": controllers["3.7.3"].endpoint})
    preview = site.stack.preview()
    assert not preview.ok
    assert "the catalog of Controller 3.7.3 has no armv7: it came with 3.8" in preview.output, preview.output
    site.stack.configure({"iofog:endpoint": site.controller.endpoint})
    up = site.stack.up()
    assert up.ok, up.output
    assert site.holds("arm", "1")
    assert site.holds("arm32", "2")
    wanted = [{"containerImage": image, "archId": 2}, {"containerImage": seventh, "archId": 4}]
    assert site.items()[site.repository]["images"] == wanted
    assert site.stack.destroy().ok


def test_prune_removes_what_was_replaced_and_at_the_end_the_image(site: Site) -> None:
    first, second = site.push("1"), site.push("2")
    site.want(ALL, x86=first, prune=True)
    assert site.stack.up().ok
    # On one host a container still uses the old image: it stays, and that is said.
    site.host("docker").run(f"docker create --name keeper --network none {first}")
    site.want(ALL, x86=second, prune=True)
    up = site.stack.up()
    assert up.ok, up.output
    assert f"docker keeps {first}: a container still uses it" in up.output
    assert proof.images(site.host("podman")) == [second]
    assert proof.images(site.host("docker29")) == [second]
    assert proof.images(site.host("docker")) == [first, second]
    assert site.stack.destroy().ok
    assert proof.images(site.host("podman")) == []
    assert proof.images(site.host("docker29")) == []
    assert proof.images(site.host("docker")) == [first]


def test_an_interrupted_transfer_goes_on_and_leaves_nothing_behind(site: Site) -> None:
    image = site.push("1")
    host = site.host("docker")
    site.want(["docker"], x86=image)
    host.stop_engine()
    try:
        up = site.stack.up()
    finally:
        host.start_engine()
    assert not up.ok
    assert "docker: looking for docker:" in up.output
    assert site.stack.up().ok
    home = f"/home/{host.user}"
    assert host.run(f"find {home}/.cache/pulumi-iofog/spool -mindepth 1").split() == []
    assert host.run("docker ps --all --quiet").split() == []


def test_without_cache_nothing_stays_on_the_operators_disk(site: Site) -> None:
    site.want(["docker"], x86=site.push("1"), cache=False)
    assert site.stack.up().ok
    blobs = site.stack.folder.rglob(".cache/pulumi-iofog/blobs/sha256/*")
    assert [path.stat().st_size for path in blobs if path.stat().st_size > 100_000] == []
    assert json.loads(site.stack.state())["checkpoint"]


def test_the_image_goes_where_the_controllers_record_says(site: Site) -> None:
    """Two daemons on one host; the agent is given in full, and has a record that names the second."""
    host, name = site.host("docker"), f"{site.repository[:20]}-agent"
    with second_daemon(host, "edge") as socket:
        site.want([site.agent("docker", name=name)], x86=site.push("1"))
        preview = site.stack.preview()
        assert preview.ok, preview.output
        up = site.stack.up()
        assert "the host has more than one (docker at /var/run/docker.sock, docker at " in up.output, up.output

        site.controller.set_agent(name, containerEngine="docker", dockerUrl=f"unix://{socket}")
        up = site.stack.up()
        assert up.ok, up.output
        engine = site.stack.outputs()["engines"][name]
        assert engine.endswith(f" (classic store), unix://{socket}")
        held = f"docker -H unix://{socket} image ls --quiet {site.image('1')}"
        assert host.run(held)
        assert not site.holds("docker", "1"), "the system's docker has nothing"

        host.run(f"docker -H unix://{socket} image rm {site.image('1')}")
        assert site.stack.refresh().ok
        assert f'~ {name}: "missing" => "sha256:' in site.stack.preview("--diff").output
        assert site.stack.up().ok
        assert host.run(held)

        site.want([site.agent("docker", name=name, engine_socket="/var/run/docker.sock")], x86=site.image("1"))
        said = f"the Controller says that the ioFog agent uses {socket}; the agent sees no image that is brought"
        assert said in site.stack.preview().output


def test_an_engine_that_is_not_known_is_refused_by_name(site: Site) -> None:
    name = f"{site.repository[:20]}-agent"
    site.controller.set_agent(name, containerEngine="lxc", dockerUrl="unix:///run/lxc.sock")
    site.want([site.agent("docker", name=name)], x86=site.push("1"))
    before = site.visits("docker")
    preview = site.stack.preview()
    assert not preview.ok
    assert f"the Controller says that agent {name} uses the engine 'lxc', which is not supported" in preview.output
    assert site.visits("docker") == before
