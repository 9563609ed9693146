"""What users install: the wheel and the source distribution, built as a release builds them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import pulumi_iofog

TOP = Path(__file__).parent.parent
NOT_SOURCE = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "site")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, because building writes beside the sources."""
    return Path(shutil.copytree(TOP, tmp_path_factory.mktemp("packaging") / "source", ignore=NOT_SOURCE))


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both, the wheel made from the source distribution.

    By the setuptools of the extra ``dev``, which is what pyproject.toml asks for (build checks that), so that it is
    not installed anew for each of the two.
    """
    folder = tmp_path_factory.mktemp("built")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path, source: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = source / "provider" / "pulumi_iofog"
    assert names == {str(path.relative_to(package.parent)) for path in package.rglob("*") if path.is_file()}
    # Typed for its users; and Pulumi is told that there is no plugin to download.
    assert {"pulumi_iofog/py.typed", "pulumi_iofog/pulumi-plugin.json"} <= names


def test_the_metadata_is_whole(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        found = HeaderParser().parsestr(archive.read(name).decode())
        assert any(name.endswith("/licenses/LICENSE") for name in archive.namelist())
    assert found["Version"] == pulumi_iofog.__version__
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Requires-Python"] == ">=3.10"
    assert "Typing :: Typed" in found.get_all("Classifier", [])
    assert found["Description-Content-Type"] == "text/markdown"


def test_the_changelog_begins_with_this_version() -> None:
    """As ``0.1.0 (2026-11-28)``, so that what is tagged says what it is."""
    heading = re.search(r"^## (.*)$", (TOP / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert re.fullmatch(rf"{re.escape(pulumi_iofog.__version__)} \(\d{{4}}-\d\d-\d\d\)", heading[1])


def test_the_source_distribution_is_complete(built: Path, source: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    files = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    # What is built comes with the wheel.
    assert {name for name in files if ".egg-info/" not in name and "/builds/" not in name} <= names


def test_the_wheel_works_where_nothing_else_is_installed(wheel: Path, tmp_path: Path) -> None:
    """Nor is pip, which works from outside; what it has to compile is imported once here, if at all."""
    venv.create(tmp_path)
    python = tmp_path / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    _run(*pip, "install", "--quiet", "--no-compile", wheel)
    _run(*pip, "check")
    said = _run(python, "-I", "-c", "import pulumi_iofog; print(pulumi_iofog.OfflineImage.__module__)")
    assert said == "pulumi_iofog.program.offline_image\n"
    assert "convert" in _run(python, "-I", "-m", "pulumi_iofog", "--help")


def _run(*argv: object) -> str:
    done = subprocess.run([str(each) for each in argv], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
