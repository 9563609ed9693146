"""iofogctl's documents and namespace files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pulumi_iofog.errors import InputError
from pulumi_iofog.manifest import Namespace, read_documents, read_namespace

CASES = Path(__file__).parent / "cases" / "manifest"


def test_every_offline_image_of_a_file_is_read() -> None:
    gateway, camera = read_documents(CASES / "gateway.yaml")
    assert gateway.inputs == {
        "name": "gateway",
        "namespace": "site-a",
        "x86": "registry.example/gateway:1.4",
        "arm": "registry.example/gateway:1.4",
        "auth": {"username": "ci", "password": "token"},
        "agents": ["edge-1", "edge-2"],
    }
    assert (camera.name, camera.inputs["agents"]) == ("camera", ["edge-1"])
    assert camera.where.endswith("gateway.yaml:24")
    assert "token" not in repr(gateway)


def test_unknown_fields_are_errors_with_line_and_suggestion() -> None:
    with pytest.raises(InputError) as caught:
        read_documents(CASES / "misspelt.yaml")
    assert [(f.path.rpartition(":")[2], f.reason) for f in caught.value.failures] == [
        ("6", "unknown field spec.x68; did you mean x86?"),
        ("8", "unknown field spec.auth.user; did you mean username?"),
        ("9", "unknown field spec.agents; did you mean agent?"),
        ("1", "apiVersion must be one of iofog.org/v3, iofogctl/v3, potctl/v3, datasance.com/v3"),
    ]


@pytest.mark.parametrize("text", ["", "kind: Agent", "a: [", "- x"])
def test_a_file_without_a_document_says_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x\.yaml: "):
        read_documents(path)
    with pytest.raises(InputError, match="No such file"):
        read_documents(tmp_path / "absent.yaml")


@pytest.mark.parametrize("folder", [".iofog", ".potctl"])
def test_a_namespace_gives_controller_and_agents(tmp_path: Path, folder: str) -> None:
    file = tmp_path / folder / "v3" / "namespaces" / "default.yaml"
    file.parent.mkdir(parents=True)
    file.write_text((CASES / "namespace.yaml").read_text())
    found = read_namespace("default", tmp_path)
    assert (found.endpoint, found.email, found.password, found.token) == (
        "http://10.0.0.5:51121",
        "ops@example.com",
        "hunter2",
        None,
    )
    assert found.agents == {
        "edge-1": {"host": "10.0.0.11", "user": "pi", "port": 2222, "private_key_file": "~/.ssh/edge"},
        "edge-2": {"host": "10.0.0.12"},
    }
    assert "hunter2" not in repr(found)
    assert read_namespace("other", tmp_path) == Namespace()


def test_a_namespace_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / ".iofog" / "v3" / "namespaces" / "default.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("a: [")
    with pytest.raises(InputError, match=r"namespace: .*default\.yaml"):
        read_namespace("default", tmp_path)
