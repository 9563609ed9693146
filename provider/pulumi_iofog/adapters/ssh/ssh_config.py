"""What ~/.ssh/config says about a host, read as OpenSSH reads it.

    lookup                  ~/.ssh/config, then /etc/ssh/ssh_config; for each keyword the first value wins
    ├── _Reader             sections (Host, Match) and files (Include), whether they apply, and their values
    └── expand_all          tokens (%h), environment (${HOME}) and ~ (host_config.py)

keywords.py says which keywords are honoured, and why others are not. Tests compare with ``ssh -G``.

Paramiko's own parser supports no Include, no second CertificateFile, no ``%%`` and no user or port from the
command line, needs one more package for Match exec, and so would not find the hosts that ssh finds.

Sources: ssh_config(5), readconf.c of OpenSSH 9.2.
"""

from __future__ import annotations

import getpass
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from pulumi_iofog.adapters.ssh.host_config import (
    PROXIES,
    HostConfig,
    at_home,
    canonical_name,
    expand,
    expand_all,
    shell,
    tokens_of,
)
from pulumi_iofog.adapters.ssh.keywords import HONOURED

USER_FILE, SYSTEM_FILE = Path("~/.ssh/config"), Path("/etc/ssh/ssh_config")
DEPTH = 16
"""How deep includes may be nested, as in OpenSSH."""
EXEC_TIMEOUT = 30.0
"""Seconds for the command of a ``Match exec``."""

_LISTS = {"identityfile", "certificatefile"}
_SEVERAL = {"userknownhostsfile", "globalknownhostsfile", "canonicaldomains"}
_CRITERIA = {"all", "canonical", "exec", "final", "host", "localuser", "originalhost", "user"}


def lookup(name: str, *, host: str | None = None, user: str | None = None, port: int | None = None) -> HostConfig:
    """What is configured for a name.

    Args:
        host, user, port: given elsewhere, as on ssh's command line: they take precedence over the files.

    Raises:
        ValueError: something in the files cannot be parsed; says where.
        OSError: a file cannot be read.
    """
    config = HostConfig(name)
    hostname = host.replace("%", "%%") if host else None
    given = {"hostname": hostname, "user": user, "port": str(port) if port else None}
    config.values = {key: [value] for key, value in given.items() if value}
    reader = _Reader(config, name)
    reader.read_all()
    canonical = canonical_name(config)
    if canonical or reader.wants_final:
        # By then the HostName is settled, and Host sections are matched against it.
        config.values["hostname"] = [config.host.replace("%", "%%")]
        _Reader(config, canonical or config.host, final=True).read_all()
    expand_all(config)
    return config


