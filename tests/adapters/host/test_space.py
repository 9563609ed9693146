"""How much room is asked for on a real host with little of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Host, Lab, proof
from pulumi_iofog.oci.image import OCI_INDEX
from tests.adapters.host.bringing import Operator, operator
from tests.images import MadeImage, index_of, make_image, write_layout

pytestmark = pytest.mark.lab
# Of 48 MB that the host has.
ZEROS = make_image({"zeros": bytes(150_000_000)}, reference="registry.example/zeros:1")
NOISE = make_image({"noise": random.Random(1).randbytes(11_000_000)}, reference="registry.example/noise:1", level=0)


@pytest.fixture
def small(lab: Lab) -> Iterator[Host]:
    host = lab.hosts["edge-small"]
    proof.empty(host)
    yield host
    proof.empty(host)
    host.run("rm -rf /home/edge/.cache")


def layout(folder: Path, made: MadeImage) -> Path:
    name = {"org.opencontainers.image.ref.name": made.image.reference.full_name}
    return write_layout(folder, index_of(made, media_type=OCI_INDEX), OCI_INDEX, made, annotations=name)


def error_of(one: Operator) -> str:
    (outcome,) = one.bring()
    return outcome.error or ""


def test_what_a_small_blob_hides_is_told_and_known_the_next_time(
    small: Host, lab: Lab, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = small.agent(lab.known_hosts_file)
    with operator(tmp_path / "cache", layout(tmp_path / "layout", ZEROS), [agent], monkeypatch) as one:
        said = error_of(one)
        assert "no space left on device; how large its layers are unpacked could not be known before" in said
        before = small.counters().received
        said = error_of(one)
        assert "making room for the image: " in said
        assert "MB are needed under /var/lib/docker (unpacked), " in said
        assert small.counters().received - before < 100_000


def test_an_image_that_does_not_compress_needs_no_more_than_it_is(
    small: Host, lab: Lab, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 11 MB: in the spool, put aside by Docker, and unpacked."""
    agent, name = small.agent(lab.known_hosts_file), NOISE.image.reference.full_name
    free = int(small.run("df -Pk /run | awk 'END {print $4}'")) * 1024
    assert 33_500_000 < free < 5 * 11_000_000
    with operator(tmp_path / "cache", layout(tmp_path / "layout", NOISE), [agent], monkeypatch) as one:
        assert error_of(one) == ""
        proof.empty(small)
        small.run("df -Pk /run | awk 'END {print $4 - 32000}' | xargs -I @ head -c @K /dev/zero > /run/fill")
        try:
            said = error_of(one)
        finally:
            small.run("rm /run/fill")
    assert "33.0 MB are needed under /var/lib/docker (unpacked), 32." in said, (said, name)
