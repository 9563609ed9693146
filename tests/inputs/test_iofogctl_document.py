"""iofogctl's documents: what it and potctl accept by their sources, and how the rest is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pulumi_iofog.errors import InputError
from pulumi_iofog.inputs.iofogctl_document import read_documents
from pulumi_iofog.inputs.spec import parse

CASES = Path(__file__).parents[1] / "cases" / "manifest"
ACCEPTED: list[dict[str, Any]] = json.loads((CASES / "accepted.json").read_text())
REFUSED: list[dict[str, Any]] = json.loads((CASES / "refused.json").read_text())


def refusal(*paths: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_documents(*paths)
    return [f"{f.path}: {f.reason}" for f in caught.value.failures]


@pytest.mark.parametrize("case", ACCEPTED, ids=[case["name"] for case in ACCEPTED])
def test_what_iofogctl_accepts_works_unchanged(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(case["text"].encode())
    documents = read_documents(path)
    assert [document.inputs for document in documents] == case["inputs"]
    assert all(parse(document.inputs).name == document.name for document in documents)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_encodings_of_yaml(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(ACCEPTED[0]["text"].replace("foo", "Jürgen").encode(encoding))
    (document,) = read_documents(path)
    assert document.inputs["auth"]["username"] == "Jürgen"


@pytest.mark.parametrize("case", REFUSED, ids=[case["name"] for case in REFUSED])
def test_the_rest_is_refused_with_its_line(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(case["text"])
    assert [line.replace(str(path), "FILE") for line in refusal(path)] == [
        f"FILE{'' if line.startswith(':') else ':'}{line}" for line in case["failures"]
    ]


def test_a_document_knows_its_line_and_keeps_its_secret(tmp_path: Path) -> None:
    gateway, camera = read_documents(CASES / "gateway.yaml")
    assert (gateway.name, gateway.where.rpartition("/")[2]) == ("gateway", "gateway.yaml:2")
    assert (camera.name, camera.where.rpartition("/")[2]) == ("camera", "gateway.yaml:24")
    assert "token" not in repr(gateway)


def test_failures_of_several_files_come_together(tmp_path: Path) -> None:
    broken, absent = tmp_path / "broken.yaml", tmp_path / "absent.yaml"
    broken.write_text("a: [")
    (tmp_path / "latin.yaml").write_bytes("name: Jürgen".encode("latin-1"))
    found = refusal(CASES / "misspelt.yaml", broken, absent)
    assert len(found) == 6
    assert found[4].startswith(f"{broken}: while parsing")
    assert found[5].startswith(f"{absent}: [Errno 2] No such file")
    assert "latin.yaml: unacceptable character" in refusal(tmp_path / "latin.yaml")[0]
