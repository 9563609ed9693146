"""The way from iofogctl: its documents and namespace files with the real Pulumi engine."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from lab import Lab
from lab.controller_process import EMAIL, PASSWORD
from lab.stack import Stack
from tests.e2e.site import Site

TOP = Path(__file__).parent.parent.parent
FROM_YAML = """\
import pulumi
import pulumi_iofog as iofog

first = iofog.OfflineImage.from_yaml("images.yaml", resource_name="first-image", transfer_pool=1)
pulumi.export("agent_digests", first.agent_digests)
"""


def stack_of(program: str, lab: Lab, site: Site, folder: Path, plane: dict[str, Any]) -> Stack:
    """A stack of a program that is written out here; host keys and namespace are as iofogctl's user has them."""
    source = folder / "source"
    source.mkdir()
    shutil.copy(TOP / "Pulumi.yaml", source)
    (source / "__main__.py").write_text(program)
    stack = Stack(source, folder / "moved")
    home = stack.folder / "home"
    (home / ".iofog/v3/namespaces").mkdir(parents=True)
    agents = [
        {"name": h.name, "host": h.address, "ssh": {"user": h.user, "port": 22, "keyFile": str(h.private_key_file)}}
        for h in lab.hosts.values()
    ]
    head = {"apiVersion": "potctl/v3", "kind": "Namespace", "metadata": {"name": "site-a", "namespace": ""}}
    body = {**head, "spec": {"name": "site-a", **plane, "remoteAgents": agents}}
    (home / ".iofog/v3/namespaces/site-a.yaml").write_text(yaml.safe_dump(body))
    (home / ".ssh").mkdir(mode=0o700)
    shutil.copy(lab.known_hosts_file, home / ".ssh/known_hosts")
    return stack


def documents(site: Site, **images: str) -> str:
    """Two documents for ``docker`` and ``podman``, the second with credentials, and one of another kind."""
    head = {"apiVersion": "iofog.org/v3", "kind": "OfflineImage"}
    auth = {"username": "ci", "password": "registry-password-1"}
    bodies = [
        {**head, "metadata": {"name": "first-image", "namespace": "site-a"}, "spec": {**images, "agent": ["docker"]}},
        {"apiVersion": "iofog.org/v3", "kind": "Volume", "metadata": {"name": "v"}, "spec": {"source": "/x"}},
        {
            **head,
            "metadata": {"name": "second-image", "namespace": "site-a"},
            "spec": {**images, "auth": auth, "agent": ["docker", "podman"]},
        },
    ]
    return yaml.safe_dump_all(bodies, explicit_start=True)


@pytest.mark.parametrize("dialect", ["3.9.0"])
def test_from_yaml_with_a_namespace_that_has_tokens(lab: Lab, site: Site, tmp_path: Path) -> None:
    """The access token has run out, there is no password, and the document has 3.8's names."""
    image = site.push("1")
    login = {"email": EMAIL, "password": PASSWORD}
    tokens = requests.post(f"{site.controller.endpoint}/api/v3/user/login", json=login, timeout=5).json()
    user = {"email": EMAIL, "accessToken": "it-has-run-out", "refreshToken": tokens["refreshToken"]}
    plane = {"k8sControlPlane": {"config": "~/.kube/config", "iofogUser": user, "endpoint": site.controller.endpoint}}
    stack = stack_of(FROM_YAML, lab, site, tmp_path, plane)
    (stack.program / "images.yaml").write_text(documents(site, amd64=image, arm=image))
    preview = stack.preview()
    assert preview.ok, preview.output
    assert "1 of 1 agent to update: docker (" in preview.output
    up = stack.up()
    assert up.ok, up.output
    assert site.holds("docker", "1")
    assert stack.outputs()["agent_digests"].keys() == {"docker"}
    wanted = [{"containerImage": image, "archId": number} for number in (1, 4)]
    assert site.items()["first-image"]["images"] == wanted, "arm is 32-bit beside amd64"
    kept = (stack.folder / "home/.iofog/v3/namespaces/site-a.yaml").read_text()
    assert "it-has-run-out" not in kept
    for secret in (*tokens.values(), yaml.safe_load(kept)["spec"]["k8sControlPlane"]["iofogUser"]["accessToken"]):
        assert secret not in stack.state() + preview.output + up.output
    # A line that is wrong is told with its number.
    (stack.program / "images.yaml").write_text(documents(site, x68=image))
    preview = stack.preview()
    assert not preview.ok
    assert "images.yaml:10: unknown field spec.x68; did you mean x86?" in preview.output, preview.output
    assert stack.destroy().ok


def test_a_converted_document_takes_over_what_iofogctl_has_registered(lab: Lab, site: Site, tmp_path: Path) -> None:
    image = site.push("1")
    (tmp_path / "images.yaml").write_text(documents(site, x86=image))
    command = [sys.executable, "-m", "pulumi_iofog", "convert", tmp_path / "images.yaml", "--adopt"]
    program = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "registry-password-1" not in program
    user = {"email": EMAIL, "password": base64.b64encode(PASSWORD.encode()).decode()}
    controllers = [{"name": "main", "host": "127.0.0.1", "endpoint": site.controller.endpoint}]
    plane = {"remoteControlPlane": {"iofogUser": user, "controllers": controllers}}
    stack = stack_of(program, lab, site, tmp_path, plane)
    session = requests.Session()
    base = f"{site.controller.endpoint}/api/v3"
    login = {"email": EMAIL, "password": PASSWORD}
    token = session.post(f"{base}/user/login", json=login, timeout=5).json()["accessToken"]
    session.headers["Authorization"] = f"Bearer {token}"
    body = {
        "name": "first-image",
        "description": "Offline image bundle first-image",
        "registryId": 2,
        "images": [{"containerImage": image, "fogTypeId": 1}],
    }
    registered = session.post(f"{base}/catalog/microservices", json=body, timeout=5).json()["id"]
    session.close()

    preview = stack.preview()
    assert not preview.ok
    assert "registryPassword" in preview.output, preview.output
    stack.configure({}, secrets={"iofog:registryPassword": "registry-password-1"})
    preview = stack.preview()
    assert preview.ok, preview.output
    assert "2 of 2 agents to update: docker, podman (" in preview.output, preview.output
    up = stack.up()
    assert up.ok, up.output
    assert stack.outputs()["catalog_item_ids"]["first-image"] == registered
    assert all(site.holds(name, "1") for name in ("docker", "podman"))
    assert stack.preview("--expect-no-changes").ok
    assert stack.destroy().ok
    assert not {"first-image", "second-image"} & set(site.items())
