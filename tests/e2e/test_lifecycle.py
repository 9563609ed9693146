"""One image from creation to destruction, on each engine, with the real Pulumi engine."""

from __future__ import annotations

import json

import pytest

from lab import proof
from tests.e2e.site import Site

ENGINES = ("docker", "podman", "docker29", "edgelet")


@pytest.mark.parametrize(
    ("engine", "dialect", "start"),
    [
        ("docker", "3.7.3", "cold"),
        ("podman", "3.0.4", "warm"),
        ("docker29", "3.9.0", "warm"),
        ("edgelet", "3.9.0", "warm"),
    ],
)
def test_an_image_from_create_to_destroy(site: Site, engine: str) -> None:
    # Nothing there yet.
    first = site.push("1")
    site.want([engine], x86=first)
    preview = site.stack.preview()
    assert preview.ok, preview.output
    assert f"1 of 1 agent to update: {engine} (" in preview.output
    assert proof.images(site.host(engine)) == []

    # Create.
    before = site.received(engine)[engine]
    up = site.stack.up()
    assert up.ok, up.output
    whole = site.received(engine)[engine] - before
    assert "1 agent updated; " in up.output
    assert site.holds(engine, "1")
    item = site.items()[site.repository]
    # Before 3.8 an architecture without an image has a row all the same.
    assert [image["containerImage"] for image in item["images"] if image["containerImage"]] == [first]
    assert item["registryId"] == 2
    assert item["description"] == f"Offline image bundle {site.repository}"
    outputs = site.stack.outputs()
    assert outputs["catalog_item_id"] == item["id"]
    assert outputs["agent_digests"] == {engine: outputs["images"]["x86"]["image_id"]}
    assert site.stack.resource()["id"] == str(item["id"])

    # Nothing changed: no agent is asked.
    visits = site.visits(engine)
    again = site.stack.up("--expect-no-changes")
    assert again.ok, again.output
    assert site.visits(engine) == visits

    # The application layer changes: only that is sent.
    second = site.push("2")
    site.want([engine], x86=second)
    assert f"{engine} (" in site.stack.preview().output
    before = site.received(engine)[engine]
    up = site.stack.up()
    assert up.ok, up.output
    assert site.holds(engine, "2")
    # 0.3 MB that no compression makes smaller, of 7.3 MB.
    assert 300_000 < site.received(engine)[engine] - before < whole / 10
    assert site.items()[site.repository]["images"][0]["containerImage"] == second

    # Somebody deletes the image: refresh finds it, the next up repairs it.
    proof.forget(site.host(engine), second)
    refreshed = site.stack.refresh()
    assert refreshed.ok, refreshed.output
    preview = site.stack.preview("--diff")
    assert '"missing" => "sha256:' in preview.output, preview.output
    up = site.stack.up()
    assert up.ok, up.output
    assert site.holds(engine, "2")

    # Destroy, twice.
    assert site.stack.destroy().ok
    assert site.repository not in site.items()
    assert site.holds(engine, "2"), "without prune= the image stays"
    assert site.stack.destroy().ok


def test_an_older_version_refreshes_and_destroys_what_a_newer_one_has_made(site: Site) -> None:
    site.want(["docker"], x86=site.push("1"))
    assert site.stack.up().ok
    (file,) = (site.stack.folder / "state").rglob(f"stacks/**/{site.stack.name}.json")
    state = json.loads(file.read_text())
    (image,) = (each for each in state["checkpoint"]["latest"]["resources"] if each["type"].endswith("OfflineImage"))
    newer = {"rollout": {"canary": 1}, "pull_policy": "weekly"}
    for part in ("inputs", "outputs"):
        image[part] |= newer
        image[part]["agents"][0]["tunnel"] = "wireguard"
    file.write_text(json.dumps(state))

    proof.forget(site.host("docker"), site.image("1"))
    refresh = site.stack.refresh()
    assert refresh.ok, refresh.output
    outputs = site.stack.resource()["outputs"]
    assert {key: outputs[key] for key in newer} == newer, "passed on"
    assert outputs["agents"][0]["tunnel"] == "wireguard"
    assert outputs["agent_digests"] == {"docker": "missing"}
    destroy = site.stack.destroy()
    assert destroy.ok, destroy.output
    assert site.repository not in site.items()
