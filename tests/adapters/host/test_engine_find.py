"""Finding an agent's engine, as the user or as root, and what the error says where there is none."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab import Host, Lab
from lab.shell import wait_for
from pulumi_iofog.adapters.host.engines.base import Engine
from pulumi_iofog.adapters.host.engines.detect import find
from pulumi_iofog.adapters.host.sudo import Runner
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.errors import EngineError
from pulumi_iofog.oci.image import AMD64, Reference
from tests.adapters.conftest import QUICK, AgentOf

pytestmark = pytest.mark.lab
NONE = Reference.parse("registry.example/none:1")
KINDS = {
    "edge-docker": "docker",
    "edge-podman": "podman",
    "edge-docker29": "docker-containerd",
    "edge-edgelet": "edgelet",
}
ROOTS = {"edge-podman": "/var/lib/containers/storage", "edge-edgelet": "/var/lib/edgelet-containerd/root"}


@contextmanager
def found(agent_of: AgentOf, host: str, **fields: Any) -> Iterator[Engine]:
    agent = agent_of(host, **fields)
    with ssh.connect(agent, timeouts=QUICK) as connection:
        yield find(connection, agent)


def refused(agent_of: AgentOf, host: str, **fields: Any) -> str:
    with pytest.raises(EngineError) as caught, found(agent_of, host, **fields):
        pass
    return str(caught.value)


@pytest.mark.parametrize("host", KINDS)
def test_the_engine_that_is_there(agent_of: AgentOf, host: str) -> None:
    with found(agent_of, host) as engine:
        assert (engine.kind, engine.platform.runs(AMD64)) == (KINDS[host], True)
        assert engine.root == ROOTS.get(host, "/var/lib/docker")
        assert engine.images(NONE).named is None


@pytest.mark.parametrize("host", KINDS)
@pytest.mark.parametrize(("user", "sudo"), [("edge", None), ("plain", None), ("asked", None), ("root", True)])
def test_whoever_may_reach_it_does(agent_of: AgentOf, lab: Lab, host: str, user: str, sudo: bool | None) -> None:
    """In group docker, by sudo without and with a password, and as root."""
    password = lab.hosts[host].password if user == "asked" else None
    with found(agent_of, host, user=user, sudo=sudo, password=password) as engine:
        assert engine.kind == KINDS[host]
        assert engine.root.startswith("/var/lib/")
        assert engine.image_id(NONE) is None


def test_root_needs_no_sudo_program(agent_of: AgentOf, lab: Lab) -> None:
    host = lab.hosts["edge-docker"]
    host.run("mount --bind /dev/null /usr/bin/sudo")
    try:
        with found(agent_of, "edge-docker", user="root", sudo=True, password="unused") as engine:
            assert engine.kind == "docker"
        said = refused(agent_of, "edge-docker", user="plain")
        assert "sudo docker: " in said
        assert "Let plain reach the engine: the docker group, or sudo" in said
    finally:
        host.run("umount /usr/bin/sudo")


def test_podman_of_root_and_of_the_user_are_two(agent_of: AgentOf) -> None:
    with found(agent_of, "edge-podman", sudo=False) as engine:
        assert engine.root == "/home/edge/.local/share/containers/storage"
    with found(agent_of, "edge-podman", user="outsider", sudo=False) as engine:
        assert engine.root == "/home/outsider/.local/share/containers/storage"
    # Who may not become root is not given the own one silently.
    said = refused(agent_of, "edge-podman", user="outsider")
    assert said.endswith(", or sudo=False for the user's own podman, which ioFog does not see")


@contextmanager
def rootless(host: Host, folder: str, user: str) -> Iterator[None]:
    """The host's dockerd listens where a user's own does, and lets nobody else in."""
    host.stop_engine()
    host.run(
        f"mkdir -p {folder} && chown {user} {folder}; rm -f /run/docker.pid"
        f"; setsid /usr/sbin/dockerd --iptables=false --bridge=none --group {user} -H unix://{folder}/docker.sock"
        " --pidfile /run/rootless.pid --exec-opt=native.cgroupdriver=cgroupfs >/run/rootless.log 2>&1 </dev/null &"
        f" until [ -S {folder}/docker.sock ]; do sleep 0.1; done"
    )
    try:
        yield
    finally:
        pid = int((host.folder / "run/rootless.pid").read_text())
        host.run(f"kill {pid}; while kill -0 {pid} 2>/dev/null; do sleep 0.1; done; rm -rf {folder}")
        host.start_engine()


@pytest.mark.parametrize("folder", ["/run/user/20004", "/home/outsider/.docker/run"])
def test_docker_of_the_user(agent_of: AgentOf, lab: Lab, folder: str) -> None:
    """Only with sudo=False; root has none there."""
    host = lab.hosts["edge-docker"]
    with rootless(host, folder, "outsider"):
        with found(agent_of, "edge-docker", user="outsider", sudo=False, engine="docker") as engine:
            assert engine.kind == "docker"
            assert engine.images(NONE).named is None
        assert "docker: Cannot connect" in refused(agent_of, "edge-docker", user="outsider", engine="docker")


def test_docker_of_the_user_that_is_not_there(agent_of: AgentOf) -> None:
    said = refused(agent_of, "edge-docker", user="outsider", sudo=False, engine="docker")
    assert re.search("docker: .*permission denied.*; the user's own docker: no docker.sock in /run/user/20004", said)
    assert ". Let outsider reach the engine: the docker group" in said


# ---- which of several -------------------------------------------------------------------------------


@contextmanager
def second_daemon(host: Host, user: str) -> Iterator[str]:
    """Another dockerd on the host, as a user's own would be; the context of the user's docker leads to it."""
    folder, home = f"/run/user/{host.run(f'id -u {user}').strip()}", f"/home/{user}"
    host.run(
        f"mkdir -p {folder} {home}/.docker /run/second && chown {user} {folder} {home}/.docker;"
        f" setsid /usr/sbin/dockerd --iptables=false --bridge=none --group {user} -H unix://{folder}/docker.sock"
        " --data-root /var/lib/docker/second --exec-root /run/second --pidfile /run/second.pid"
        " --exec-opt=native.cgroupdriver=cgroupfs >/run/second.log 2>&1 </dev/null &"
        f" until [ -S {folder}/docker.sock ]; do sleep 0.1; done"
    )
    try:
        create = (
            f"docker context create rootless --docker host=unix://{folder}/docker.sock && docker context use rootless"
        )
        host.run(f"su -s /bin/sh -c '{create}' {user}")
        yield f"{folder}/docker.sock"
    finally:
        pid = int((host.folder / "run/second.pid").read_text())
        host.run(
            f"kill {pid}; while kill -0 {pid} 2>/dev/null; do sleep 0.1; done;"
            f" rm -rf {folder} {home}/.docker /run/second /var/lib/docker/second"
        )


def test_of_two_daemons_none_is_chosen_silently(agent_of: AgentOf, lab: Lab) -> None:
    """What Docker's rootless set-up makes: a second daemon, and a context that leads the user's docker there."""
    system = "/var/run/docker.sock"
    with second_daemon(lab.hosts["edge-docker"], "edge") as own:
        said = refused(agent_of, "edge-docker")
        assert f"the host has more than one (docker at {system}, docker at {own})" in said
        assert f'Write engine="docker", engine_socket="{system}" or engine="docker", engine_socket="{own}"' in said
        for socket, root in ((system, "/var/lib/docker"), (own, "/var/lib/docker/second")):
            with found(agent_of, "edge-docker", engine="docker", engine_socket=socket) as engine:
                assert engine.root == root
                assert engine.description.endswith(f" (classic store), unix://{socket}")
                assert engine.images(Reference.parse("registry.example/none:1")).named is None


@pytest.mark.parametrize("line", ["export DOCKER_HOST=unix:///nowhere", "export DOCKER_CONTEXT=nowhere"])
def test_what_the_login_says_of_docker_leads_nowhere_else(agent_of: AgentOf, lab: Lab, line: str) -> None:
    host = lab.hosts["edge-docker"]
    host.run(f"cp /etc/passwd /run/passwd; echo '{line}' > /home/edge/.bashrc")
    host.run("sed -i '/^edge:/s|:[^:]*$|:/bin/bash|' /run/passwd; cat /run/passwd > /etc/passwd")
    try:
        with found(agent_of, "edge-docker") as engine:
            assert engine.root == "/var/lib/docker"
    finally:
        host.run(
            "sed -i '/^edge:/s|:[^:]*$|:/bin/sh|' /run/passwd; cat /run/passwd > /etc/passwd; rm /home/edge/.bashrc"
        )


def test_two_engines_on_one_host_are_told_apart_by_whoever_knows(agent_of: AgentOf, lab: Lab) -> None:
    host = lab.hosts["edge-docker"]
    host.run("printf '#!/bin/sh\nexit 1\n' > /usr/local/bin/podman; chmod 755 /usr/local/bin/podman")
    try:
        said = refused(agent_of, "edge-docker")
        assert "the host has more than one (docker at /var/run/docker.sock, podman)" in said
        assert 'Write engine="docker", engine_socket="/var/run/docker.sock" or engine="podman"' in said
        with found(agent_of, "edge-docker", engine="docker") as engine:
            assert re.fullmatch(r"docker [\d.]+\S* \(classic store\), unix:///var/run/docker\.sock", engine.description)
    finally:
        host.run("rm /usr/local/bin/podman")


def test_podman_of_another_user_is_not_looked_for_as_root(agent_of: AgentOf) -> None:
    own = {"engine": "podman", "engine_socket": "/run/user/20004/podman/podman.sock"}
    with found(agent_of, "edge-podman", user="outsider", **own) as engine:
        assert engine.root == "/home/outsider/.local/share/containers/storage"
        assert engine.description.startswith("podman 4.")
    assert "it is the podman of user outsider: log in as that user" in refused(agent_of, "edge-podman", **own)


def test_a_socket_at_which_nothing_answers_is_to_be_checked(agent_of: AgentOf) -> None:
    said = refused(agent_of, "edge-docker", engine="docker", engine_socket="/run/none.sock")
    assert "running? Check engine_socket=, or without it dockerUrl in the Controller's record of edge-docker" in said
    assert said.endswith("nothing answers at /run/none.sock")
    assert "systemctl" not in said


# ---- none -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_an_engine_that_is_named_is_the_only_one(agent_of: AgentOf, name: str) -> None:
    other = {"docker": "edge-podman", "podman": "edge-docker"}[name]
    said = refused(agent_of, other, engine=name)
    assert said.startswith(f"{other}: looking for {name}: ")
    assert f"{name}: not found on PATH (/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin:" in said
    assert ". If it is installed elsewhere, link it into /usr/local/bin. " in said
    record = f"{name} is what engine= says or, without it, the Controller's record of {other} (containerEngine and"
    assert f"{record} dockerUrl). If that is wrong, correct the record, or set engine=, which takes precedence" in said
    with found(agent_of, f"edge-{name}", engine=name) as engine:
        assert engine.kind == name


def test_a_host_without_an_engine(agent_of: AgentOf, lab: Lab) -> None:
    host = lab.hosts["edge-docker"]
    host.run("mount --bind /dev/null /usr/bin/docker")
    try:
        said = refused(agent_of, "edge-docker", user="root", engine="docker")
        assert "docker: " in said
    finally:
        host.run("umount /usr/bin/docker")


@pytest.mark.parametrize("user", ["edge", "plain"])
@pytest.mark.parametrize("place", ["/usr/local/bin", "/opt/shop/bin"])
@pytest.mark.parametrize("name", ["docker", "podman"])
def test_an_engine_that_is_not_on_the_path(agent_of: AgentOf, lab: Lab, name: str, place: str, user: str) -> None:
    """Neither on that of a login without a terminal, nor on sudo's."""
    host = lab.hosts[f"edge-{name}"]
    host.run("cp /etc/sudoers /run/sudoers; echo 'Defaults secure_path=/usr/bin:/bin' >> /etc/sudoers")
    host.run(f"mount -t tmpfs tmpfs /opt; mkdir -p {place}; cp /usr/bin/{name} {place}/{name}")
    host.run(f"mount --bind /dev/null /usr/bin/{name}")
    try:
        with found(agent_of, f"edge-{name}", user=user) as engine:
            assert engine.kind == name
            assert engine.images(NONE).named is None
    finally:
        host.run(f"umount /usr/bin/{name}; rm {place}/{name}; umount /opt")
        host.run("cat /run/sudoers > /etc/sudoers; rm /run/sudoers")


