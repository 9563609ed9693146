"""The lab that the end-to-end tests share, and a site of its own for each of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from lab import Host, HostSpec, Lab, proof
from lab.controller_process import PASSWORD, ControllerProcess
from lab.warm import Warm
from tests.e2e.site import Site
from tests.worker import WORKER

HOSTS = (
    HostSpec("docker", "docker"),
    HostSpec("podman", "podman"),
    HostSpec("docker29", "docker29"),
    HostSpec("edgelet", "edgelet"),
    HostSpec("arm", "docker", arch="arm64"),
    HostSpec("arm32", "podman", arch="armv7"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(autouse=True)
def log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The log of all that a test runs; whatever it is about, no secret of the lab is in it."""
    path = tmp_path / "iofog.log"
    monkeypatch.setenv("IOFOG_LOG", str(path))
    yield path
    text = path.read_text() if path.exists() else ""
    assert [secret for secret in (PASSWORD, Host.password, "registry-password-1") if secret in text] == []


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with Lab.start(HOSTS, name=f"e2e-{WORKER}") as lab:
        yield lab


@pytest.fixture(scope="session")
def controllers(lab: Lab) -> dict[str, ControllerProcess]:
    return {dialect: lab.controller(dialect) for dialect in ("3.0.4", "3.7.3", "3.9.0")}


@pytest.fixture
def dialect() -> str:
    """Which Controller the site has; a test may parametrize it."""
    return "3.7.3"


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    warm = Warm(tmp_path_factory.mktemp("warm"))
    yield warm
    warm.close()


@pytest.fixture
def start() -> Literal["warm", "cold"]:
    """How Python starts in the commands of the site's stack; a test may parametrize it. "cold" is as users have it,
    and as stacks have it that are not the site's own: this project's programs, examples, and tests of options."""
    return "warm"


@pytest.fixture(scope="session")
def emptied() -> dict[str, tuple[int, int]]:
    """By host: how much it had been used when it was emptied."""
    return {}


@pytest.fixture
def site(
    lab: Lab,
    emptied: dict[str, tuple[int, int]],
    controllers: dict[str, ControllerProcess],
    dialect: str,
    warm: Warm,
    start: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Site:
    """Empty hosts, an empty stack, and names that no other test has."""
    for host in lab.hosts.values():
        # Half a second of a core for all of them, most of which most tests do not use.
        if emptied.get(host.name) != host.uses():
            proof.empty(host)
            emptied[host.name] = host.uses()
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")
    python = warm.virtualenv if start == "warm" else Path(sys.prefix)
    return Site(lab, controllers[dialect], tmp_path, name, python)
