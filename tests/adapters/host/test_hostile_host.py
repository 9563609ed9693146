"""An edge host whose ``docker`` answers what no docker does, on a real sshd, beside an honest one: it costs that host
only, and is told in a line."""

from __future__ import annotations

import re
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import Host, Lab, images, proof
from pulumi_iofog.adapters.host.sudo import Runner
from pulumi_iofog.rollout.outcome import pending
from tests.adapters.host.bringing import operator

pytestmark = pytest.mark.lab
ID = "sha256:" + "1" * 64

HONEST = {
    "version": "echo amd64 20.10.24",
    "info": """echo '"/var/lib/docker" []'""",
    "image\\ ls": f"echo {ID}",
    "image\\ inspect": f"echo '{ID} [] []'",
}
VERSION, INFO, LS, INSPECT = HONEST
READ = r"listing images: its answer cannot be read: "
CASES = {
    "numbers for names": (INSPECT, "echo 'sha256:aa [1,2] [3]'", rf"{READ}sha256:aa \[1,2\] \[3\]$"),
    "numbers": (INSPECT, f"echo '{ID} [1,2] [3]'", READ),
    "cut JSON": (INSPECT, f"""echo '{ID} ["x" []'""", READ),
    "deep JSON": (INSPECT, f"printf '{ID} [] '; head -c 100000 /dev/zero | tr '\\0' '['; echo", READ),
    "a root that is none": (INFO, "echo '[1] []'", r"asking docker about itself: its answer cannot be read"),
    "escapes": (VERSION, r"printf '\033[2J\033]0;title\007 1\n'", r"its answer cannot be read: .*\\x1b\[2J\\x1b"),
    "escapes in an error": (LS, r"printf '\033[2Jno\n' >&2; exit 1", r"listing images: \\x1b\[2Jno$"),
    "endless complaints": (VERSION, "cat /dev/zero >&2", r"has complained with more than 268 MB"),
    "a line of 100 MB": (LS, "head -c 100000000 /dev/zero | tr '\\0' x >&2; exit 1", r"listing images: x{499}…$"),
    "an endless answer": (INSPECT, "cat /dev/zero", r"has answered more than 16\.8 MB"),
}
ENDLESS = {
    "an endless answer in a variable": (LS, "cat /dev/zero", r"dockerd has not done it in \d+ s, though it answers"),
    "dots": (LS, "while sleep 0.3; do echo .; done", r"dockerd has not done it in \d+ s, though it answers"),
    "silence": (VERSION, "sleep 1000", r"waiting for the engine: dockerd on bad has not answered for \d+ s\. Look"),
}


@contextmanager
def instead_of_docker(host: Host, answers: Mapping[str, str]) -> Iterator[None]:
    """What the host's docker answers, by its first words."""
    cases = "\n".join(f"{words}*) {script};;" for words, script in {**HONEST, **answers}.items())
    host.run("mv /usr/bin/docker /usr/bin/docker.real")
    host.run(f"cat > /usr/bin/docker <<'EOS'\n#!/bin/sh\ncase $* in\n{cases}\nesac\nEOS\nchmod +x /usr/bin/docker")
    try:
        yield
    finally:
        host.run("mv /usr/bin/docker.real /usr/bin/docker")


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images.build(tmp_path_factory.mktemp("images"), "1.0")


@pytest.mark.parametrize("name", [*CASES, *ENDLESS])
def test_it_costs_that_host_only(
    name: str,
    lab: Lab,
    layout: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    word, script, said = {**CASES, **ENDLESS}[name]
    if name in ENDLESS:
        monkeypatch.setitem(Runner.run.__kwdefaults__, "timeout", 3.0)
    proof.empty(lab.hosts["edge-podman"])
    honest = lab.hosts["edge-podman"].agent(lab.known_hosts_file)
    bad = {**lab.hosts["edge-docker"].agent(lab.known_hosts_file), "name": "bad", "engine": "docker"}
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        operator(tmp_path, layout, [bad, honest], monkeypatch, engineTimeout="6s" if name in ENDLESS else "10m") as one,
        instead_of_docker(lab.hosts["edge-docker"], {word: script}),
    ):
        outcomes = one.bring()
    assert pending(outcomes, 1) == ["bad"]
    assert outcomes[1].updated
    error = outcomes[0].error or ""
    assert re.search(said, error), error
    assert error.startswith("bad: ")
    assert error.isprintable()
    assert len(error) < 700
    assert time.monotonic() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kB"
