"""A rollout whose workers are other processes, which share nothing: real hosts, and adapters that each makes anew."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from lab import Lab, images, proof
from pulumi_iofog.inputs.spec import parse
from pulumi_iofog.oci.image import AMD64, Pin, parse_index, parse_manifest, pick
from pulumi_iofog.rollout.rollout import Job, roll_out
from pulumi_iofog.session.adapters import Shared
from pulumi_iofog.session.offline_image import Session
from pulumi_iofog.session.recipe import SessionRecipe
from tests.adapters.conftest import AgentOf

pytestmark = pytest.mark.lab
HOSTS = ("edge-docker", "edge-podman")


def test_workers_of_other_processes_bring_an_image(lab: Lab, agent_of: AgentOf, home: Path, tmp_path: Path) -> None:
    layout = images.build(tmp_path / "images", "1.0")
    for name in HOSTS:
        proof.empty(lab.hosts[name])
    agents = [lab.hosts[name].agent(lab.known_hosts_file) for name in HOSTS]
    gone = {**agents[0], "name": "gone", "port": 1}
    spec = parse({"name": "app", "x86": f"oci:{layout}", "agents": [*agents, gone]})
    with Session(spec, {}.get, Shared()) as session:
        reference = spec.references["x86"]
        entry = pick(parse_index(session.images.fetch_manifest(reference)[0]), AMD64)
        assert entry
        manifest = parse_manifest(*session.images.fetch_manifest(reference, entry.blob.digest))
        pin = Pin(reference, manifest.manifest_digest, manifest.config.digest, AMD64, manifest.size)
        jobs = [Job(agent, session.images.image(pin)) for agent in spec.agents]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        outcomes = roll_out(jobs, SessionRecipe(spec), pool=1, executor=executor)
        assert executor.submit(os.getpid).result() != os.getpid(), "it is the caller's to close"
    assert [(each.agent, each.updated) for each in outcomes] == [*((name, True) for name in HOSTS), ("gone", False)]
    assert "Connection refused" in (outcomes[-1].error or "")
    assert all(proof.can_create(lab.hosts[name], jobs[0].image.reference.full_name) for name in HOSTS)