@pytest.mark.parametrize("host", ["edge-docker", "edge-docker29"])
def test_a_daemon_that_is_stopped(agent_of: AgentOf, lab: Lab, host: str) -> None:
    with found(agent_of, host) as engine:
        lab.hosts[host].stop_engine()
        try:
            said = refused(agent_of, host)
            assert "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock" in said
            assert said.endswith("Start the engine on the agent: systemctl start docker")
            assert "?." not in said
            with pytest.raises(
                EngineError,
                match=r"looking for registry.example/none:1: Cannot connect .* Try: systemctl status docker",
            ):
                engine.image_id(NONE)
            with pytest.raises(EngineError, match="listing images: Cannot connect"):
                engine.images(NONE)
        finally:
            lab.hosts[host].start_engine()
        assert engine.images(NONE).named is None


# ---- who may not ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said", "hint"),
    [
        (
            {"user": "plain", "sudo": False},
            "docker: .*permission denied",
            "Let plain reach the engine: the docker group",
        ),
        ({"user": "asked"}, "sudo docker: sudo: a password is required", "sudo asks for a password: give password="),
        ({"user": "asked", "password": "hidden"}, "1 incorrect password attempt", "sudo does not accept password="),
        ({"user": "outsider", "password": "{password}"}, "not in the sudoers file", "Let outsider reach the engine"),
    ],
)
def test_a_user_who_may_not(agent_of: AgentOf, lab: Lab, fields: dict[str, Any], said: str, hint: str) -> None:
    password = lab.hosts["edge-docker"].password
    if "password" in fields:
        fields = {**fields, "password": fields["password"].format(password=password)}
    error = refused(agent_of, "edge-docker", engine="docker", **fields)
    assert re.search(rf"^edge-docker: looking for docker: .*{said}.*\. {hint}", error)
    assert not any(secret in error for secret in ("hidden", password))


