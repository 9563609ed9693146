"""Everything that parses what comes from outside, as functions of bytes; each returns, or raises an error of ours.

``TARGETS`` is what the property tests and the fuzzer (``python -m tests.fuzz``) share: a name, the function, and
samples to start from. A ValueError is an error of ours where the parser's docstring says so: its caller puts it into
words.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from pulumi_iofog.adapters.controller.controller import Controller
from pulumi_iofog.adapters.controller.dialect import Dialect
from pulumi_iofog.adapters.host.engines.answers import parse_about, parse_df, parse_id, parse_images, parse_names
from pulumi_iofog.adapters.host.engines.blobs import UNREADABLE
from pulumi_iofog.adapters.host.engines.candidates import parse_candidates
from pulumi_iofog.adapters.host.engines.edgelet import parse_survey
from pulumi_iofog.adapters.host.place import parse_found
from pulumi_iofog.adapters.host.spool import parse_arrived
from pulumi_iofog.adapters.host.turn import parse_busy
from pulumi_iofog.adapters.registry import auth, docker_config
from pulumi_iofog.adapters.registry.http import Task
from pulumi_iofog.adapters.sources import docker_archive, oci_layout
from pulumi_iofog.adapters.sources.files import Tar, read
from pulumi_iofog.adapters.ssh import ssh_config
from pulumi_iofog.adapters.ssh.certificates import Certificate
from pulumi_iofog.adapters.ssh.known_hosts import HostKey, Known
from pulumi_iofog.errors import IofogError
from pulumi_iofog.inputs.iofogctl_document import read_documents
from pulumi_iofog.inputs.iofogctl_namespace import parse_namespace
from pulumi_iofog.inputs.spec import ControllerSettings
from pulumi_iofog.oci.image import (
    AMD64,
    OCI_MANIFEST,
    Reference,
    media_type_of,
    parse_config,
    parse_index,
    parse_manifest,
    pick,
)
from pulumi_iofog.outside import json_of
from pulumi_iofog.text import clock, visible

CASES = Path(__file__).parent.parent / "cases"
HEX = "a" * 64
DIGEST = f"sha256:{HEX}"
_scratch = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
_owner = os.getpid()


@atexit.register
def _remove_scratch() -> None:
    if os.getpid() == _owner:  # and not a fork of it
        shutil.rmtree(_scratch, ignore_errors=True)


@dataclass(frozen=True)
class Target:
    """One parser; ``act`` raises nothing but IofogError, ValueError, and what the parser's caller expects besides."""

    name: str
    act: Callable[[bytes], object]
    samples: Sequence[bytes]
    expected: tuple[type[Exception], ...] = ()

    def check(self, data: bytes) -> None:
        """Run it; whatever it says must be fit to be shown."""
        try:
            self.act(data)
        except (IofogError, ValueError, *self.expected) as problem:
            visible(str(problem)).encode()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _text(data: bytes) -> str:
    """As the answers of hosts are read."""
    return data.decode(errors="replace")


def _file(data: bytes) -> Path:
    path = _scratch / "file"
    path.write_bytes(data)
    return path


