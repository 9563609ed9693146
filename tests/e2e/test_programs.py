"""The programs that come with the project, as a user runs them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
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


WRONG = {
    "from_yaml": (
        'iofog.OfflineImage.from_yaml("wrong.yaml")',
        "wrong.yaml:4: unknown field spec.x68; did you mean x86?",
    ),
    "import": (
        'iofog.OfflineImage("g", x86="a:1", agents=["e"], opts=pulumi.ResourceOptions(import_="6"))',
        "opts.import_: dynamic resources cannot be imported; set adopt=True",
    ),
    "set": (
        'iofog.OfflineImageSet("s", images={"h": "alpine:1", "i": {"x68": "a:1"}}, agents=["e"])',
        "images['h']: must be ImageArgs or a dict, such as {'x86': 'registry.example/app:1'};"
        " images['i'].x68: there is no such field",
    ),
}


@pytest.mark.parametrize("program", WRONG)
def test_what_a_program_cannot_mean_is_a_message_and_no_traceback(tmp_path: Path, program: str) -> None:
    code, said = WRONG[program]
    folder = tmp_path / "program"
    folder.mkdir()
    shutil.copy(TOP / "Pulumi.yaml", folder)
    document = "apiVersion: iofog.org/v3\nkind: OfflineImage\nmetadata: {name: g}\nspec: {x68: 'a:1', agent: [e]}\n"
    (folder / "wrong.yaml").write_text(document)
    (folder / "__main__.py").write_text(f"import pulumi\n\nimport pulumi_iofog as iofog\n\n{code}\n")
    preview = Stack(folder, tmp_path / "stack").preview()
    assert not preview.ok
    assert said in preview.output, preview.output
    assert "Traceback" not in preview.output


@pytest.mark.parametrize(("value", "said"), [(None, "is not set"), ("images.yaml", "is not a list")])
def test_the_top_level_program_says_how_to_name_documents(tmp_path: Path, value: str | None, said: str) -> None:
    program = tmp_path / "top"
    program.mkdir()
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(TOP / name, program)
    stack = Stack(program, tmp_path / "stack")
    if value:
        stack.configure({"iofog:manifests": value})
    preview = stack.preview()
    assert not preview.ok
    assert f"iofog:manifests {said}" in preview.output, preview.output
    assert "pulumi config set --path 'iofog:manifests[0]' FILE" in preview.output
    assert "Traceback" not in preview.output


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
