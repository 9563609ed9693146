"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulumi_iofog import log


@pytest.fixture
def log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The log of this process, asked for by the stack's config."""
    monkeypatch.delenv("IOFOG_LOG", raising=False)
    monkeypatch.setattr(log, "_secrets", set())
    path = tmp_path / "iofog.log"
    assert log.configure({"iofog:log": str(path)}.get) == ""
    yield path
    log.configure(lambda key: None)
