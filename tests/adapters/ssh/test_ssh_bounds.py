"""What a host sends, how fast it takes bytes, and how many sessions it allows: within bounds, on a real sshd."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.adapters.ssh import exchange
from pulumi_iofog.adapters.ssh.connect import Connection
from pulumi_iofog.adapters.ssh.exchange import Meanwhile
from pulumi_iofog.adapters.ssh.output import END, Ends, TooMuch, Whole
from pulumi_iofog.errors import AgentError, Unreachable
from tests.adapters.conftest import QUICK
from tests.adapters.ssh.sshd import Sshd, new_key, running

MEGABYTE = 1 << 20


@pytest.fixture(params=[(), ("MaxSessions 1",)], ids=["", "one session"])
def sshd(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Iterator[Sshd]:
    with running(tmp_path / "sshd", *request.param) as sshd:
        sshd.allow(new_key(home / ".ssh/id_ed25519"))
        yield sshd


@pytest.fixture
def connection(sshd: Sshd) -> Iterator[Connection]:
    with ssh.connect(sshd.agent(), timeouts=QUICK) as connection:
        yield connection


def test_both_ends_of_an_output_are_kept() -> None:
    kept = Ends(4, most=100)
    for data in (b"ab", b"cdef", b"gh", b"ijkl"):
        kept.add(data)
    assert bytes(kept) == b"abcd\n[4 B left out]\nijkl"
    small = Ends(4, most=100)
    small.add(b"abcdef")
    assert bytes(small) == b"abcdef"
    with pytest.raises(TooMuch, match="more than 100 B"):
        kept.add(bytes(100))
    whole = Whole(5)
    whole.add(b"12345")
    with pytest.raises(TooMuch, match="more than 5 B"):
        whole.add(b"6")


@pytest.mark.parametrize("sshd", [()], indirect=True, ids=[""])
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("cat /dev/zero", r"it has answered more than 4\.19 MB, and is listened to no longer"),
        ("x=$(while sleep 0.1; do echo .; done)", "no answer in time"),
        ("while sleep 0.5; do echo .; done", "no answer in time"),
        ("cat /dev/zero >&2", r"it has complained with more than 268 MB, and is listened to no longer"),
    ],
    ids=["answer", "in a variable", "dots", "complaints"],
)
def test_endless_output_ends(connection: Connection, script: str, said: str) -> None:
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AgentError, match=said):
        connection.run(script, timeout=20.0 if "/dev/zero" in script else 2.0)
    assert time.monotonic() - began < 40
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000, "kB"
    assert connection.run("echo still here").text == "still here\n"


@pytest.mark.parametrize("sshd", [()], indirect=True, ids=[""])
def test_a_complaint_of_a_hundred_megabytes_is_one_short_line(connection: Connection) -> None:
    result = connection.run("head -c 100000000 /dev/zero | tr '\\0' x >&2; exit 3", timeout=60)
    assert result.exit_code == 3
    assert len(result.stderr) < 2 * END + 100
    assert len(result.error) == 500
    result = connection.run(r"printf 'first\n\033[2J\033]0;title\007 it failed\n' >&2; false")
    assert result.error == r"\x1b[2J\x1b]0;title\x07 it failed"


@pytest.mark.parametrize("sshd", [()], indirect=True, ids=[""])
def test_a_script_that_hardly_takes_anything_has_stalled(connection: Connection, mocker: MockerFixture) -> None:
    mocker.patch.object(exchange, "SLOW_FOR", 2.0)
    mocker.patch.object(exchange, "SLOWEST", 1e6)
    slow = "while head -c 50000 >/dev/null; do sleep 0.2; done"  # once all that is in between is full
    with pytest.raises(Unreachable, match=r"sending .*: less than 1\.00 MB/s for 2 s"):
        connection.send(slow, (bytes(MEGABYTE),) * 50)
    # Who makes the bytes, or lets them wait, may take any time.
    pauses = (time.sleep(1.5) or b"x" for _ in range(3))
    assert connection.send("cat >/dev/null", pauses).ok


def test_what_is_done_meanwhile(connection: Connection) -> None:
    looked: list[str] = []
    meanwhile = Meanwhile(0.2, lambda: looked.append(connection.run("echo here").text))
    assert connection.run("sleep 1; echo done", meanwhile=meanwhile).text == "done\n"
    assert looked[:2] == ["here\n"] * 2

    def give_up() -> None:
        raise AgentError("edge", "waiting", "it is enough")

    with pytest.raises(AgentError, match="it is enough"):
        connection.run("sleep 60", meanwhile=Meanwhile(0.2, give_up))


def test_a_talk_goes_on_while_others_work(connection: Connection) -> None:
    with connection.talk('echo hello; read word; echo "you said $word"; cat >/dev/null') as talk:
        assert talk.line(5) == "hello"
        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(lambda number: connection.run(f"echo {number}").text, range(6)))[5] == "5\n"
        talk.say(b"this\n")
        assert talk.line(5) == "you said this"
        with pytest.raises(Unreachable, match="no answer in time"):
            talk.line(0.2)
    with connection.talk("true") as talk:
        assert talk.line(5) == ""
    with connection.talk("cat /dev/zero") as talk, pytest.raises(AgentError, match="its answer has no end"):
        talk.line(5)


def test_where_a_connection_has_one_session_there_are_more_connections(sshd: Sshd) -> None:
    one_only = "MaxSessions 1" in (sshd.folder / "sshd_config").read_text()
    with ssh.connect(sshd.agent(), timeouts=QUICK) as connection:
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(lambda _: connection.run("sleep 0.2").ok, range(8)))
        # A session that others have closed is free again.
        assert all(connection.run("true").ok for _ in range(5))
    logins = (sshd.folder / "log").read_text().count("Accepted publickey")
    assert 1 < logins <= 6 if one_only else logins == 1
