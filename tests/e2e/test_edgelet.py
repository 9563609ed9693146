"""ioFog's own engine, on a host that has no other: what is delivered starts by the catalog's exact spelling."""

from __future__ import annotations

from lab import images, proof
from lab.engines.edgelet import BLOBS, PAUSE, Edgelet
from lab.shell import run, wait_for
from tests.e2e.site import Site

ENGINE, HOST = Edgelet(), "edgelet"
NAME, CANONICAL = "gateway:stable", "docker.io/library/gateway:stable"


def write_archive(site: Site, version: str) -> None:
    """A version of the application under a name of Docker Hub's, which no registry need have."""
    layout, file = images.build(site.folder / "images", version), site.stack.program / "app.tar"
    run("skopeo", "copy", "--quiet", "--all", f"oci:{layout}", f"oci-archive:{file}.new:{NAME}")
    file.with_name("app.tar.new").replace(file)


def blobs(site: Site) -> set[str]:
    return set(site.host(HOST).run(f"ls {BLOBS}").split())


def test_an_image_with_two_names_from_create_to_destroy(site: Site) -> None:
    host = site.host(HOST)
    only_pause = blobs(site)
    write_archive(site, "1")
    site.want([HOST], x86="oci-archive:app.tar", prune=True)
    before = site.received(HOST)[HOST]
    up = site.stack.up()
    assert up.ok, up.output
    whole = site.received(HOST)[HOST] - before
    assert proof.images(host) == [CANONICAL, NAME]
    assert proof.run(host, NAME) == "application 1\n"
    # CRI has given it a name of its own, and a container was made and removed: nothing of that is a change.
    assert site.stack.refresh().ok
    assert site.stack.up("--expect-no-changes").ok

    # Only the application travels; the old one is freed, as nothing names it any more.
    old = blobs(site)
    write_archive(site, "2")
    before = site.received(HOST)[HOST]
    up = site.stack.up()
    assert up.ok, up.output
    # 0.3 MB that no compression makes smaller, of 7.3 MB.
    assert 300_000 < site.received(HOST)[HOST] - before < whole / 10
    assert proof.run(host, NAME) == "application 2\n"
    assert len(old - blobs(site)) == 3, "manifest, config and layer of version 1"

    # The agent's pruning takes one name at a time. One of two is as bad as none, and is mended by names alone.
    assert ENGINE.schedule_prune(host, hours=1) == [CANONICAL]
    assert site.stack.refresh().ok
    assert '"missing" => "sha256:' in site.stack.preview("--diff").output
    before = site.received(HOST)[HOST]
    up = site.stack.up()
    assert up.ok, up.output
    assert site.received(HOST)[HOST] - before < whole / 100
    assert proof.run(host, NAME) == "application 2\n"

    # Somebody removes the name that the agent looks for.
    proof.forget(host, NAME)
    assert proof.images(host) == [CANONICAL]
    assert site.stack.refresh().ok
    assert site.stack.up().ok
    assert proof.run(host, NAME) == "application 2\n"

    # With prune= nothing is left, on the disk neither.
    assert site.stack.destroy().ok
    assert proof.images(host) == []
    assert wait_for(lambda: blobs(site) == only_pause, 10)
    assert PAUSE in ENGINE.digests(host)


def test_a_blob_that_the_disk_has_lost_or_damaged_is_found_by_refresh(site: Site) -> None:
    """Neither containerd's own sizes tell, which are what it has written down, nor its import; the file is sent again,
    alone."""
    host, image = site.host(HOST), site.push("1")
    site.want([HOST], x86=image)
    assert site.stack.up().ok
    largest = host.run(f"ls -S {BLOBS} | head -n 1").strip()
    file = f"{BLOBS}/{largest}"
    size = int(host.run(f"stat -c %s {file}"))
    for damage in (f"rm {file}", f"printf rotten | dd of={file} bs=1 seek=5000 conv=notrunc status=none"):
        host.run(damage)
        assert site.stack.refresh().ok
        preview = site.stack.preview("--diff")
        assert '"missing" => "sha256:' in preview.output, preview.output
        before = site.received(HOST)[HOST]
        up = site.stack.up()
        assert up.ok, up.output
        assert site.received(HOST)[HOST] - before < size * 1.1 + 100_000
        assert host.run(f"sha256sum < {file}").split()[0] == largest
        assert proof.run(host, image) == "application 1\n"


def test_who_may_not_become_root_is_told_so(site: Site) -> None:
    image = site.push("1")
    site.want([site.agent(HOST, user="outsider", engine="edgelet")], x86=image)
    up = site.stack.up()
    assert not up.ok
    assert "looking for edgelet: sudo edgelet: sudo: a password is required" in up.output, up.output
