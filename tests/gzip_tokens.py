"""gzip-tokens, run as the provider runs it."""

from __future__ import annotations

import subprocess

from pulumi_iofog.adapters.gzip_tokens.program import own_architecture, program_for


def run(work: str, data: bytes) -> subprocess.CompletedProcess[bytes]:
    program = program_for(own_architecture())
    assert program, "setup.py has built none for this machine"
    return subprocess.run([program.path, work], input=data, capture_output=True, timeout=60)


def gzip_tokens(work: str, data: bytes) -> bytes:
    """What it makes of the data."""
    result = run(work, data)
    assert result.returncode == 0
    return result.stdout