def test_sudo_that_wants_a_terminal(agent_of: AgentOf, lab: Lab) -> None:
    host = lab.hosts["edge-docker"]
    host.run("cp /etc/sudoers /run/sudoers; echo 'Defaults:plain requiretty' >> /etc/sudoers")
    try:
        said = refused(agent_of, "edge-docker", user="plain", engine="docker")
        assert said.endswith(". Let sudo do without a terminal: 'Defaults:plain !requiretty' in sudoers")
    finally:
        host.run("cat /run/sudoers > /etc/sudoers; rm /run/sudoers")


# ---- sudo's password --------------------------------------------------------------------------------


def test_the_password_for_sudo_is_seen_by_nobody(agent_of: AgentOf, lab: Lab) -> None:
    """Not in the command line nor the environment of any process of the host, nor in a file."""
    host = lab.hosts["edge-docker"]
    agent = agent_of("edge-docker", user="asked")
    with ssh.connect(agent, timeouts=QUICK) as connection:
        runner = Runner(connection, sudo=True, password=host.password)
        results = []
        script = "id -u; touch /run/started; while [ ! -e /run/seen ]; do sleep 0.05; done; cat"
        thread = threading.Thread(target=lambda: results.append(runner.run(script)))
        thread.start()
        assert wait_for((host.folder / "run/started").exists, 20)
        seen = _processes(host)
        (host.folder / "run/seen").touch()
        thread.join()
    host.run("rm /run/started /run/seen")
    assert "sudo\0-S" in seen
    assert "while [ ! -e /run/seen ]" in seen
    assert host.password not in seen
    assert results[0].text == "0\n"  # nor is it what the script reads
    assert host.run(f"grep -rl {host.password} /home /run /tmp /var/tmp", check=False) == ""


def _processes(host: Host) -> str:
    return host.run("for process in /proc/[0-9]*; do cat $process/cmdline $process/environ 2>/dev/null; done; true")
