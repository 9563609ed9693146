"""How long an engine may be silent before its agent fails: ``iofog:engineTimeout``. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pulumi_iofog.errors import Failure, InputError

DEFAULT = 600.0
"""Seconds."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|m|h|)")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def engine_timeout(config: Callable[[str], str | None], environ: Mapping[str, str]) -> float:
    """Seconds, by the stack's config, then by IOFOG_ENGINE_TIMEOUT. Raises InputError."""
    for key, text in (
        ("iofog:engineTimeout", config("iofog:engineTimeout")),
        ("IOFOG_ENGINE_TIMEOUT", environ.get("IOFOG_ENGINE_TIMEOUT")),
    ):
        if text:
            match = _DURATION.fullmatch(text.strip())
            if not match or float(match[1]) == 0:
                raise InputError([Failure(key, f"{text!r} is not a valid duration; write it like 90s, 10m or 1h")])
            return float(match[1]) * _SECONDS[match[2]]
    return DEFAULT
