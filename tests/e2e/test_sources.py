"""Images without a registry: from an archive on a stick, and from the operator's own engine."""

from __future__ import annotations

from pathlib import Path

from lab import HostSpec, images, proof
from lab.shell import run
from tests.e2e.site import Site

OPERATOR = HostSpec("operator", "docker")
"""Its engine is the operator's own, reached by its socket and never by SSH."""
NAME = "plant.example/app:stable"


def write_archive(site: Site, version: str, file: Path, transport: str = "oci-archive") -> None:
    """A version of the application, as skopeo writes it onto the stick; at once, as a copy would be renamed."""
    layout = images.build(site.folder / "images", version)
    options = ["--all"] if transport == "oci-archive" else ["--override-arch=amd64"]
    run("skopeo", "copy", "--quiet", *options, f"oci:{layout}", f"{transport}:{file}.new:{NAME}")
    file.with_name(f"{file.name}.new").replace(file)


def test_an_archive_on_a_stick(site: Site) -> None:
    """The file is given relative to the program's folder, and the image's name is the archive's."""
    write_archive(site, "1", site.stack.program / "app.tar")
    site.want(["docker", "podman"], x86="oci-archive:app.tar", arm="oci-archive:app.tar")
    preview = site.stack.preview()
    assert preview.ok, preview.output
    # The config is read, no layer.
    kept = [file.stat().st_size for file in (site.stack.folder / "home/.cache/pulumi-iofog/blobs").rglob("*")]
    assert max(kept) < 10_000
    before = site.received("docker", "podman")
    up = site.stack.up()
    assert up.ok, up.output
    whole = {name: received - before[name] for name, received in site.received("docker", "podman").items()}
    for name in ("docker", "podman"):
        assert site.host(name).run(f"{site.host(name).cli} image ls --quiet {NAME}").strip()
        assert proof.can_create(site.host(name), NAME)
    item = site.items()[site.repository]
    assert [image["containerImage"] for image in item["images"]] == [NAME, NAME]
    assert site.stack.outputs()["images"]["x86"]["reference"] == f"oci-archive:app.tar:{NAME}"

    again = site.stack.up("--expect-no-changes")
    assert again.ok, again.output

    # A new archive: the application's layer is what travels.
    write_archive(site, "2", site.stack.program / "app.tar")
    before = site.received("docker", "podman")
    up = site.stack.up()
    assert up.ok, up.output
    for name, received in site.received("docker", "podman").items():
        assert 300_000 < received - before[name] < whole[name] / 10
    assert site.host("docker").run(f"docker run --rm --network none {NAME}") == "application 2\n"


def test_an_archive_that_cannot_be_used_is_refused_at_its_argument(site: Site) -> None:
    write_archive(site, "1", site.stack.program / "app.tar")
    site.want(["docker"], x86="oci-archive:app.tar:other:1", arm="docker-archive:absent.tar")
    preview = site.stack.preview()
    assert not preview.ok
    assert f"other:1 not found; it has {NAME}" in preview.output, preview.output
    assert f"{site.stack.program}/absent.tar: looking for docker-archive:absent.tar: not found" in preview.output
    assert "Traceback" not in preview.output


def test_the_operators_own_engine(site: Site) -> None:
    """Also to Docker 29, whose image ids are manifests': the one that is made here is always the same."""
    site.lab.up([OPERATOR])
    operator = site.host(OPERATOR.name)
    site.stack.environment["DOCKER_HOST"] = f"unix://{operator.folder}/run/docker.sock"
    load(site, "1")
    site.want(["docker", "podman", "docker29"], x86=f"docker-daemon:{NAME}")
    preview = site.stack.preview()
    assert preview.ok, preview.output
    before = site.received("docker", "podman", "docker29")
    up = site.stack.up()
    assert up.ok, up.output
    after = site.received("docker", "podman", "docker29")
    whole = {name: after[name] - before[name] for name in after}
    assert site.host("docker").run(f"docker run --rm --network none {NAME}") == "application 1\n"
    for name in ("podman", "docker29"):
        assert proof.can_create(site.host(name), NAME)
    engines_id = operator.run(f"docker image inspect --format '{{{{.Id}}}}' {NAME}").strip()
    assert site.stack.outputs()["images"]["x86"]["image_id"] == engines_id
    assert site.host("docker").run(f"docker image inspect --format '{{{{.Id}}}}' {NAME}").strip() == engines_id

    again = site.stack.up("--expect-no-changes")
    assert again.ok, again.output

    load(site, "2")
    before = site.received("docker", "podman", "docker29")
    up = site.stack.up()
    assert up.ok, up.output
    for name, received in site.received("docker", "podman", "docker29").items():
        assert 300_000 < received - before[name] < whole[name] / 10
    assert site.host("docker").run(f"docker run --rm --network none {NAME}") == "application 2\n"


def load(site: Site, version: str) -> None:
    """Put a version of the application into the operator's engine."""
    operator = site.host(OPERATOR.name)
    write_archive(site, version, operator.folder / "run/app.tar", "docker-archive")
    operator.run("docker load < /run/app.tar && rm /run/app.tar")


def test_a_mirror_stands_in_for_a_registry_out_of_reach(site: Site) -> None:
    site.push("1")
    reference = f"registry.invalid:5000/{site.repository}:1"
    site.want(["docker"], x86=reference)
    site.stack.configure({"iofog:registries": {"registry.invalid:5000": {"mirrors": ["no registry"]}}})
    preview = site.stack.preview()
    assert "iofog:registries.registry.invalid:5000.mirrors: 'no registry' is not a registry" in preview.output
    mirrors = [site.lab.registry.address]
    site.stack.configure({"iofog:registries": {"registry.invalid:5000": {"mirrors": mirrors}}})
    up = site.stack.up()
    assert up.ok, up.output
    assert proof.can_create(site.host("docker"), reference)
