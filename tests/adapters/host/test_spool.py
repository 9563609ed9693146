"""Where a real host's spool is, that it is private and of that host alone, and how parts come to lie in it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from lab import Host, Lab
from pulumi_iofog.adapters.host.place import parse_found
from pulumi_iofog.adapters.host.spool import Arrived, Spool, parse_arrived
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.errors import AgentError, CorruptLayer
from pulumi_iofog.transfer.encodings import AsIs, Part
from tests.adapters.conftest import QUICK, AgentOf
from tests.images import make_image

pytestmark = pytest.mark.lab
HOST, HOME, OTHER = "edge-docker", "/home/edge", "/var/tmp/pulumi-iofog-20001"
IMAGE = make_image({"a": random.Random(1).randbytes(300_000)}).image
PART, DATA = Part(IMAGE.layers[0], AsIs()), random.Random(2).randbytes(2_000_000)


@pytest.fixture
def host(lab: Lab) -> Iterator[Host]:
    host = lab.hosts[HOST]
    host.run(f"rm -rf {OTHER} {HOME}/.cache")
    yield host
    host.run(f"umount {HOME} 2>/dev/null; rm -rf {OTHER} {HOME}/.cache /srv/spool")


@contextmanager
def spool_of(agent_of: AgentOf, host: Host | str = HOST, **fields: Any) -> Iterator[Spool]:
    # A home that is gone has no authorized_keys.
    agent = agent_of(host, password=Host.password, **fields)
    with ssh.connect(agent, timeouts=QUICK) as connection:
        yield Spool(connection, "edge-1", connection.host_key, agent.spool)


def works(spool: Spool, host: Host) -> bool:
    """Whether it takes a part, is private all the way, and leaves nothing."""
    spool.receive(IMAGE, PART, [DATA], lambda count: None)
    assert spool.arrived(IMAGE) == Arrived({PART.name: len(DATA)}, {})
    below = spool.root.partition("pulumi-iofog")
    folders = f"{below[0]}{below[1]}{below[2].partition('/')[0]}"
    assert set(host.run(f"find {folders} -type d -printf '%m %u\\n'").splitlines()) == {"700 edge"}
    spool.clear(IMAGE)
    return host.run(f"find {folders}/spool -mindepth 1") == ""


# ---- where it is --------------------------------------------------------------------------------------


def test_it_is_in_the_users_cache(host: Host, agent_of: AgentOf) -> None:
    with spool_of(agent_of) as spool:
        assert spool.root.startswith(f"{HOME}/.cache/pulumi-iofog/spool/")
        assert works(spool, host)


@pytest.mark.parametrize("options", ["size=1m,ro", "size=1m,mode=755"])
def test_a_home_that_takes_nothing(host: Host, agent_of: AgentOf, options: str) -> None:
    host.run(f"mount -t tmpfs -o {options} tmpfs {HOME}")
    with spool_of(agent_of) as spool:
        assert spool.root.startswith(f"{OTHER}/spool/")
        assert works(spool, host)


def test_a_home_that_is_not_there(host: Host, agent_of: AgentOf) -> None:
    host.run(f"mv {HOME} {HOME}-away")
    try:
        with spool_of(agent_of) as spool:
            assert spool.root.startswith(f"{OTHER}/spool/")
            assert works(spool, host)
    finally:
        host.run(f"mv {HOME}-away {HOME}")


def test_nothing_takes_it(host: Host, agent_of: AgentOf) -> None:
    host.run(f"mount -t tmpfs -o size=1m,ro tmpfs {HOME}; mkdir {OTHER}")
    with pytest.raises(AgentError) as caught, spool_of(agent_of):
        pass
    said = str(caught.value)
    assert said.startswith("edge-1: making a spool: no folder takes it: ")
    assert "Read-only file system" in said
    assert f"{OTHER} belongs to somebody else" in said
    assert said.endswith("Name a folder on the host with spool=")


def test_a_folder_that_the_user_names(host: Host, agent_of: AgentOf) -> None:
    host.run("mkdir -m 1777 -p /srv/spool")
    with spool_of(agent_of, spool="/srv/spool") as spool:
        assert spool.root.startswith("/srv/spool/pulumi-iofog-20001/spool/")
        assert works(spool, host)
    said = r"/proc does not take it: .*Give a folder that the user can write to"
    with pytest.raises(AgentError, match=said), spool_of(agent_of, spool="/proc"):
        pass


# ---- whose it is --------------------------------------------------------------------------------------


def test_nothing_that_others_have_put_there_is_taken(host: Host, agent_of: AgentOf) -> None:
    """A link, a folder that anybody may write to, and one of somebody else."""
    host.run(f"mkdir -p {HOME}/.cache && ln -s /srv {HOME}/.cache/pulumi-iofog && chown -R edge {HOME}/.cache")
    host.run(f"mkdir -m 777 {OTHER} && chown edge {OTHER}")
    before = host.run("find /home/plain")
    with spool_of(agent_of) as spool:
        assert spool.root.startswith(f"{OTHER}/spool/")
        assert works(spool, host)
        for plant in ("ln -s /home/plain", "mkdir -m 777"):
            host.run(f"mkdir -p {spool.root} && chown edge {spool.root} && {plant} {spool.folder(IMAGE)}")
            with pytest.raises(AgentError, match=r"is a symbolic link|belongs to somebody else") as caught:
                spool.receive(IMAGE, PART, [DATA], lambda count: None)
            assert "Look who has put it there" in str(caught.value)
            with pytest.raises(AgentError, match=r"looking into the spool"):
                spool.arrived(IMAGE)
            host.run(f"rm -rf {spool.folder(IMAGE)}")
    assert host.run("find /home/plain") == before


def test_hosts_that_share_a_home_have_spools_of_their_own(host: Host, lab: Lab, agent_of: AgentOf) -> None:
    other = lab.hosts["edge-podman"]
    other.run(f"mount --bind {host.folder}/home /home")
    try:
        with spool_of(agent_of) as one, spool_of(agent_of, "edge-podman") as two:
            assert one.root != two.root
            assert one.root.rpartition("/")[0] == two.root.rpartition("/")[0]
            for spool in (one, two):
                spool.receive(IMAGE, PART, [DATA[:100]], lambda count: None)
            one.clear(IMAGE)
            assert two.arrived(IMAGE).sizes == {PART.name: 100}
            assert other.run(f"find {HOME}/.cache/pulumi-iofog/spool -name 'image-*'").split() == [two.folder(IMAGE)]
            two.clear(IMAGE)
    finally:
        other.run("umount /home")


# ---- parts --------------------------------------------------------------------------------------------


def test_two_who_write_a_part_at_once_write_the_same(host: Host, agent_of: AgentOf) -> None:
    """And where one goes on, what lies behind its offset does not stay."""
    with spool_of(agent_of) as one, spool_of(agent_of) as two:
        one.receive(IMAGE, PART, [DATA[:700_000] + b"x" * 200_000], lambda count: None)

        def send(spool: Spool, offset: int) -> None:
            pieces = (DATA[at : at + 50_000] for at in range(offset, len(DATA), 50_000))
            spool.receive(IMAGE, PART, pieces, lambda count: None, offset)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(send, (one, two), (700_000, 500_000)))
        file = f"{one.folder(IMAGE)}/parts/{PART.name}"
        (host.folder / "expected").write_bytes(DATA)
        host.run(f"cmp {file} {host.folder}/expected")
        one.receive(IMAGE, PART, [], lambda count: None, 1000)
        assert two.arrived(IMAGE).sizes == {PART.name: 1000}
        with pytest.raises(CorruptLayer):
            one.receive(IMAGE, PART, [b"x"], lambda count: None, 1001)


def test_a_look_that_fails_is_no_empty_spool(host: Host, agent_of: AgentOf) -> None:
    with spool_of(agent_of) as spool:
        spool.receive(IMAGE, PART, [DATA], lambda count: None)
        for folder in ("parts", "blobs/sha256"):
            host.run(f"chmod 000 {spool.folder(IMAGE)}/{folder}")
            with pytest.raises(AgentError, match=r"looking into the spool: .*([Pp]ermission denied|can't cd)"):
                spool.arrived(IMAGE)
            host.run(f"chmod 700 {spool.folder(IMAGE)}/{folder}")
        assert spool.arrived(IMAGE).sizes == {PART.name: len(DATA)}


HEX = "a" * 64


UNREADABLE = (
    *("", "part x 1", "part x one\nend", "part x -1\nend", "x\nend", "blob a b\nend", "end\n\nmore"),
    *(f"blob {HEX}\nproven x {HEX} y\nend", "blob zz\nproven x zz\nend", f"part x {'9' * 5000}\nend"),
)


@pytest.mark.parametrize("answer", UNREADABLE)
def test_what_cannot_be_read_is_no_empty_spool(answer: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse_arrived(answer)


def test_what_has_arrived() -> None:
    answer = f"blob {HEX}\nproven one {HEX}\nproven two \nproven three {'b' * 64}\npart four 17\nend\n"
    assert parse_arrived(answer) == Arrived({"four": 17}, {"one": f"sha256:{HEX}"})  # type: ignore[dict-item]
    assert parse_arrived("end\n") == Arrived({}, {})


@pytest.mark.parametrize(
    "answer", ["", "root x\nmemory 1 kB\nend", "root /x\nmemory 1 kB", "root /\033[2J\nmemory\nend", "end"]
)
def test_a_place_that_cannot_be_read(answer: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse_found(answer)
