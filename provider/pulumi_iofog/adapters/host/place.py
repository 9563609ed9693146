"""Where on a host the spool is: the first folder that takes it, private, and of this host alone."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass

from pulumi_iofog import text
from pulumi_iofog.adapters.host.hashing import HAS_OPENSSL, OPENSSL
from pulumi_iofog.adapters.host.shell import Result
from pulumi_iofog.errors import AgentError

REFUSED = 77
"""The exit code by which a script says that a folder is not ours (sysexits.h, EX_NOPERM)."""

PRIVATE = f"""umask 077
private() {{
    [ ! -L "$1" ] || {{ echo "$1 is a symbolic link" >&2; return {REFUSED}; }}
    [ -d "$1" ] || mkdir "$1" || [ -d "$1" ] || return 1
    [ -O "$1" ] || {{ echo "$1 belongs to somebody else" >&2; return {REFUSED}; }}
    chmod 700 "$1"
}}
"""
"""A shell function that makes a folder nobody else can look into, or says why there is none. It follows no link, and
takes nothing that somebody else has put there (-O is in dash, busybox, bash and ksh, though not in POSIX)."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What the host has to work with: commands, available memory in bytes, and what hashes its standard input:
    the first word of the answer is the digest in hexadecimal."""

    gzip: bool
    zstd: bool
    memory: int
    hash: str = "sha256sum"


def finding(host_key: bytes, wanted: str | None) -> str:
    """A script that makes the spool's folder, and says where it is and what the host has.

    Hosts may share a home (NFS): so the folder is named after the machine, and after its host key besides, as clones
    of one disk have one machine-id.

    Args:
        wanted: the folder that is to have it, and no other.
    """
    key = hashlib.sha256(host_key).hexdigest()[:12]
    return f"""{PRIVATE}
mark=$(tr -cd 0-9a-f 2>/dev/null < /etc/machine-id | cut -c 1-12)-{key}
own=pulumi-iofog-$(id -u)
takes() {{
    private "$1" && private "$1/spool" && private "$1/spool/${{mark#-}}" && cd "$1/spool/${{mark#-}}" &&
    ( : > try ) && rm -f try
}}
in_home() {{ [ -d "$HOME" ] || {{ echo "there is no folder $HOME" >&2; return 1; }}
    mkdir -p "$HOME/.cache" && takes "$HOME/.cache/pulumi-iofog"; }}
in_cache() {{ case $XDG_CACHE_HOME in /*) mkdir -p "$XDG_CACHE_HOME" && takes "$XDG_CACHE_HOME/pulumi-iofog";;
    *) false;; esac; }}
in_wanted() {{ mkdir -p "$1" && takes "$1/$own"; }}
{_choice(wanted)} || exit {REFUSED}
echo "root $(pwd -P)"
echo "memory $(sed -n 's/^MemAvailable: *//p' /proc/meminfo 2>/dev/null)"
for each in gzip zstd; do command -v $each >/dev/null && echo "has $each"; done
{HAS_OPENSSL} && echo "has openssl"
echo end"""


def _choice(wanted: str | None) -> str:
    if wanted is not None:
        return f"in_wanted {shlex.quote(wanted)}"
    return 'in_cache || in_home || takes "/var/tmp/$own"'


def parse_found(answer: str) -> tuple[str, Equipment]:
    """The answer of ``finding``: the spool's folder, and what the host has. ValueError if it is none."""
    lines = answer.splitlines()
    root, memory, *has = (line.partition(" ")[2] for line in lines[:-1])
    if lines[-1] != "end" or not root.startswith("/") or not root.isprintable():
        raise ValueError("no folder")
    number = memory.removesuffix(" kB")
    hash_ = OPENSSL if "openssl" in has else "sha256sum"
    return root, Equipment("gzip" in has, "zstd" in has, int(number) * 1024 if number.isdigit() else 0, hash_)


def nowhere(agent: str, wanted: str | None, result: Result) -> AgentError:
    """There is no folder for the spool."""
    tried = f"{wanted} does not take it" if wanted else "no folder takes it"
    said = "; ".join(dict.fromkeys(result.stderr.decode(errors="replace").splitlines()))
    hint = "Give a folder that the user can write to" if wanted else "Name a folder on the host with spool="
    return AgentError(agent, "making a spool", f"{tried}: {text.excerpt(said or result.error)}", hint)
