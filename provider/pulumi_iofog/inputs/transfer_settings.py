"""How images travel, as the stack's config says it: ``iofog:hostProgram``."""

from __future__ import annotations

from collections.abc import Callable

from pulumi_iofog.errors import Failure, InputError

HOST_PROGRAM = "iofog:hostProgram"


def host_program_allowed(config: Callable[[str], str | None]) -> bool:
    """Whether a host may be given a program of ours to run. ``auto``, the default, or ``never``; else InputError."""
    value = config(HOST_PROGRAM) or "auto"
    if value not in ("auto", "never"):
        raise InputError([Failure(HOST_PROGRAM, f"must be auto or never, not {value!r}")])
    return value == "auto"
