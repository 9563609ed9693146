"""Paths that were meant as archives or layouts."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from pulumi_iofog.adapters.sources.meant import meant
from pulumi_iofog.errors import Failure
from pulumi_iofog.session.offline_image import explained


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def archive(path: Path, *names: str, mode: str = "w") -> None:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name in names:
            tar.addfile(tarfile.TarInfo(name))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("gateway.tar", "docker-archive:gateway.tar"),
        ("images/none.tar.gz", "docker-archive:images/none.tar.gz"),
        ("gateway.tar:app:1", "docker-archive:gateway.tar:app:1"),
        ("gateway:1.4", None),
        ("registry.example/gateway:1.4", None),
        ("docker-archive:none.tar", None),
        ("folder", None),
        ("", None),
    ],
)
def test_what_is_called_like_an_archive(folder: Path, text: str, wanted: str | None) -> None:
    (folder / "folder").mkdir()
    assert meant(text) == wanted


def test_what_is_there_is_looked_into(folder: Path) -> None:
    archive(folder / "saved", "oci-layout", "index.json", "manifest.json")
    archive(folder / "layout.tar", "./oci-layout", "./index.json")
    archive(folder / "packed.tar.gz", "oci-layout", mode="w:gz")
    (folder / "build").mkdir()
    (folder / "build/oci-layout").touch()
    assert [meant(text) for text in ("./saved", "layout.tar", "packed.tar.gz", "build", "./build:app:1")] == [
        "docker-archive:./saved",
        "oci-archive:layout.tar",
        "docker-archive:packed.tar.gz",
        "oci:build",
        "oci:./build:app:1",
    ]


def test_only_failures_of_images_are_explained() -> None:
    inputs = {"x86": "gateway.tar", "name": "gateway.tar"}
    (found,) = [explained(Failure("x86", "docker.io: not found."), inputs)]
    assert found == Failure("x86", "docker.io: not found. Did you mean docker-archive:gateway.tar?")
    for failure in (Failure("name", "is taken"), Failure("arm", "is for linux/amd64"), Failure("", "refused")):
        assert explained(failure, inputs) is failure
