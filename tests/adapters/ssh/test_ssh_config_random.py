"""Files that nobody would write, made at random: what we read in them is what ``ssh -G`` reads."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from pulumi_iofog.adapters.ssh import ssh_config

pytestmark = pytest.mark.lab
FILES = 80
PATTERNS = ("gate", "g*", "*", "!gate", "other", "g?te", "*.example", "a.example", "!x")
MATCHES = (
    *("all", "final", "canonical", "!final", "user bob", "!user bob", "localuser nobody", "final host a.example"),
    *("exec true", "!exec false", 'exec "test %h = a.example"', 'exec "test %n = gate" user bob', "final all"),
    *("host a.example", "!host g*,x", "originalhost gate", "originalhost g*,!gate"),
)
LINES = (
    *("User bob", "User ann", "Port 1", "Port 2", "HostName a.example", "HostName %h.example", "HostKeyAlias k"),
    *("IdentityFile /a", "IdentityFile /b", "CertificateFile /c", "CertificateFile /d", "IdentitiesOnly yes"),
    *("ProxyJump j", "ProxyJump none", "ProxyCommand nc %h %p", "ProxyCommand none", "IdentitiesOnly no"),
)
WRITTEN = ("proxyjump", "proxycommand", "certificatefile", "hostkeyalias")
"""What ssh -G shows only if a file says it."""


def written(dice: random.Random, includes: tuple[Path, ...]) -> str:
    """A file of some sections."""
    lines: list[str] = []
    for _ in range(dice.randint(1, 5)):
        kind = dice.randrange(4)
        if kind < 2:
            lines.append(f"Host {' '.join(dice.sample(PATTERNS, dice.randint(1, 3)))}")
        elif kind == 2:
            lines.append(f"Match {dice.choice(MATCHES)}")
        lines += [f"  {dice.choice(LINES)}" for _ in range(dice.randint(1, 3))]
        if includes and not dice.randrange(3):
            lines.append(f"  Include {dice.choice(includes)}")
    return "\n".join(lines) + "\n"


def ours() -> dict[str, list[str]]:
    found = ssh_config.lookup("gate", user="bob")
    defaults = {"hostname": [found.host], "port": [found.first("port", "22")], "user": ["bob"]}
    lists = {name: list(found.all(name)) for name in ("identityfile", "certificatefile")}
    singles = {name: [found.first(name)] for name in ("proxyjump", "proxycommand", "hostkeyalias")}
    singles["identitiesonly"] = [found.first("identitiesonly", "no")]
    every = {**defaults, **lists, **singles}
    return {name: values for name, values in every.items() if values not in ([], [""], ["none"])}


def theirs(config: Path) -> dict[str, list[str]]:
    argv = ["ssh", "-G", "-F", str(config), "-o", "User=bob", "gate"]
    found: dict[str, list[str]] = {}
    for line in subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines():
        name, _, value = line.partition(" ")
        found.setdefault(name, []).append(value)
    for value in found.get("proxycommand", ()):  # replaced only when it is run
        found["proxycommand"] = [value.replace("%h", found["hostname"][0]).replace("%p", found["port"][0])]
    return found


def test_random_files_mean_the_same_as_to_ssh(home: Path) -> None:
    dice, config, included = random.Random(4254), home / ".ssh/config", (home / ".ssh/one", home / ".ssh/two")
    for number in range(FILES):
        for path in included:
            path.write_text(written(dice, ()))
        config.write_text(written(dice, included))
        we, they = ours(), theirs(config)
        # All others ssh has by itself, whatever the files say.
        they = {name: values for name, values in they.items() if name in we or name in WRITTEN}
        assert we == they, f"file {number}: {config.read_text()}\n{[path.read_text() for path in included]}"
