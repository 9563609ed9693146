"""A few bytes of a large layer change: on every engine hardly more than those travel."""

from __future__ import annotations

import random

from pulumi_iofog.oci.image import OCI_INDEX
from tests.e2e.site import Site
from tests.images import MadeImage, index_of, make_image, write_layout

ENGINES = ("docker", "docker29", "podman", "edgelet")
NOISE = random.Random(11).randbytes(5_000_000)


def push(site: Site, version: str) -> tuple[str, MadeImage]:
    """An image whose large layer differs between versions in a note of some bytes."""
    made = make_image({"lib/noise": NOISE, "lib/note": version.encode()}, {"app/run": b"the application"})
    layout = write_layout(site.folder / f"noise-{version}", index_of(made, media_type=OCI_INDEX), OCI_INDEX, made)
    return site.lab.registry.push(layout, f"{site.repository}:{version}"), made


def test_a_changed_base_travels_as_what_has_changed(site: Site) -> None:
    for version in ("1", "2"):
        reference, made = push(site, version)
        site.want(list(ENGINES), x86=reference)
        before = site.received(*ENGINES)
        up = site.stack.up()
        assert up.ok, up.output
    sent = {name: count - before[name] for name, count in site.received(*ENGINES).items()}
    assert max(sent.values()) < len(NOISE) / 20, sent
    assert all(site.holds(name, "2") for name in ENGINES)
    # Docker's containerd store has the registry's own image, whole.
    host = site.host("docker29")
    assert (
        host.run(f"docker image inspect --format '{{{{.Id}}}}' {reference}").strip()
        == made.image.manifest.manifest_digest
    )
    saved = host.run(f"docker save {reference} | tar -tf -")
    assert all(f"blobs/sha256/{digest.hex}\n" in saved for digest in made.blobs)
    # And no longer with a program of ours.
    site.stack.configure({"iofog:hostProgram": "never"})
    site.want(["docker29"], x86=push(site, "3")[0])
    before = site.received("docker29")
    up = site.stack.up()
    assert up.ok, up.output
    assert site.received("docker29")["docker29"] - before["docker29"] > len(NOISE)
