"""The commands that ``KEEP=1 make demo`` prints at its end, in the shell of somebody who types them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab import demo
from tests.e2e.site import Site
from tests.reader import login


def test_the_demo_can_be_continued(site: Site, tmp_path: Path) -> None:
    site.lab.hosts["edge-docker"] = site.host("docker")
    try:
        folder, environment, preview, ssh = demo.how_to_continue(site.lab, site.stack)
    finally:
        del site.lab.hosts["edge-docker"]
    site.want(["docker"], x86=site.push("1"))
    script = "\n".join(["home=$HOME", folder, environment, preview, f"{ssh} id -un", '[ "$HOME" = "$home" ]'])
    done = subprocess.run(
        ["bash", "-euc", script], cwd="/", env=login(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 agent to update: docker (" in done.stdout
    assert done.stdout.endswith(f"{site.host('docker').user}\n")
