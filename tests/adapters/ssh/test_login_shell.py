"""Every login shell gets a script through to sh, and one that runs none is told as such."""

from __future__ import annotations

import random
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from lab import Host, Lab
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.adapters.ssh.login_shell import WORD, command
from pulumi_iofog.errors import AgentError, Unreachable
from tests.adapters.conftest import QUICK, AgentOf

NASTY = """printf '%s\\n' 'it'"'"'s !1 !! !$ 100% \\n \\0041 #{}[]*?~^|&<>;' "$(printf 'a\\tb')" "é ü ☂" \\
    'two
lines' `echo back` $((1+1))
# a comment's quote
exit 3"""
SAID = b"it's !1 !! !$ 100% \\n \\0041 #{}[]*?~^|&<>;\na\tb\n\xc3\xa9 \xc3\xbc \xe2\x98\x82\ntwo\nlines\nback\n2\n"


def by_sh(script: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sh", "-c", command(script)], input=b"data", capture_output=True, check=False)


def test_the_script_is_what_sh_runs() -> None:
    found = by_sh(NASTY)
    assert (found.returncode, found.stdout) == (3, b"pulumi-iofog: begin\n" + SAID)
    assert by_sh("cat").stdout.endswith(b"data")


def test_nothing_in_the_command_is_special_to_any_shell() -> None:
    noise = random.Random(7)
    scripts = ["".join(chr(noise.choice([*range(1, 300), 92, 33, 39, 10])) for _ in range(5000)) for _ in range(20)]
    for script in scripts:
        assert re.fullmatch(r"[ -~]*", command(script))
        words = re.findall(r"'([^']*)'", command(script))
        assert all(len(word) <= WORD and "!" not in word and not word.endswith("\\") for word in words)
        unpacked = subprocess.run(["printf", "%b", "".join(words[1:])], capture_output=True, check=True).stdout
        assert unpacked.endswith(script.encode())


@contextmanager
def login_shell(host: Host, shell: str) -> Iterator[None]:
    """Not by usermod, which replaces the file that the host has of its own."""
    host.run(f"cp /etc/passwd /run/passwd; sed 's|^\\(edge:.*\\):.*|\\1:{shell}|' /run/passwd > /etc/passwd")
    try:
        yield
    finally:
        host.run("cat /run/passwd > /etc/passwd; rm -f /run/passwd /home/edge/.bashrc")


@pytest.mark.lab
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash", "/usr/bin/tcsh"])
def test_any_login_shell(lab: Lab, agent_of: AgentOf, shell: str) -> None:
    host = lab.hosts["edge-docker"]
    with login_shell(host, shell), ssh.connect(agent_of("edge-docker"), timeouts=QUICK) as connection:
        # As sshd runs it: by the login shell.
        assert connection.run("ps -o args= -p $PPID; readlink /proc/$$/exe").ok
        found = connection.run(NASTY)
        assert (found.exit_code, found.stdout) == (3, SAID)
        assert connection.run("echo x >&2; " + ": '" + "long " * 4000 + "'; echo end").text == "end\n"
        assert connection.send("cat", [b"a\0b"] * 1000).stdout == b"a\0b" * 1000


BEGINS = replace(QUICK, begins=1.0)


def refused(agent_of: AgentOf) -> str:
    with ssh.connect(agent_of("edge-docker"), timeouts=BEGINS) as connection:
        began = time.monotonic()
        with pytest.raises(AgentError) as caught:
            connection.run("echo here", timeout=60)
        assert time.monotonic() - began < 10
        assert not isinstance(caught.value, Unreachable)
    return str(caught.value)


@pytest.mark.lab
def test_an_account_that_may_not_log_in(lab: Lab, agent_of: AgentOf) -> None:
    with login_shell(lab.hosts["edge-docker"], "/usr/sbin/nologin"):
        said = refused(agent_of)
    assert "the login shell of edge ended without running a command; it said: This account is currently not" in said
    assert said.endswith(f"try: ssh -p 22 edge@{lab.hosts['edge-docker'].address} true")


@pytest.mark.lab
@pytest.mark.parametrize(
    ("forced", "said"),
    [("echo welcome", "ended without running a command; it said: welcome"), ("cat", "has run no command within 1 s")],
)
def test_a_key_that_forces_another_command(lab: Lab, agent_of: AgentOf, forced: str, said: str) -> None:
    host, keys = lab.hosts["edge-docker"], "/home/edge/.ssh/authorized_keys"
    host.run(f"cp {keys} /run/keys; sed 's|^|command=\"{forced}\" |' /run/keys > {keys}")
    try:
        assert f"the login shell of edge {said}" in refused(agent_of)
    finally:
        host.run(f"cat /run/keys > {keys}; rm /run/keys")


@pytest.mark.lab
def test_a_startup_file_that_waits(lab: Lab, agent_of: AgentOf) -> None:
    host = lab.hosts["edge-docker"]
    with login_shell(host, "/bin/bash"):
        host.run("echo 'echo which one?; read answer' > /home/edge/.bashrc")
        assert "has run no command within 1 s; it said: which one?" in refused(agent_of)
