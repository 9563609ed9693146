"""What is refused before anything happens, what a preview has shown, and what must never be seen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab import images
from lab.controller_process import PASSWORD
from tests.e2e.site import Site


def test_all_bad_inputs_are_refused_at_once_with_their_paths(site: Site) -> None:
    site.want(
        [site.agent("docker", port=70000), site.agent("podman", engine="dockr")],
        x86="UPPER/case:1",
        arm=site.image("never-pushed"),
        pull_policy="sometimes",
    )
    preview = site.stack.preview()
    assert not preview.ok
    for path in ("agents[0].port", "agents[1].engine", "x86", "pull_policy"):
        assert f"OfflineImage resource 'gateway' has a problem: {path}: " in preview.output, preview.output
    assert "<nil>" not in preview.output
    assert "Traceback" not in preview.output
    site.want(["docker"], arm=site.image("never-pushed"))
    preview = site.stack.preview()
    assert not preview.ok
    assert f"looking up {site.image('never-pushed')}: not found" in preview.output, preview.output


def test_what_is_nothing_is_refused_with_all_the_rest(site: Site) -> None:
    missing = site.agent("docker", private_key_file="~/.ssh/none")
    site.want([missing, None], x86="gateway.tar", arm="", pull_policy="sometimes")  # type: ignore[list-item]
    said = site.stack.preview().output
    for refused in ("agents[1]", "is None: give an agent's name", "arm", "is empty", "pull_policy"):
        assert refused in said, said
    site.want([missing], x86="gateway.tar")
    said = site.stack.preview().output
    assert "~/.ssh/none cannot be read: No such file or directory" in said, said
    assert "Did you mean docker-archive:gateway.tar?" in said


def test_a_single_platform_image_of_the_wrong_architecture_is_refused_by_name(site: Site, tmp_path: Path) -> None:
    reference = site.lab.registry.push(images.single(tmp_path, "1", "arm64"), f"{site.repository}:arm")
    site.want(["docker"], x86=reference)
    preview = site.stack.preview()
    assert not preview.ok
    assert f"{reference} is for linux/arm64 only, not for linux/amd64" in preview.output, preview.output


def test_what_the_preview_showed_is_what_is_sent_though_the_tag_moves(site: Site) -> None:
    site.push("1", "stable")
    site.want(["docker"], x86=site.image("stable"))
    preview = site.stack.preview("--json")
    assert preview.ok, preview.output
    site.push("2", "stable")
    up = site.stack.up()
    assert up.ok, up.output
    assert "has moved since the preview" in up.output
    assert site.host("docker").run(f"docker run --rm --network none {site.image('stable')}") == "application 1\n"
    # The next one sees the newer image.
    up = site.stack.up()
    assert up.ok, up.output
    assert site.host("docker").run(f"docker run --rm --network none {site.image('stable')}") == "application 2\n"


@pytest.mark.parametrize("start", ["cold"])
def test_secrets_stay_secret_in_state_output_and_log(site: Site) -> None:
    host = site.host("docker")
    # A relative path begins at the project's folder.
    site.stack.configure({"iofog:log": "iofog.log"})
    agent = site.agent("docker", private_key_file=None, private_key=host.private_key_file.read_text())
    site.want(
        [agent, site.agent("podman", password=host.password, private_key_file=None)],
        hidden=True,
        x86=site.push("1"),
        controller={"email": "user@domain.com", "password": PASSWORD},
        auth={"username": "ci", "password": "registry-password-1"},
    )
    up = site.stack.up("--verbose=3", "--logtostderr")
    assert up.ok, up.output
    refresh = site.stack.refresh()
    assert refresh.ok, refresh.output
    log = (site.stack.program / "iofog.log").read_text()
    key = host.private_key_file.read_text().splitlines()[2]
    for secret in (PASSWORD, host.password, "registry-password-1", key):
        assert secret not in site.stack.state()
        assert secret not in up.output + refresh.output + log
    # The log says who, where, by what way, and how long; of all verbs, whatever process they ran in.
    for words in (
        r"resource=gateway resolved arch=x86 reference=\S+ platform=linux/amd64 manifest=sha256:",
        r"agent=docker connect to=\S+ attempt=1 login=private_key host_key=\"ssh-ed25519 SHA256:\S+\" seconds=",
        r"agent=podman connect to=\S+ attempt=1 login=password ",
        r"resource=gateway request status=201 seconds=\S+: POST \S+/api/v3/catalog/microservices",
        r"resource=gateway download blob=sha256:\S+ bytes=\d+ had=0 seconds=",
        r"resource=gateway create seconds=",
        r"resource=gateway read seconds=",
    ):
        assert re.search(words, log), log
    # The provider itself is named in the state, not stored in it: no diff when its code changes.
    assert len(site.stack.resource()["inputs"]["__provider"]) < 200
