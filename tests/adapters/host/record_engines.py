"""Record what the lab's engines answer, as tests/cases/engine/*.json:
``python -m tests.adapters.host.record_engines [NAME …]``.

Each case is one call of Engine with the answers that it got; test_engine_answers.py plays them back.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lab import HostSpec, Lab, proof
from pulumi_iofog.adapters.host.engines.answers import Listing
from pulumi_iofog.adapters.host.engines.base import Engine
from pulumi_iofog.adapters.host.engines.detect import find
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.adapters.ssh.connect import Connection, Result
from pulumi_iofog.errors import IofogError
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Descriptor, Digest, Image, sha256
from tests.adapters.host.edge import APP, BASE, REFERENCE, V1, V2, Edge, reach
from tests.images import make_image

FOLDER = Path(__file__).parents[2] / "cases" / "engine"
HOSTS = {"docker-20.10": "docker", "docker-29": "docker29", "podman-4.3": "podman", "edgelet": "edgelet"}
LAYERS = json.loads(FOLDER.with_name("engine-layers.json").read_text())
"""Diff id → gzip of the layer, in base64: what was recorded names digests, and every zlib makes other bytes."""


def _compressed(tar: bytes) -> bytes:
    return base64.b64decode(LAYERS[sha256(tar)])


ONE, TWO = (make_image(BASE, version, compress=_compressed) for version in (V1, V2))
FIRST = frozenset([ONE.image.diff_ids[0]])
SPOOL = "/home/edge/spool"


def calls(engine: Engine, folder: str = SPOOL) -> dict[str, Callable[[], Any]]:
    """What is recorded and played back, by name."""
    return {
        "image_id": lambda: engine.image_id(REFERENCE),
        "images": lambda: _listed(engine.images(REFERENCE)),
        "load": lambda: engine.load(ONE.image, folder, _carried(ONE.image)),
        "load thin": lambda: engine.load(TWO.image, folder, _carried(TWO.image, besides=FIRST)),
        "verify": lambda: list(engine.verify(ONE.image.pin)),
        "remove": lambda: engine.remove(ONE.image.pin),
        "require_space": lambda: engine.require_space("/home/edge", 1 << 50, 1 << 50, known=True),
    }


def _listed(listing: Listing) -> list[Any]:
    return [listing.named, [[each.id, list(each.diff_ids)] for each in listing.images]]


def _carried(image: Image, besides: frozenset[Digest] = frozenset()) -> dict[Digest, Descriptor]:
    return {layer.diff_id: layer.blob for layer in image.layers if layer.diff_id not in besides}


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or the class of its error."""
    try:
        return call()
    except IofogError as problem:
        return type(problem).__name__


class Recorder:
    """A connection that remembers what it is answered."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.answers: list[dict[str, Any]] = []

    def run(self, script: str, **options: Any) -> Result:
        result = self._connection.run(script, **options)
        texts = {"stdout": result.text, "stderr": result.stderr.decode(errors="replace")}
        self.answers.append({"exit_code": result.exit_code, **texts})
        return result


def record(edge: Edge, agent: Agent) -> list[dict[str, Any]]:
    """A host's cases: an empty engine, one with the image, with it in use, and stopped."""
    with ssh.connect(agent) as connection:
        recorder = Recorder(connection)
        cases: list[dict[str, Any]] = []

        def note(when: str, name: str, folder: str = SPOOL) -> None:
            recorder.answers = []
            result = outcome(calls(engine, folder)[name])
            cases.append({"when": when, "call": name, "answers": recorder.answers, "outcome": result})

        engine = find(recorder, agent)
        cases.append({"when": "found", "call": "find", "answers": recorder.answers, "outcome": engine.kind})
        proof.empty(edge.host)
        for name in ("image_id", "images", "verify", "remove", "require_space"):
            note("empty", name)
        edge.bring(ONE)
        note("sent", "load", edge.edge.spool.folder(ONE.image))
        engine = find(recorder, agent)  # one that has not proven anything yet
        for name in ("image_id", "images", "verify"):
            note("loaded", name)
        edge.host.engine.use(edge.host, APP)
        note("in use", "remove")
        edge.host.engine.release(edge.host)
        note("loaded", "remove")
        edge.edge.clear_spool(ONE.image)
        outcome(lambda: edge.bring(TWO, FIRST))
        note("thin, of what is not there", "load thin", edge.edge.spool.folder(TWO.image))
        if edge.host.spec.engine != "podman":
            edge.host.stop_engine()
            for name in ("image_id", "images", "remove"):
                note("stopped", name)
    return cases


def main(wanted: Sequence[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    specs = {name: HostSpec(name.replace(".", ""), HOSTS[name]) for name in wanted or HOSTS}  # type: ignore[arg-type]
    with Lab.start(list(specs.values()), "record") as lab:
        for name, host in zip(specs, lab.hosts.values(), strict=True):
            agent = Agent(**host.agent(lab.known_hosts_file))  # type: ignore[arg-type]
            with reach(host, agent) as edge:
                text = json.dumps(record(edge, agent), indent=1, ensure_ascii=False)
            (FOLDER / f"{name}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
