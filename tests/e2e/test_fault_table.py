from __future__ import annotations
from pathlib import Path
import time
import pytest
from lab.plugin import Operator
from lab.controller_process import EMAIL, PASSWORD
from lab import leftovers
from tests.e2e.site import Site

def test_try(site: Site, tmp_path: Path) -> None:
    config = {"iofog:endpoint": site.controller.endpoint, "iofog:email": EMAIL, "iofog:password": PASSWORD}
    image = site.push("1")
    with Operator(tmp_path / "op", config) as op:
        for hosts in (["docker"], ["podman"], ["docker29", "edgelet"]):
            began = time.monotonic()
            done = op.up({"name": site.repository, "x86": image, "agents": [site.agent(h) for h in hosts]})
            print(done, time.monotonic() - began)
        print(op.state)
        for h in ["docker", "podman", "docker29", "edgelet"]:
            print(leftovers.on_host(site.host(h), [image]))
        print(leftovers.at_operator(op, op.plugin.family()))
    print((tmp_path / "op/iofog.log").read_text())
    assert 0
