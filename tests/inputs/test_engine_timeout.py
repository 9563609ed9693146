"""How long an engine may be silent."""

from __future__ import annotations

import pytest

from pulumi_iofog.errors import InputError
from pulumi_iofog.inputs.engine_timeout import DEFAULT, engine_timeout


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5 min", 90), ("10m", 600), (" 1h ", 3600), (None, DEFAULT)]
)
def test_durations(text: str | None, seconds: float) -> None:
    assert engine_timeout({"iofog:engineTimeout": text}.get, {}) == seconds
    assert engine_timeout(lambda key: None, {"IOFOG_ENGINE_TIMEOUT": text or ""}) == seconds


def test_the_stack_comes_before_the_environment() -> None:
    assert engine_timeout({"iofog:engineTimeout": "1m"}.get, {"IOFOG_ENGINE_TIMEOUT": "2m"}) == 60


@pytest.mark.parametrize("text", ["0", "soon", "-1s", "1d", "1m30", "1e9", "9" * 5000 + "x"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(
        InputError, match=r"iofog:engineTimeout: .* is not a valid duration; write it like 90s, 10m or 1h"
    ):
        engine_timeout({"iofog:engineTimeout": text}.get, {})