def _tar(files: dict[str, bytes], **fields: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.pax_headers = len(content), fields
            tar.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("link/" + "x" * 120)
        link.type, link.linkname = tarfile.SYMTYPE, "../../../etc/passwd"
        tar.addfile(link)
    return out.getvalue()


# ---- what is parsed --------------------------------------------------------------------------------------


def _reference(data: bytes) -> None:
    reference = Reference.parse(_text(data))
    assert Reference.parse(reference.text) == reference
    str(reference.full_name), str(reference.catalog_name), reference.complete("app:2")


def _index(data: bytes) -> None:
    found = pick(parse_index(data), AMD64)
    str(found.platform if found else "")


def _manifest(data: bytes) -> None:
    media_type_of(data)
    manifest = parse_manifest(data, OCI_MANIFEST)
    str(manifest.size), [layer.compression for layer in manifest.layers]


def _ssh_config(data: bytes) -> None:
    # What it names is neither run nor read.
    with (
        mock.patch.object(ssh_config, "USER_FILE", _file(data)),
        mock.patch.object(ssh_config, "SYSTEM_FILE", _scratch / "absent"),
        mock.patch.object(ssh_config, "_succeeds", return_value=False),
        mock.patch.object(ssh_config, "_files", return_value=()),
        mock.patch.object(ssh_config, "canonical_name", return_value=""),
    ):
        ssh_config.lookup("edge-1")


def _known_hosts(data: bytes) -> None:
    known = Known()
    known.read(_file(data), "edge-1")
    [str(key) for key in (*known.keys, *known.authorities, *known.revoked)]
    known.revoke(_file(data))


def _certificate(data: bytes) -> None:
    HostKey.parse(_text(data))
    Certificate.parse(data)


def _docker_config(data: bytes) -> None:
    entries, _ = docker_config.parse(data, "r.example", Path("config.json"))
    docker_config._from_entries(entries, "r.example", "app", Path("config.json"))


def _token(data: bytes) -> None:
    auth._challenges(_text(data))
    auth._said(data)
    auth._token(Task("r.example", "signing in"), data)


_controller = Controller(ControllerSettings("http://c.example"))


def _controller_answer(version: str) -> Callable[[bytes], None]:
    dialect = Dialect.of(version)

    def act(data: bytes) -> None:
        answer = mock.Mock(content=data)
        answers = mock.patch.object(_controller, "_call", lambda doing, *_, **__: http.json(doing, answer))
        http = _controller._http
        http.__dict__["dialect"] = dialect
        with answers:
            for ask in (_controller.agents, partial(_controller.find_item, "a"), partial(_controller.microservices, 1)):
                with contextlib.suppress(IofogError):
                    str(ask())
            _controller.get_item(1)

    return act


def _busy(data: bytes) -> None:
    _, since = parse_busy(_text(data), 1.7e9)
    clock(since or 0)


def _version(data: bytes) -> None:
    Dialect.of(_text(data))


def _docker_archive(data: bytes) -> None:
    found = docker_archive.find(Tar(_file(data), "archive"), Reference.parse("docker-archive:file"))
    found.record()


def _layout(data: bytes) -> None:
    found = oci_layout.find(Tar(_file(data), "archive"), Reference.parse("oci-archive:file"))
    found.record()


def _archive(data: bytes) -> None:
    tar = Tar(_file(data), "archive")
    for name in [*list(tar._places)[:20], *list(tar._links)[:20], "../../etc/passwd"]:
        if name in tar:
            read(tar, name)


# ---- samples ---------------------------------------------------------------------------------------------

LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 7}
CONFIG = _json({"os": "linux", "architecture": "arm", "variant": "v7", "rootfs": {"diff_ids": [DIGEST]}})
INDEX = {
    "schemaVersion": 2,
    "manifests": [{**LAYER, "platform": {"os": "linux", "architecture": "amd64", "variant": "v1"}, "annotations": {}}],
}
SAVED = [{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["layer.tar"]}]
FOG = {
    "name": "a",
    "uuid": "u",
    "host": "h",
    "fogTypeId": 2,
    "archId": 4,
    "dockerUrl": "unix:///x",
    "daemonStatus": "X",
}
ITEM = {"id": 1, "name": "a", "description": "d", "images": [{"containerImage": "i", "fogTypeId": 1}], "registryId": 1}
SERVICE = {"name": "m", "application": "p", "catalogItemId": 1, "iofogUuid": "u", "status": {"status": "RUNNING"}}
ANSWER = _json({"fogs": [FOG], "catalogItems": [ITEM], "microservices": [SERVICE], **ITEM})
NAMESPACE = b"""spec:
  remoteControlPlane: {endpoint: "http://c", iofogUser: {email: e, password: cA==, accessToken: t}, controllers: []}
  remoteAgents: [{name: a, host: h, ssh: &s {user: u, port: 22}}, {name: b, ssh: *s}]
"""
DOCUMENT = (CASES / "manifest" / "gateway.yaml").read_bytes()
SSH_CONFIG = b"""Host edge-* !edge-9
  HostName %h.example
  Port 2222
  ProxyJump jump
Match host "edge-1.example" exec "true"
  IdentityFile ~/.ssh/id
Include other
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGkqmGz1n0y1r9GNFDdL1HuCXcsMBDGF5cK3Fx8gNDJx"
KNOWN_HOSTS = f"edge-1,*.example {KEY}\n@revoked * {KEY}\n@cert-authority edge-1 {KEY}\n|1|AAAA|BBBB {KEY}\n".encode()
SURVEY = b"\n".join(
    [_json({"items": [{"digest": DIGEST}]}), b"", base64.b64encode(_tar({"aa": b"{}"})), b"", b"", b"MQo="]
)
ARRIVED = f"blob {HEX}\npart name 7\nproven name {HEX}\nend\n".encode()
ARCHIVE = _tar({"manifest.json": _json(SAVED), "config.json": CONFIG, "layer.tar": b"x"})

TARGETS = [
    Target(
        "reference", _reference, [b"r.example:5000/a/b:1@" + DIGEST.encode(), b"oci:dir:app:1", b"docker-daemon:a:1"]
    ),
    Target("json", json_of, [_json(INDEX), b'"\\ud83d\\ude00"']),
    Target("index", _index, [_json(INDEX)]),
    Target("manifest", _manifest, [_json({"schemaVersion": 2, "config": LAYER, "layers": [LAYER]})]),
    Target("config", parse_config, [CONFIG]),
    Target("document", lambda data: read_documents(_file(data)), [DOCUMENT]),
    Target("namespace", lambda data: parse_namespace(data.decode(), Path("ns.yaml")), [NAMESPACE]),
    Target("ssh_config", _ssh_config, [SSH_CONFIG]),
    Target("known_hosts", _known_hosts, [KNOWN_HOSTS]),
    Target("certificate", _certificate, [KEY.encode(), base64.b64decode(KEY.split()[1])]),
    Target(
        "about", lambda data: parse_about("docker", _text(data), "a"), [b'x86_64\namd64 20.10\n"/var/lib/docker" []']
    ),
    Target("id", lambda data: parse_id(_text(data)), [DIGEST.encode()]),
    Target("names", lambda data: parse_names(_text(data)), [b'["app:1"]']),
    Target("images", lambda data: parse_images(_text(data), "a"), [f'{DIGEST} ["app:1"] ["{DIGEST}"]'.encode()]),
    Target("df", lambda data: parse_df(_text(data)), [b"Filesystem blocks Used Available % M\n/d 9 1 8 1% /"]),
    Target("candidates", lambda data: parse_candidates(_text(data)), [b"docker /var/run/docker.sock\npodman "]),
    Target("survey", lambda data: parse_survey(_text(data)), [SURVEY], UNREADABLE),
    Target("arrived", lambda data: parse_arrived(_text(data)), [ARRIVED]),
    Target("busy", _busy, [b"busy 1000 17 me@here 900"]),
    Target("place", lambda data: parse_found(_text(data)), [b"root /home/u\nmemory 7 kB\nhas gzip\nend"]),
    Target("controller 3.7", _controller_answer("3.7.3"), [ANSWER]),
    Target("controller 3.9", _controller_answer("3.9.0"), [ANSWER]),
    Target("version", _version, [b"3.7.3"]),
    Target("docker config", _docker_config, [_json({"auths": {"r.example/app": {"auth": "YTpi"}}, "credsStore": ""})]),
    Target("helper", docker_config.parse_answer, [_json({"Username": "u", "Secret": "s"})]),
    Target("token", _token, [_json({"token": "t", "expires_in": 300}), b'Bearer realm="https://x",service="s"']),
    Target(
        "docker archive",
        _docker_archive,
        [ARCHIVE],
    ),
    Target("layout", _layout, [_tar({"index.json": _json(INDEX), f"blobs/sha256/{'a' * 64}": b"{}"})]),
    Target("archive", _archive, [_tar({"a": b"x", "b" * 200: b"y"}, comment="c")]),
]
