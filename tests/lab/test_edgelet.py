"""What is known of edgelet's engine, held by a host of the lab that has it: containerd is the real one."""

from __future__ import annotations

import gzip
import json
import os
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Host, HostSpec, Lab, images, proof
from lab.engines.edgelet import BLOBS, Edgelet
from lab.shell import CommandFailed, run, wait_for
from tests.lab.test_lab import alive, family, remains

pytestmark = pytest.mark.lab
SHORT, CANONICAL = "gateway:1.0", "docker.io/library/gateway:1.0"
ENGINE = Edgelet()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.start([HostSpec("edge-e", "edgelet")], name="selftest-edgelet") as lab:
        yield lab


@pytest.fixture
def host(lab: Lab) -> Iterator[Host]:
    host = lab.hosts["edge-e"]
    yield host
    proof.empty(host)


class Image:
    """The lab's image for one architecture, as archives of its layout."""

    def __init__(self, folder: Path) -> None:
        self.layout = images.single(folder, "1", "amd64")
        (self.entry,) = json.loads((self.layout / "index.json").read_text())["manifests"]
        manifest = json.loads(self.path(self.entry).read_text())
        self.layers = [self.path(layer) for layer in manifest["layers"]]
        self.size = self.entry["size"] + manifest["config"]["size"] + sum(each["size"] for each in manifest["layers"])

    @property
    def digest(self) -> str:
        return str(self.entry["digest"])

    def path(self, blob: dict[str, Any]) -> Path:
        return self.layout / "blobs/sha256" / str(blob["digest"]).removeprefix("sha256:")

    def archive(self, file: Path, *names: str) -> Path:
        """With these names; its last file is the topmost layer."""
        named = [{**self.entry, "annotations": {"io.containerd.image.name": name}} for name in names]
        (self.layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": named}))
        files = [path for path in sorted(self.layout.rglob("*")) if path.is_file() and path != self.layers[-1]]
        with tarfile.open(file, "w") as tar:
            for path in (*files, self.layers[-1]):
                if path.exists():
                    tar.add(path, path.relative_to(self.layout))
        return file


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


def edgelet(host: Host, *words: str, user: str = "root") -> tuple[int, str]:
    """The exit code and all that it says."""
    said = host.run(f"cd /run; su {user} -c 'edgelet {' '.join(words)}' 2>&1; echo $?", check=False)
    *lines, code = said.splitlines()
    return int(code), "\n".join(lines)


def load(host: Host, image: Image, *names: str) -> None:
    image.archive(host.folder / "run/app.tar", *names)
    assert edgelet(host, "image load -f /run/app.tar") == (0, f"loaded {len(names)} image(s) (engine=edgelet)")


def await_name_of_cri(host: Host, image: Image) -> None:
    def there() -> bool:
        return any(name.startswith("sha256:") for name, of in ENGINE.digests(host).items() if of == image.digest)

    assert wait_for(there, 10)


def blobs(host: Host) -> set[str]:
    return set(host.run(f"ls {BLOBS}").split())


def test_a_host_with_edgelet_has_no_other_engine(lab: Lab, host: Host) -> None:
    others = "docker dockerd podman containerd ctr crictl"
    assert (
        host.run(f"for program in edgelet {others}; do command -v $program; done; true") == "/usr/local/bin/edgelet\n"
    )
    known = f"UserKnownHostsFile={lab.known_hosts_file}"
    login = ("ssh", "-i", lab.private_key_file, "-o", known, f"{host.user}@{host.address}")
    assert "REPOSITORY" in run(*login, "sudo -n edgelet image ls")


def test_only_root_is_answered(host: Host) -> None:
    assert edgelet(host, "image ls", user="edge") == (3, "Error[UNAUTHORIZED]: missing or invalid authentication token")
    code, said = edgelet(host, "image load -f /run/app.tar", user="edge")
    assert (code, "permission denied" in said) == (1, True)


def test_load_and_list(host: Host, image: Image) -> None:
    image.archive(host.folder / "run/app.tar", SHORT, CANONICAL)
    loaded = json.loads(host.run("edgelet image load -f /run/app.tar -o json"))
    assert loaded["loaded"] == [{"name": name, "id": image.digest} for name in (SHORT, CANONICAL)]
    assert (loaded["status"], loaded["count"], loaded["engine"]) == ("succeeded", 2, "edgelet")
    (row,) = ENGINE.listed(host)
    hex_digits = image.digest.removeprefix("sha256:")
    assert len(row.pop("createdAt")) == len("2026-11-28T12:00:00Z")
    assert row == {
        "id": image.digest,
        "digest": image.digest,
        "shortId": hex_digits[:12],
        "repository": "docker.io/library/gateway",  # the first of the names, by byte; the other is not shown
        "tag": "1.0",
        "contentSizeBytes": image.size,
        "contentSizeHuman": f"{image.size / 1e6:.1f} MB",
        "diskUsageBytes": image.size,
        "diskUsageHuman": f"{image.size / 1e6:.1f} MB",
        "inUse": 0,
        "engine": "edgelet",
    }
    assert proof.images(host) == [CANONICAL, SHORT]
    assert hex_digits in blobs(host)


@pytest.mark.parametrize("compress", ["gzip", "zstd --long=27"])
def test_all_of_an_archive_may_be_compressed(host: Host, image: Image, compress: str) -> None:
    image.archive(host.folder / "run/app.tar", CANONICAL)
    host.run(f"cd /run && {compress} < app.tar > small && edgelet image load -f /run/small")
    assert ENGINE.listed(host)[0]["contentSizeBytes"] == image.size


def test_a_docker_archive_is_taken(host: Host, image: Image) -> None:
    image.archive(host.folder / "run/app.tar", CANONICAL)
    archive = host.folder / "run/docker.tar"
    run("skopeo", "copy", "--quiet", f"oci:{image.layout}", f"docker-archive:{archive}:{CANONICAL}")
    host.run("edgelet image load -f /run/docker.tar")
    assert proof.run(host, CANONICAL) == "application 1\n"
    archive.unlink()


def without_a_layer(image: Image, archive: Path) -> None:
    image.layers[-1].unlink()
    image.archive(archive, CANONICAL)


def with_wrong_bytes(image: Image, archive: Path) -> None:
    image.layers[-1].write_bytes(gzip.compress(b"something else"))
    image.archive(archive, CANONICAL)


def cut_between_two_files(image: Image, archive: Path) -> None:
    with tarfile.open(image.archive(archive, CANONICAL)) as tar:
        end = tar.getmembers()[-1].offset
    with archive.open("r+b") as file:
        file.truncate(end)


@pytest.mark.parametrize("damage", [without_a_layer, with_wrong_bytes, cut_between_two_files])
def test_an_import_lies(host: Host, image: Image, damage: Callable[[Image, Path], None]) -> None:
    whole, archive = image.layers[-1].read_bytes(), host.folder / "run/app.tar"
    damage(image, archive)
    assert edgelet(host, "image load -f /run/app.tar") == (0, "loaded 1 image(s) (engine=edgelet)")
    (row,) = ENGINE.listed(host)
    assert (row["digest"], row["contentSizeBytes"]) == (image.digest, image.size - len(whole))
    assert not proof.can_create(host, CANONICAL)
    # The missing blob alone repairs it: thin archives are taken over what is held.
    for layer in image.layers[:-1]:
        layer.unlink()
    image.layers[-1].write_bytes(whole)
    load(host, image, CANONICAL)
    assert ENGINE.listed(host)[0]["contentSizeBytes"] == image.size
    assert proof.run(host, CANONICAL) == "application 1\n"


def test_a_file_cut_in_its_middle_fails(host: Host, image: Image) -> None:
    archive = image.archive(host.folder / "run/app.tar", CANONICAL)
    with archive.open("r+b") as file:
        file.truncate(archive.stat().st_size - 100_000)
    code, said = edgelet(host, "image load -f /run/app.tar")
    assert (code, "unexpected EOF" in said) == (1, True)
    assert ENGINE.listed(host) == []


@pytest.mark.parametrize(
    ("stored", "wanted", "complaint"),
    [
        pytest.param([SHORT], SHORT, 'failed to resolve image "gateway:1.0"', id="the catalog's alone"),
        pytest.param([CANONICAL], SHORT, "image gateway:1.0 not found (pull first)", id="the canonical one alone"),
        pytest.param([SHORT, CANONICAL], SHORT, None, id="both"),
        pytest.param(["registry.example/app:1"], "registry.example/app:1", None, id="a registry's name is canonical"),
    ],
)
def test_both_spellings_are_needed(
    host: Host, image: Image, stored: list[str], wanted: str, complaint: str | None
) -> None:
    load(host, image, *stored)
    if complaint is None:
        assert proof.run(host, wanted) == "application 1\n"
        return
    with pytest.raises(CommandFailed) as failed:
        proof.run(host, wanted)
    assert complaint in str(failed.value)


def test_blobs_go_with_the_last_name(host: Host, image: Image) -> None:
    """CRI soon makes one of its own, and only a prune takes that."""
    hex_digits = image.digest.removeprefix("sha256:")
    load(host, image, SHORT, CANONICAL)
    await_name_of_cri(host, image)
    removed = json.loads(host.run(f"edgelet image rm {SHORT} -o json"))
    assert (removed["status"], removed["removed"]) == ("ok", SHORT)
    assert json.loads(host.run(f"edgelet image rm {SHORT} -o json"))["removed"] == CANONICAL  # the same on Docker Hub
    assert edgelet(host, f"image rm {SHORT}") == (4, f"Error[NOT_FOUND]: image not found: {SHORT}")
    assert proof.images(host) == []
    (own,) = (name for name, of in ENGINE.digests(host).items() if of == image.digest)
    assert edgelet(host, f"image rm {own}")[0] != 0
    assert hex_digits in blobs(host)
    pruned = json.loads(host.run("edgelet image prune -o json"))
    assert any(name.startswith("sha256:") for name in pruned["deleted"])
    assert hex_digits not in blobs(host)


def test_names_without_a_tag_are_dangling(host: Host, image: Image) -> None:
    load(host, image, "gateway", CANONICAL)
    assert "gateway" in json.loads(host.run("edgelet image prune -o json"))["deleted"]
    assert proof.images(host) == [CANONICAL]


def test_what_is_refused(host: Host) -> None:
    host.run("mkfifo -m 600 /run/pipe; touch /run/app.tar")
    for path, why in [
        ("app.tar", "failed to access path: stat app.tar: no such file or directory"),
        ("/run/nothing.tar", "failed to access path: stat /run/nothing.tar: no such file or directory"),
        ("/run/pipe", "path must point to a regular file"),
    ]:
        assert edgelet(host, f"image load -f {path}") == (1, f"Error[INTERNAL]: {why}")
    assert edgelet(host, "image prune all")[0] == 2
    assert edgelet(host, "image ls -o xml")[0] == 2


def test_a_load_goes_on_when_nobody_waits(host: Host, image: Image) -> None:
    image.archive(host.folder / "run/app.tar", CANONICAL)
    host.run("pkill -STOP -x containerd")  # so that the load is not quicker than the question
    try:
        said = edgelet(host, "image load -f /run/app.tar --timeout 1ms")
    finally:
        # What it was started with has stopped along, and wakes it.
        os.kill(int((host.folder / "containerd.pid").read_text()), signal.SIGCONT)
    assert said == (1, "Error[INTERNAL]: operation polling timed out")
    assert wait_for(lambda: proof.images(host) == [CANONICAL], 10)


def test_a_daemon_that_is_not_there(host: Host, image: Image) -> None:
    load(host, image, CANONICAL)
    ENGINE.stop_daemon(host)
    for words in ("image ls", "image load -f /run/app.tar", "image prune"):
        code, said = edgelet(host, words)
        assert (code, said[:25]) == (10, "Error[DAEMON_UNAVAILABLE]")
    ENGINE.start_daemon(host)
    host.stop_engine()
    host.start_engine()
    assert proof.images(host) == [CANONICAL]


def test_scheduled_pruning(host: Host, image: Image) -> None:
    load(host, image, SHORT, CANONICAL)
    await_name_of_cri(host, image)
    # By default not by the hour; by the disk, which is this machine's own, only where that is nearly full.
    assert ENGINE.schedule_prune(host, threshold=1) == []
    for spelling in (SHORT, CANONICAL):  # any name, letter by letter, keeps all of them
        assert ENGINE.schedule_prune(host, hours=1, used=[spelling]) == []
    assert ENGINE.schedule_prune(host, hours=1, used=["gateway"]) == [CANONICAL]
    assert ENGINE.schedule_prune(host, threshold=100) == [SHORT]
    (own,) = ENGINE.schedule_prune(host, hours=1)
    assert own.startswith("sha256:")
    assert ENGINE.listed(host) == []


def test_scheduled_pruning_spares_what_runs(host: Host, image: Image) -> None:
    load(host, image, SHORT, CANONICAL)
    ENGINE.run_on(host, SHORT)
    assert ENGINE.listed(host)[0]["inUse"] == 1
    assert ENGINE.schedule_prune(host, hours=1) == []


def test_two_engines_on_one_host_and_nothing_left_behind() -> None:
    name = "selftest-edgelet-2"
    with Lab.start([HostSpec("both", "edgelet", beside=("docker",))], name=name) as lab:
        host, network = lab.hosts["both"], lab.network.bridge
        assert host.run("docker version --format '{{.Server.Version}}'").strip()
        image = Image(lab.folder)
        load(host, image, SHORT, CANONICAL)
        ENGINE.run_on(host, SHORT)
        pids = family(host)
        assert any("infinity" in Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)
        host.run("kill -9 $(pgrep -x containerd) $(pgrep -x edgelet)")
    assert remains(Lab(name), network) == []
    assert alive(pids) == []
