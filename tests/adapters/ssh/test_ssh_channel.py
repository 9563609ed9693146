"""An open connection to a real sshd: scripts, streams, a link that is cut, and hosts that are out of reach."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from lab import Host, Lab
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.adapters.ssh.connect import Connection
from pulumi_iofog.adapters.ssh.output import END
from pulumi_iofog.errors import Unreachable
from pulumi_iofog.inputs.spec import Agent
from tests.adapters.conftest import QUICK, AgentOf

pytestmark = pytest.mark.lab
MEGABYTE = 1 << 20


@pytest.fixture
def host(lab: Lab) -> Iterator[Host]:
    host = lab.hosts["edge-docker"]
    yield host
    host.restore()
    host.set_rate(None)


@pytest.fixture
def connection(agent_of: AgentOf) -> Iterator[Connection]:
    with ssh.connect(agent_of("edge-docker"), timeouts=QUICK) as connection:
        yield connection


def unreachable(agent: Agent, **fields: Any) -> str:
    with pytest.raises(Unreachable) as caught, ssh.connect(replace(agent, **fields), timeouts=QUICK):
        pass
    return str(caught.value)


# ---- scripts ----------------------------------------------------------------------------------------


def test_a_script_says_what_it_says(connection: Connection) -> None:
    result = connection.run("echo out; echo first >&2; echo 'it'\"'\"'s wrong' >&2; exit 3")
    assert (result.exit_code, result.text, result.error, result.ok) == (3, "out\n", "it's wrong", False)
    assert connection.run("exit 4").error == "exit code 4"
    assert connection.run("kill -9 $$").ok is False


def test_a_script_gets_its_input_and_then_its_end(connection: Connection) -> None:
    assert connection.run("cat", stdin=b"a\0b").stdout == b"a\0b"
    assert connection.run("cat").stdout == b""
    assert connection.run("true", stdin=b"never read").ok


def test_a_lot_on_both_outputs_at_once(connection: Connection) -> None:
    """More than an SSH window (2 MB) of each, and the one ends only after the other."""
    zeros, gap = f"head -c {3 * MEGABYTE} /dev/zero", b"\n[3.01 MB left out]\n"
    for script in (f"{zeros} >&2; {zeros}", f"{zeros}; {zeros} >&2", f"{zeros} & {zeros} >&2; wait"):
        result = connection.run(script, timeout=15.0)
        assert (result.ok, len(result.stdout)) == (True, 3 * MEGABYTE)
        assert result.stderr == bytes(END) + gap + bytes(END)


def test_several_threads_share_a_connection(connection: Connection) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: connection.run(f"echo {number}").text, range(24)))
    assert answers == [f"{number}\n" for number in range(24)]


def test_scripts_that_end_while_their_input_does_cost_nobody_the_connection(connection: Connection) -> None:
    """A host closes the connection on which a channel is spoken of that it has closed already."""

    def send(number: int) -> bool:
        return connection.send("true", [b"x"] * (number % 3), lambda count: None).ok

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(send, range(400)))
        assert all(pool.map(lambda number: connection.run("true").ok, range(400)))
    assert connection.run("echo still here").ok


def test_silence_is_waited_for_only_so_long(connection: Connection) -> None:
    with pytest.raises(Unreachable, match=r"running a command .*: no answer in time"):
        connection.run("sleep 60", timeout=0.2)
    with pytest.raises(Unreachable, match=r"running a command .*: no answer in time"):
        connection.run("while sleep 0.1; do echo .; done", timeout=0.7)
    assert connection.run("echo still here").ok


def test_what_a_login_prints_by_itself_is_no_answer(host: Host, agent_of: AgentOf) -> None:
    host.run("echo 'echo welcome to the edge' > /home/edge/.ssh/rc")
    try:
        with ssh.connect(agent_of("edge-docker"), timeouts=QUICK) as connection:
            assert connection.run("pwd").text == "/home/edge\n"
            assert connection.run("true").text == ""
    finally:
        host.run("rm /home/edge/.ssh/rc")


# ---- streams ----------------------------------------------------------------------------------------


def test_a_stream_arrives_whole_and_is_counted(connection: Connection) -> None:
    data, counted = bytes(range(256)) * 20_000, []
    chunks = (data[at : at + 700_001] for at in range(0, len(data), 700_001))
    result = connection.send("sha256sum", chunks, counted.append)
    assert result.text.split()[0] == hashlib.sha256(data).hexdigest()
    assert sum(counted) == len(data)
    assert max(counted) < MEGABYTE  # told as it goes, not only at the end


def test_a_script_that_ends_early_says_why(connection: Connection) -> None:
    counted: list[int] = []
    result = connection.send("head -c 9; echo 'disk full' >&2; exit 28", (bytes(MEGABYTE),) * 50, counted.append)
    assert (result.exit_code, len(result.stdout), result.error) == (28, 9, "disk full")
    assert sum(counted) < 50 * MEGABYTE


def test_a_script_that_takes_no_byte_is_given_up(connection: Connection) -> None:
    with pytest.raises(Unreachable, match=r"sending .*: no answer in time"):
        connection.send("sleep 60", (bytes(MEGABYTE),) * 50, lambda count: None)


@pytest.mark.parametrize("rate", [None, "8mbit"])
def test_a_link_that_is_cut_while_sending(host: Host, agent_of: AgentOf, rate: str | None) -> None:
    """With a slow link everything in between is full, and paramiko itself waits for ever."""
    host.set_rate(rate)
    sent = threading.Event()

    def cut_soon(count: int) -> None:
        if not sent.is_set():
            sent.set()
            host.cut()

    with ssh.connect(agent_of("edge-docker"), timeouts=QUICK) as connection:
        said = r"^edge-docker: sending \([0-9.]+:22\): the link has stalled\. Run pulumi up again"
        with pytest.raises(Unreachable, match=said):
            connection.send("cat > /dev/null", (bytes(MEGABYTE),) * 50, cut_soon)
        with pytest.raises(Unreachable):
            connection.run("true")


def test_a_link_that_is_cut_while_waiting(host: Host, agent_of: AgentOf) -> None:
    """As while a load takes its half hour: TCP notices nothing."""
    with ssh.connect(agent_of("edge-docker"), timeouts=QUICK) as connection:
        cut = threading.Timer(0.3, host.cut)
        cut.start()
        with pytest.raises(Unreachable, match="the link has stalled"):
            connection.run("sleep 60", timeout=1800)
        cut.join()


def test_a_connection_that_the_host_ends(host: Host, connection: Connection) -> None:
    with pytest.raises(Unreachable, match=r"running a command .*: the connection was lost\. Run pulumi up again"):
        connection.run("kill $PPID; sleep 60", timeout=30)
    with pytest.raises(Unreachable):
        connection.run("true")


def test_a_quiet_link_is_kept(agent_of: AgentOf) -> None:
    """Signs of life are answered by the host, so that silence of a script is no fault."""
    with ssh.connect(agent_of("edge-docker"), timeouts=replace(QUICK, stalled=0.5)) as connection:
        assert connection.run("sleep 1.5; echo done", timeout=30).text == "done\n"


def test_nothing_is_left_running(agent_of: AgentOf) -> None:
    before = set(threading.enumerate())
    with ssh.connect(agent_of("edge-docker"), timeouts=QUICK) as connection:
        connection.run("true")
        new = set(threading.enumerate()) - before
        assert new
    for thread in new:
        thread.join(10)
        assert not thread.is_alive()


# ---- out of reach -----------------------------------------------------------------------------------


def test_a_port_that_is_closed(agent_of: AgentOf) -> None:
    agent = agent_of("edge-docker")
    assert unreachable(agent, port=2) == (
        f"edge-docker: connecting ({agent.host}:2): Connection refused."
        " Is the host up, and sshd on port 2 reachable from here?"
    )


def test_a_host_that_is_down(host: Host, agent_of: AgentOf) -> None:
    host.cut()
    quick = replace(QUICK, connect=0.3)
    said = r"connecting .*: (no answer in time|No route to host)"
    with pytest.raises(Unreachable, match=said), ssh.connect(agent_of("edge-docker"), timeouts=quick):
        pass


def test_a_name_that_nobody_knows(agent_of: AgentOf) -> None:
    said = unreachable(agent_of("edge-docker"), host="no-such-host.invalid")
    assert said.startswith("edge-docker: connecting (no-such-host.invalid:22): the name no-such-host.invalid cannot")
    assert said.endswith("Check host=")


def test_something_else_than_sshd(agent_of: AgentOf) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in QUICK.backoff:
                client, _ = server.accept()
                with client:
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert "Is the host up, and sshd on port" in unreachable(
            agent_of("edge-docker"), host="127.0.0.1", port=server.getsockname()[1]
        )
        thread.join()


def test_what_passes_by_itself_is_tried_again(host: Host, agent_of: AgentOf) -> None:
    host.stop_sshd()
    back = threading.Timer(0.2, host.start_sshd)
    back.start()
    try:
        with ssh.connect(agent_of("edge-docker"), timeouts=replace(QUICK, backoff=(0.0, 2.0))) as connection:
            assert connection.run("true").ok
    finally:
        back.join()
