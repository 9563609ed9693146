"""Which backend a state is in: found as Pulumi's command line does, and never the same for two backends."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pulumi_iofog.adapters.backend import PULUMI_CLOUD, backend_of


def log_in(home: Path, url: str) -> None:
    (home / ".pulumi").mkdir(parents=True, exist_ok=True)
    (home / ".pulumi" / "credentials.json").write_text(json.dumps({"current": url}))


def test_the_environment_comes_before_the_project_and_that_before_the_login(tmp_path: Path) -> None:
    home, program = tmp_path / "home", tmp_path / "project" / "program"
    program.mkdir(parents=True)
    assert backend_of({}, program, home) == PULUMI_CLOUD
    log_in(home, "https://pulumi.example/")
    assert backend_of({}, program, home) == "https://pulumi.example"
    (program.parent / "Pulumi.yaml").write_text("name: plant\nruntime: python\n")
    assert backend_of({}, program, home) == "https://pulumi.example"
    (program.parent / "Pulumi.yaml").write_text("name: plant\nbackend: {url: 's3://bucket?region=eu'}\n")
    assert backend_of({}, program, home) == "s3://bucket"
    assert backend_of({"PULUMI_BACKEND_URL": "gs://other"}, program, home) == "gs://other"
    (program.parent / "Pulumi.yaml").write_text("name: [")
    log_in(tmp_path / "elsewhere", "azblob://x")
    environment = {"PULUMI_HOME": str(tmp_path / "elsewhere" / ".pulumi")}
    assert backend_of(environment, program, home) == "azblob://x"


def test_two_folders_of_one_name_are_two_backends_and_a_moved_one_is_the_same(tmp_path: Path) -> None:
    homes = [tmp_path / name for name in "ab"]
    for number, home in enumerate(homes):
        meta = home / ".pulumi" / "meta.yaml"
        meta.parent.mkdir(parents=True)
        meta.write_text("version: 1\n")
        os.utime(meta, (1_700_000_000 + number,) * 2)
    first, second = (backend_of({"PULUMI_BACKEND_URL": "file://~"}, tmp_path, home) for home in homes)
    assert first != second
    homes[0].rename(tmp_path / "moved")
    for url in (f"file://{tmp_path}/moved", "file://./moved", "file:moved/?no_tmp_dir=true"):
        assert backend_of({"PULUMI_BACKEND_URL": url}, tmp_path, homes[1]) == first
    unused = backend_of({"PULUMI_BACKEND_URL": "file:///not/there"}, tmp_path, homes[1])
    assert unused.startswith("file:///not/there on ")
