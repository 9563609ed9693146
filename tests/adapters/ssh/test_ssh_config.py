"""~/.ssh/config as OpenSSH reads it: the same files are shown to ``ssh -G``, and the answers compared."""

from __future__ import annotations

import ast
import os
import pwd
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pulumi_iofog.adapters.ssh import destination, host_config, keywords, ssh_config
from pulumi_iofog.adapters.ssh.destination import route
from pulumi_iofog.errors import AgentError
from pulumi_iofog.inputs.spec import Agent

Write = Callable[[str], None]
LOCAL = pwd.getpwuid(os.getuid()).pw_name
"""As ssh knows its user, whatever the environment says."""


@pytest.fixture
def write(home: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes ~/.ssh/config."""
    monkeypatch.setenv("PLACE", "plant-7")
    monkeypatch.setenv("LOGNAME", LOCAL)

    def write(text: str) -> None:
        (home / ".ssh/config").write_text(text)

    return write


def asked(home: Path, name: str, *options: str) -> dict[str, list[str]]:
    """What ssh itself makes of the file."""
    argv = ["ssh", "-G", "-F", str(home / ".ssh/config"), *options, name]
    found: dict[str, list[str]] = {}
    for line in subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword, []).append(value)
    return found


# ---- the tables -------------------------------------------------------------------------------------


def test_what_is_honoured_is_what_is_read() -> None:
    read = {"host", "match", "include"}
    for module in (destination, host_config):
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                asks = node.func.attr in ("first", "all", "flag") and isinstance(node.args[0], ast.Constant)
                read |= {str(node.args[0].value)} if asks else set()  # type: ignore[attr-defined]
    assert read | set(destination.METHODS) | set(host_config.PROXIES) == set(keywords.HONOURED)


@pytest.mark.lab
def test_every_keyword_that_ssh_knows_is_in_one_of_the_tables(home: Path, write: Write) -> None:
    write("")
    ignored = " ".join(keywords.IGNORED.values()).split()
    assert len(ignored) == len(set(ignored))
    assert not set(ignored) & set(keywords.HONOURED)
    assert {keyword.lower() for keyword in asked(home, "gate")} <= {*ignored, *keywords.HONOURED}


# ---- what ssh -G says -------------------------------------------------------------------------------

SAME_AS_SSH: dict[str, str] = {
    "the first value wins": "Host gate\n  User one\nHost g*\n  User two\n  Port 2200\nHost *\n  Port 1\n",
    "before any section": "User zero\nHost gate\n  User one\n",
    "negated": "Host * !gate\n  User other\nHost !x g?te\n  User right\n",
    "several patterns": "Host a b gate\n  Port 99\n",
    "quotes, =, case, comments": '# x\nhOsT "gate"\n  user = "two words"\n PORT=22 # why\n\tHostName\tedge.example\n',
    "a name made of the name": "Host gate\n  HostName %h.example.com\n",
    "keys add up": "Host gate\n  IdentityFile /a\n  IdentityFile /b\nHost *\n  IdentityFile /c\n  IdentityFile /a\n",
    "certificates add up": "Host gate\n  CertificateFile /a\n  CertificateFile /b\n",
    "jump before command": "Host gate\n  ProxyJump a,b@c:3\nHost *\n  ProxyCommand nc %h %p\n",
    "command before jump": "Host gate\n  ProxyCommand nc -x '#1' %h %p\nHost *\n  ProxyJump a\n",
    "no command": "Host gate\n  ProxyCommand none\nHost *\n  ProxyJump j\n",
    "no jump, but later": "Host gate\n  ProxyJump none\nHost *\n  ProxyJump j\n",
    "no jump": "Host gate\n  ProxyJump none\nHost *\n  ProxyCommand nc %h %p\n",
    "match host after HostName": "Host gate\n  HostName edge.example\nMatch host edge.*\n  User one\n",
    "match originalhost": "Host gate\n  HostName edge.example\nMatch originalhost gate user root,one\n  Port 5\n",
    "match user": "Match user bob\n  Port 77\nMatch !user bob\n  Port 78\n",
    "match user of the file": "Host gate\n  User bob\nMatch user b*,!bobby\n  Port 77\n",
    "match localuser": f"Match localuser {LOCAL}\n  Port 7\nMatch localuser nobody\n  User x\n",
    "match exec": 'Match exec "test %h = gate"\n  Port 7\nMatch !exec "test -n \'%%\'"\n  User x\n',
    "match exec only where it may": 'Match host other exec "touch {home}/ran"\n  Port 7\n',
    "match all": "Match all\n  Port 7\nHost other\n  User x\nMatch all\n  User y\n",
    "match final": "Host gate\n  HostName a.example\nMatch final host a.example\n  User one\nHost *\n  Port 2\n",
    "hosts in the final pass": "Host gate\n  HostName a.example\nMatch final host b\nHost a.example\n  Port 2\n",
    "include": "Include conf.d/*.conf\nHost gate\n  Port 1\n",
    "include in a section": "Host gate\n  Include conf.d/b.conf\n  User last\n",
    "include in another section": "Host other\n  Include conf.d/b.conf\nHost gate\n  User last\n",
    "include that is not there": "Include nothing ~/.ssh/none*\nHost gate\n  Port 3\n",
    "include with a path": "Include {home}/.ssh/conf.d/a.conf ~/.ssh/conf.d/b.conf\n",
    "a token in a jump": "Host gate\n  User bob\n  ProxyJump %r@%h.jump\n",
    "yes and no": "Host gate\n  IdentitiesOnly yes\n  PasswordAuthentication no\n  HashKnownHosts yes\n",
    "files": 'Host gate\n  UserKnownHostsFile /a "/b c"\n  GlobalKnownHostsFile /d /e\n  HostKeyAlias front\n',
    "strict": "Host gate\n  StrictHostKeyChecking accept-new\n",
    "others": "Host gate\n  AddressFamily inet6\n  ConnectTimeout 7\n  RevokedHostKeys /r\n  PubkeyAuthentication no\n",
    "unknown to us": "Host gate\n  ForwardAgent yes\n  LocalForward 1 a:2\n  Port 4\n",
}
VALUES = (
    "port", "user", "proxyjump", "proxycommand", "stricthostkeychecking", "hostkeyalias",
    "identitiesonly", "passwordauthentication", "pubkeyauthentication", "hashknownhosts", "addressfamily",
    "connecttimeout", "userknownhostsfile", "globalknownhostsfile", "certificatefile", "revokedhostkeys",
)  # fmt: skip


@pytest.mark.lab
@pytest.mark.parametrize("case", SAME_AS_SSH)
@pytest.mark.parametrize("options", [{}, {"user": "bob", "port": 4000}])
def test_the_same_as_ssh(home: Path, write: Write, case: str, options: dict[str, object]) -> None:
    (home / ".ssh/conf.d").mkdir()
    (home / ".ssh/conf.d/a.conf").write_text("Port 11\nHost other\n  User a\n")
    (home / ".ssh/conf.d/b.conf").write_text("Host gate\n  User b\nHost other\n  Port 12\nHost g*\n  Port 13\n")
    text = SAME_AS_SSH[case].replace("{home}", str(home))
    # ssh finds the operator's home in passwd, not in HOME.
    write(text.replace("~", str(home)).replace("Include c", f"Include {home}/.ssh/c"))
    given = [f"-o{keyword}={value}" for keyword, value in options.items()]
    said = asked(home, "gate", *given)
    write(text)
    found = ssh_config.lookup("gate", **options)  # type: ignore[arg-type]
    for keyword in VALUES:
        if found.first(keyword, "none") == "none":
            # What is not, ssh -G leaves out.
            assert keyword not in host_config.PROXIES or keyword not in said
            continue
        ours = " ".join(found.all(keyword)) if keyword != "certificatefile" else list(found.all(keyword))
        theirs = said.get(keyword, [""])
        # What ssh shows of tokens that it replaces only later.
        theirs = [host_config.expand(value, host_config.tokens_of(found)) for value in theirs]
        assert ours == (theirs if isinstance(ours, list) else _plain(keyword, theirs[0])), keyword
    if "identityfile" in found.values:
        assert list(found.all("identityfile")) == said["identityfile"]
    assert found.host == said["hostname"][0]
    assert found.first("port", "22") == said["port"][0]
    assert not (home / "ran").exists()


def _plain(keyword: str, value: str) -> str:
    """As it is written: ssh -G has words of its own for yes and no."""
    if keyword in ("identitiesonly", "passwordauthentication", "pubkeyauthentication", "hashknownhosts"):
        return {"yes": "yes", "no": "no", "true": "yes", "false": "no"}[value]
    return value


# ---- tokens -----------------------------------------------------------------------------------------


def test_tokens_and_variables(home: Path, write: Write) -> None:
    write(
        "Host gate\n  HostName edge.example\n  User bob\n  Port 2200\n  HostKeyAlias front\n"
        "  IdentityFile ~/%r@%h:%p_%n_%k_%u_%i_%%\n  IdentityFile %d/${PLACE}\n"
        "  CertificateFile ~/.ssh/%n-cert.pub\n  UserKnownHostsFile ~/.ssh/known_%h /x/${PLACE}\n"
        "  ProxyCommand nc %h %p %r %n %%h\n"
    )
    way = route(Agent("gate"))[0]
    assert way.key_files == (
        f"{home}/bob@edge.example:2200_gate_front_{LOCAL}_{os.getuid()}_%",
        f"{home}/plant-7",
    )
    assert way.certificate_files == (f"{home}/.ssh/gate-cert.pub",)
    assert way.known_hosts == (home / ".ssh/known_edge.example", Path("/x/plant-7"))
    assert way.proxy_command == "nc edge.example 2200 bob gate %h"
    given = route(Agent("gate", user="ann", port=99))[0]
    assert given.proxy_command == "nc edge.example 99 ann gate %h"


def test_the_home_of_a_user_who_is_not_there(home: Path, write: Write) -> None:
    write("Include ~nobody-here/x\nIdentityFile ~nobody-here/id\nUserKnownHostsFile ~nobody-here/known\n")
    way = route(Agent("gate"))[0]
    assert way.key_files == ("~nobody-here/id",)
    assert way.known_hosts == (Path("~nobody-here/known"),)
    assert route(Agent("gate", known_hosts_file="~nobody-here/mine"))[0].known_hosts == (Path("~nobody-here/mine"),)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Host gate\n  IdentityFile ~/%z\n", "the token %z is not supported here"),
        ("Host gate\n  ProxyCommand nc %d\n", "the token %d is not supported here"),
        ("Host gate\n  IdentityFile ${NOWHERE}/x\n", "the environment variable NOWHERE is not set"),
        ("Host gate\n  Port 70000\n", "'70000' is not a valid Port"),
        ("Host gate\n  IdentitiesOnly maybe\n", "identitiesonly must be yes or no"),
        (
            "Host gate\n  StrictHostKeyChecking perhaps\n",
            "'perhaps' is not a valid StrictHostKeyChecking; use one of yes",
        ),
        ("Host gate\n  AddressFamily ipx\n", "'ipx' is not a valid AddressFamily"),
        ("Host gate\n  ConnectTimeout soon\n", "'soon' is not a valid ConnectTimeout"),
        ("Host gate\nPort\n", "{config}, line 2: expected KEYWORD VALUE"),
        ("Match tagged x\n", "{config}, line 1: Match tagged is not supported"),
        ("Match host\n", "{config}, line 1: Match host has no value"),
        ("Match all host x\n", "{config}, line 1: Match needs criteria, and all must stand alone"),
        ("Include loop\n", "{home}/.ssh/loop: includes are nested more than 16 deep"),
        ('Host "gate\n', "{config}, line 1: No closing quotation"),
    ],
)
def test_what_cannot_be_read_is_said(home: Path, write: Write, text: str, why: str) -> None:
    (home / ".ssh/loop").write_text("Include loop\n")
    write(text)
    with pytest.raises(AgentError) as caught:
        route(Agent("gate"))
    why = why.format(config=home / ".ssh/config", home=home)
    assert str(caught.value).startswith(f"gate: reading ~/.ssh/config: {why}")
    assert str(caught.value).endswith(". Try: ssh -G gate")


def test_no_line_of_the_file_is_repeated(write: Write) -> None:
    write("Host gate\n  ProxyCommand=\nhidden\n")
    with pytest.raises(AgentError) as caught:
        route(Agent("gate"))
    assert "hidden" not in str(caught.value)


# ---- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Host edge-1\n  HostName 192.0.2.1\n", "192.0.2.1"),
        ("Host edge-*\n  User ubuntu\n  ProxyJump bastion\n", "edge-1"),
        ("Match originalhost edge-1\n  User ubuntu\n", "edge-1"),
        ("Host *\n  HostName %h.plant.example\n", "edge-1.plant.example"),
        ("Host *\n  User ubuntu\n", None),
        ("Host * !edge-2\n  User ubuntu\n", None),
        ("Match all\n  User ubuntu\nMatch !host other\n  Port 3\n", None),
        ("Host edge-2\n  User ubuntu\n", None),
    ],
)
def test_whether_the_file_says_where_an_agent_is(write: Write, text: str, host: str | None) -> None:
    write(text)
    assert destination.configured_host("edge-1") == host


def test_a_section_that_leaves_open_where_the_host_is(write: Write) -> None:
    """It holds for an agent of its name, wherever that is; one that says where only for an agent that is there."""
    write(
        "Host edge-*\n  User ubuntu\n  ProxyJump bastion\n  IdentityFile /keys/%h\n"
        "Host gate\n  HostName 192.0.2.9\n  User gatekeeper\nHost 192.0.2.*\n  User other\n"
    )
    way = route(Agent("edge-1", host="192.0.2.1"))[-1]
    assert (way.host, way.user, way.jump, way.key_files) == ("192.0.2.1", "ubuntu", ("bastion",), ("/keys/192.0.2.1",))
    scoped = route(Agent("edge-1", host="fe80::1%eth0"))[-1]
    assert (scoped.host, scoped.key_files) == ("fe80::1%eth0", ("/keys/fe80::1%eth0",))
    assert route(Agent("gate", host="192.0.2.1"))[-1].user == "other"
    assert route(Agent("gate", host="192.0.2.9"))[-1].user == "gatekeeper"


def test_a_canonical_name(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def known(name: str, *args: object, **options: object) -> list[object]:
        if name != "gate.plant.example":
            raise socket.gaierror
        return []

    monkeypatch.setattr(socket, "getaddrinfo", known)
    write(
        "CanonicalizeHostname yes\nCanonicalDomains none.example plant.example\nHost gate.plant.example\n  User one\n"
        "Match canonical host *.plant.example\n  Port 5\n"
    )
    way = route(Agent("gate"))[0]
    assert (way.host, way.user, way.port) == ("gate.plant.example", "one", 5)


@pytest.mark.parametrize(
    ("host", "port", "reached"),
    [
        ("::1", None, ("::1", 22)),
        ("[::1]", None, ("::1", 22)),
        ("[2001:db8::7]:2222", None, ("2001:db8::7", 2222)),
        ("[2001:db8::7]:2222", 23, ("2001:db8::7", 23)),
        ("fe80::1%eth0", None, ("fe80::1%eth0", 22)),
    ],
)
def test_ipv6_addresses(home: Path, host: str, port: int | None, reached: tuple[str, int]) -> None:
    way = route(Agent("edge", host=host, port=port, user="u"))[0]
    assert (way.host, way.port) == reached
    assert str(way) == f"u@[{reached[0]}]:{reached[1]}"


def test_jump_hosts_have_their_own_sections(write: Write) -> None:
    write(
        "Host gate\n  ProxyJump a,[2001:db8::1]:23,%r@c\n  User bob\n  ProxyCommand never\n"
        "Host a\n  User ann\n  Port 2201\n  IdentityFile /a\n  ProxyCommand nc %h %p\n"
        "Host c\n  ProxyCommand never\n  StrictHostKeyChecking no\n"
    )
    ways = route(Agent("gate", password="secret", private_key_file="/own"))
    assert [str(way) for way in ways] == ["ann@a:2201", f"{LOCAL}@[2001:db8::1]:23", "bob@c:22", "bob@gate:22"]
    assert [way.hop for way in ways] == ["jump host 1 of 3", "jump host 2 of 3", "jump host 3 of 3", ""]
    assert [way.proxy_command for way in ways] == ["nc a 2201", "", "", ""]
    assert [way.login.password for way in ways] == [None, None, None, "secret"]
    assert [way.default_keys for way in ways] == [False, True, True, False]
    assert [way.accept_new for way in ways] == [False, False, True, False]
    assert not re.search("secret", repr(ways))


def test_the_guide_names_what_is_honoured() -> None:
    guide = (Path(__file__).parents[3] / "docs/how-to/ssh.md").read_text()
    part = guide.partition("## Which ssh_config keywords are honoured")[2].partition("All others")[0]
    named = [word.lower() for word in re.findall(r"`([A-Z]\w+)`", part)]
    assert named == sorted(keywords.HONOURED)
