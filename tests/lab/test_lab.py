"""The lab itself: what it says of bytes and rates, and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Host, HostSpec, Lab, images
from lab.shell import CommandFailed, run, wait_for
from tests.worker import WORKER

pytestmark = pytest.mark.lab
NAME = f"selftest-{WORKER}"
PODMAN, DOCKER, BARE = HostSpec("edge-p", "podman"), HostSpec("edge-d", "docker"), HostSpec("edge-n", "none")


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab without hosts, whatever was left of an earlier one."""
    Lab.found(NAME).down()
    lab = Lab(NAME)
    yield lab
    Lab.found(NAME).down()


def family(host: Host) -> list[int]:
    """All processes of a host, in containers too: the holder and its descendants."""
    found = [int((host.folder / "holder.pid").read_text())]
    for pid in found:
        for children in Path("/proc", str(pid), "task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def alive(pids: list[int]) -> list[int]:
    states = {pid: Path("/proc", str(pid), "stat") for pid in pids}
    return [
        pid for pid, path in states.items() if path.exists() and path.read_text().rpartition(")")[2].split()[0] != "Z"
    ]


def remains(lab: Lab, network: str) -> list[str]:
    """Whatever of a lab can be found on the machine, a line each; see alive for processes."""
    folder = str(lab.folder)
    found = [f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if folder in line]
    found += [f"namespace {line}" for line in run("ip", "netns", "list").splitlines() if line.startswith(f"{network}-")]
    found += [f"device {path}" for name in (network, f"{network}h*") for path in Path("/sys/class/net").glob(name)]
    found += [f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob(f"**/{network}-*")]
    return found + [f"folder {path}" for path in (lab.folder,) if path.exists()]


def greeting(host: Host) -> bytes:
    with socket.create_connection((host.address, 22), timeout=10) as connection:
        return connection.recv(4)


def run_container(host: Host, folder: Path) -> None:
    """Start a container that stays."""
    layout, archive = images.build(folder, "1", platforms=["amd64"]), folder / "app.tar"
    run("skopeo", "copy", "--quiet", f"oci:{layout}", f"docker-archive:{archive}:app:1")
    archive.replace(host.folder / "run/app.tar")
    host.run("docker load < /run/app.tar && docker run --detach --network none --entrypoint /bin/sleep app:1 infinity")


def test_up_twice_and_down_twice(lab: Lab) -> None:
    specs = [PODMAN, DOCKER, HostSpec("small", "none", disk=64)]
    lab.up(specs)
    network = lab.network.bridge
    before = lab.hosts["edge-d"].run("cat /proc/1/stat /run/docker.pid")
    lab.up(specs)
    Lab.found(NAME).up(specs)
    assert lab.hosts["edge-d"].run("cat /proc/1/stat /run/docker.pid") == before
    assert {greeting(host) for host in lab.hosts.values()} == {b"SSH-"}
    assert int(lab.hosts["small"].run("df -Pm /home | awk 'END {print $2}'")) == 64
    pids = [pid for host in lab.hosts.values() for pid in family(host)]
    assert len(pids) > 6
    assert {line.split()[0] for line in remains(lab, network)} == {"mount", "namespace", "device", "folder"}
    for _ in range(2):
        Lab.found(NAME).down()
        lab.down()
        assert remains(lab, network) == []
        assert alive(pids) == []


def test_a_killed_engine_leaves_no_container(lab: Lab, tmp_path: Path) -> None:
    lab.up([DOCKER])
    host, network = lab.hosts["edge-d"], lab.network.bridge
    run_container(host, tmp_path)
    pids = family(host)
    assert any("/bin/sleep" in Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)
    assert any(line.startswith("cgroup") for line in remains(lab, network))
    host.run("kill -9 $(cat /run/docker.pid)")
    assert alive(pids)
    lab.down()
    assert remains(lab, network) == []
    assert alive(pids) == []


def test_a_killed_holder_takes_all_with_it(lab: Lab) -> None:
    lab.up([DOCKER])
    host, network = lab.hosts["edge-d"], lab.network.bridge
    pids = family(host)
    os.kill(pids[0], signal.SIGKILL)
    assert wait_for(lambda: not alive(pids), 20)
    Lab.found(NAME).up([DOCKER])
    with pytest.raises(OSError, match="refused"):
        greeting(host)  # a lab that was found leaves its hosts alone
    host.up()
    assert greeting(host) == b"SSH-"
    Lab.found(NAME).down()
    assert remains(lab, network) == []


@pytest.mark.parametrize("step", ["_make_folders", "_hold_namespaces", "start_sshd", "start_engine"])
def test_a_start_that_was_killed_is_cleaned_up(lab: Lab, step: str) -> None:
    program = f"""
import os
from lab import Host, HostSpec, Lab
step = Host.{step}
def killed(host):
    step(host)
    os.kill(os.getpid(), 9)
Host.{step} = killed
Lab({NAME!r}).up([HostSpec("edge-d", disk=300)])
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    found = Lab.found(NAME)
    network, host = found.network.bridge, found.hosts["edge-d"]
    pids = family(host) if (host.folder / "holder.pid").exists() else []
    assert bool(pids) == (step != "_make_folders")
    assert remains(lab, network)
    found.down()
    assert remains(lab, network) == []
    assert alive(pids) == []


def test_a_start_that_failed_is_cleaned_up(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = []

    def fail(host: Host) -> None:
        networks.append(host.link.network.bridge)
        raise CommandFailed("on purpose")

    monkeypatch.setattr(Host, "start_engine", fail)
    with pytest.raises(CommandFailed, match="on purpose"), Lab.start([BARE], name=NAME):
        pass
    assert remains(Lab(NAME), networks[0]) == []


def test_services_stop_and_start_again(lab: Lab) -> None:
    lab.up([DOCKER])
    host = lab.hosts["edge-d"]
    for _ in range(2):
        host.stop_engine()
        assert "Cannot connect" in host.run("docker version 2>&1", check=False)
        host.start_engine()
        host.run("docker version")
    host.stop_sshd()
    with pytest.raises(OSError, match="refused"):
        greeting(host)
    host.start_sshd()
    assert greeting(host) == b"SSH-"


def test_two_labs_side_by_side(lab: Lab) -> None:
    lab.up([BARE])
    with Lab.start([BARE], name=f"{NAME}-2") as other:
        one, two = lab.hosts["edge-n"], other.hosts["edge-n"]
        assert one.address != two.address
        one.run("echo one > /home/edge/name")
        two.run("echo two > /home/edge/name")
        assert [host.run("cat /home/edge/name").strip() for host in (one, two)] == ["one", "two"]
        assert one.host_key != two.host_key
    assert remains(other, two.link.network.bridge) == []
    assert greeting(one) == b"SSH-"


def test_what_a_host_writes_is_its_own(lab: Lab, tmp_path: Path) -> None:
    """Also what root writes there, who has the operator's number."""
    lab.up([BARE])
    mine = tmp_path / "mine"
    mine.touch()
    lab.hosts["edge-n"].run(
        f"touch ~/trace /root/trace /home/trace /tmp/trace /run/trace /var/tmp/trace; rm -rf {mine}"
    )
    assert mine.exists()
    assert not any(Path(folder, "trace").exists() for folder in ("/root", "/home", "/tmp", "/run", "/var/tmp"))


def _send(host: Host, size: int) -> None:
    """Push that many bytes into a socket on the host, which throws them away."""
    sink = "python3 -c 'import socket; s=socket.create_server((\"\", 9)); c=s.accept()[0]\nwhile c.recv(65536): pass'"
    host.run(f"{sink} >/dev/null 2>&1 & ")
    assert wait_for(lambda: ":0009 " in host.run("grep ' 0A ' /proc/net/tcp"), 20)
    with socket.create_connection((host.address, 9), timeout=60) as connection:
        connection.sendall(bytes(size))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)


def test_bytes_are_counted_and_the_rate_is_held(lab: Lab) -> None:
    lab.up([HostSpec("edge-n", "none")])
    host = lab.hosts["edge-n"]
    for rate in (None, "8mbit"):
        host.set_rate(rate)
        before, started = host.counters(), time.monotonic()
        _send(host, 1_000_000)
        took, after = time.monotonic() - started, host.counters()
        assert 1_000_000 < after.received - before.received < 1_300_000
        assert 1_000 < after.sent - before.sent < 200_000
        if rate:  # 1 MB/s; what a busy machine does late is no fault
            assert (after.received - before.received - 64_000) / took < 1_200_000


def test_a_cut_link_is_silent_until_it_is_restored(lab: Lab) -> None:
    lab.up([BARE])
    host = lab.hosts["edge-n"]
    host.cut()
    with pytest.raises(OSError, match=r"timed out|No route"), socket.create_connection((host.address, 22), timeout=0.3):
        pass
    host.restore()
    assert greeting(host) == b"SSH-"
