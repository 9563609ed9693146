"""The programs that come with the project, as a user runs them."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from lab import Lab, proof
from lab.controller_process import EMAIL, PASSWORD
from lab.stack import Stack
from tests.e2e.site import Site

TOP = Path(__file__).parent.parent.parent


def test_the_quickstart(site: Site, tmp_path: Path) -> None:
    stack = Stack(TOP / "examples" / "quickstart", tmp_path / "quickstart")
    stack.configure(
        {
            "quickstart:image": site.push("1"),
            "quickstart:agents": [site.agent(name) for name in ("docker", "podman", "docker29")],
            "iofog:endpoint": site.controller.endpoint,
            "iofog:email": EMAIL,
        },
        secrets={"iofog:password": PASSWORD},
    )
    up = stack.up()
    assert up.ok, up.output
    assert all(site.holds(name, "1") for name in ("docker", "podman", "docker29"))
    assert stack.destroy().ok


def test_the_top_level_program_deploys_iofogctls_documents(lab: Lab, site: Site, tmp_path: Path) -> None:
    """Agents and Controller come from iofogctl's namespace file, the rest from its documents."""
    program = tmp_path / "top"
    program.mkdir()
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(TOP / name, program)
    images = {"first": site.push("1"), "second": site.push("2")}
    documents = [_document(name, image, ["docker", "podman"]) for name, image in images.items()]
    (program / "images.yaml").write_text(yaml.safe_dump_all(documents))
    stack = Stack(program, tmp_path / "stack-of-top")
    # Host keys are known as a user knows them, by ~/.ssh/known_hosts.
    home = stack.folder / "home"
    (home / ".iofog/v3/namespaces").mkdir(parents=True)
    (home / ".iofog/v3/namespaces/default.yaml").write_text(yaml.safe_dump(_namespace(lab, site)))
    (home / ".ssh").mkdir(mode=0o700)
    shutil.copy(lab.known_hosts_file, home / ".ssh/known_hosts")
    stack.configure({"iofog:manifests": ["images.yaml"]})
    up = stack.up()
    assert up.ok, up.output
    assert set(stack.outputs()["catalog_item_ids"]) == {"first", "second"}
    for name in ("docker", "podman"):
        assert all(proof.can_create(lab.hosts[name], image) for image in images.values())
    assert stack.destroy().ok


def _document(name: str, image: str, agents: list[str]) -> dict[str, object]:
    head = {"apiVersion": "iofog.org/v3", "kind": "OfflineImage", "metadata": {"name": name, "namespace": "default"}}
    return {**head, "spec": {"x86": image, "agent": agents}}


def _namespace(lab: Lab, site: Site) -> dict[str, object]:
    agents = [
        {"name": h.name, "host": h.address, "ssh": {"user": h.user, "port": 22, "keyFile": str(h.private_key_file)}}
        for h in lab.hosts.values()
    ]
    plane = {
        "iofogUser": {"email": EMAIL, "password": "dGVzdHBhc3MxMjM="},
        "controllers": [{"name": "main", "host": "127.0.0.1", "endpoint": site.controller.endpoint}],
        "endpoint": site.controller.endpoint,
    }
    spec = {"remoteControlPlane": plane, "remoteAgents": agents}
    return {"apiVersion": "iofog.org/v3", "kind": "Namespace", "metadata": {"name": "default"}, "spec": spec}