class _Reader:
    """One pass over the files; ``host`` is what sections are matched against."""

    def __init__(self, config: HostConfig, host: str, *, final: bool = False) -> None:
        self._config, self._host = config, host
        # OpenSSH, too, makes no more difference between the two.
        self._passed = {"canonical": final, "final": final, "all": True}
        self.wants_final = False

    def read_all(self) -> None:
        for path in (USER_FILE.expanduser(), SYSTEM_FILE):
            if path.is_file():
                self._read(path, path.parent, applies=True, depth=0)

    def _read(self, path: Path, folder: Path, *, applies: bool, depth: int) -> None:
        """Take over the values of a file; for an included one, ``applies`` is that of its Include's section."""
        if depth > DEPTH:
            raise ValueError(f"{path}: includes are nested more than {DEPTH} deep")
        here = applies
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            try:
                keyword, rest = _split(line)
                if keyword == "host":
                    here = applies and self._host_applies(_words(rest))
                elif keyword == "match":
                    here = self._match_applies(_words(rest), applies=applies)
                elif keyword == "include":
                    # Also if it does not apply: a Match final in it asks for a second pass, as in OpenSSH.
                    included = _files(folder, _words(rest))
                elif here and keyword in HONOURED:
                    self._set(keyword, rest)
            except ValueError as problem:
                raise ValueError(f"{path}, line {number}: {problem}") from None
            if keyword == "include":
                for file in included:
                    self._read(file, folder, applies=here, depth=depth + 1)

    def _set(self, keyword: str, rest: str) -> None:
        values = self._config.values
        taken = keyword in values or (keyword in PROXIES and self._proxied(keyword))
        new = [rest] if keyword in PROXIES else _words(rest)
        if not new:
            raise ValueError(f"{keyword} has no value")
        if keyword not in _SEVERAL:
            new = new[:1]
        if keyword in _LISTS:
            before = values.setdefault(keyword, [])
            before += [value for value in new if value not in before]
        elif not taken:
            values[keyword] = new

    def _proxied(self, keyword: str) -> bool:
        """Whether a value of the other proxy keyword came first and so wins, as in OpenSSH."""
        jump = self._config.first("proxyjump", "none").lower() != "none"
        return jump if keyword == "proxycommand" else "proxycommand" in self._config.values

    # ---- sections -----------------------------------------------------------------------------------

    def _host_applies(self, patterns: Sequence[str]) -> bool:
        applies = matches(patterns, self._host)
        self._config.named |= applies and matches([pattern for pattern in patterns if pattern != "*"], self._host)
        return applies

    def _match_applies(self, words: list[str], *, applies: bool) -> bool:
        about = False
        names = []
        while words:
            word = words.pop(0).lower()
            name = word.removeprefix("!")
            names.append(name)
            if name not in _CRITERIA:
                raise ValueError(f"Match {name} is not supported")
            if name not in self._passed and not words:
                raise ValueError(f"Match {name} has no value")
            self.wants_final |= name == "final"
            # A command is run only if everything before it applies.
            met = applies and self._met(name, words if name not in self._passed else [])
            if name not in self._passed:
                about |= name in ("host", "originalhost") and words[0] != "*" and word == name
                words.pop(0)
            applies = applies and met != (word != name)
        if not names or ("all" in names and set(names) - {"all", "canonical", "final"}):
            raise ValueError("Match needs criteria, and all must stand alone")
        self._config.named |= applies and about
        return applies

    def _met(self, name: str, words: Sequence[str]) -> bool:
        if name in self._passed:
            return self._passed[name]
        if name == "exec":
            return _succeeds(expand(words[0], tokens_of(self._config)))
        local = getpass.getuser()
        subject = {
            "host": self._config.host if "hostname" in self._config.values else self._host,
            "originalhost": self._config.name,
            "user": self._config.first("user", local),
            "localuser": local,
        }[name]
        return matches(words[0].split(","), subject)


def matches(patterns: Sequence[str], name: str, *, ignore_case: bool = False) -> bool:
    """Whether one of the patterns with ``*`` and ``?`` means the name, and none that begins with ``!``."""
    found = False
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        expression = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in bare)
        if re.fullmatch(expression, name, re.IGNORECASE if ignore_case else 0):
            if pattern != bare:
                return False
            found = True
    return found


# ---- lines ------------------------------------------------------------------------------------------


def _split(line: str) -> tuple[str, str]:
    """Keyword and the rest; both empty for a comment."""
    line = line.strip()
    if not line or line.startswith("#"):
        return "", ""
    found = re.fullmatch(r'"?(\w+)"?(?:\s*=\s*|\s+)(.+)', line)
    if found is None:
        raise ValueError("expected KEYWORD VALUE")
    return found[1].lower(), found[2]


def _words(text: str) -> list[str]:
    """Words, with quotes as a shell has them, up to a comment."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    for word in lexer:
        if word.startswith("#"):
            break
        words.append(word)
    return words


def _files(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """The files that an Include names, in order; a missing one is not an error."""
    for pattern in patterns:
        path = Path(at_home(pattern))
        anchor = Path(path.anchor) if path.is_absolute() else folder
        yield from sorted(file for file in anchor.glob(str(path).removeprefix(path.anchor)) if file.is_file())


def _succeeds(command: str) -> bool:
    """Whether a command succeeds; its output is discarded."""
    try:
        # The operator's own Match exec, run as ssh runs it.
        done = subprocess.run(  # noqa: S603
            [shell(), "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=EXEC_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"the Match exec command has not ended within {EXEC_TIMEOUT:.0f} s") from None
    return done.returncode == 0
