"""The examples, as a user runs them. The quickstart is in test_programs.py, the unit test in tests/test_examples.py."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.controller_process import EMAIL, PASSWORD
from lab.stack import Stack
from tests.e2e.site import Site
from tests.e2e.test_catalog import Hand

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
Run = Callable[..., Stack]


@pytest.fixture
def example(site: Site, tmp_path: Path) -> Run:
    """A stack of an example, with the site's Controller and the config that is given without its project."""

    def make(name: str, **values: Any) -> Stack:
        stack = Stack(EXAMPLES / name, tmp_path / name)
        config = {f"{name}:{key}": value for key, value in values.items()}
        config |= {"iofog:endpoint": site.controller.endpoint, "iofog:email": EMAIL}
        stack.configure(config, secrets={"iofog:password": PASSWORD})
        return stack

    return make


def script(stack: Stack, *argv: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run one of the example's own programs."""
    return subprocess.run(
        [sys.executable, *argv],
        cwd=stack.program,
        env=stack.environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def test_from_yaml(site: Site, example: Run) -> None:
    stack = example("from-yaml", agents=[site.agent("podman")])
    document = stack.program / "gateway.yaml"
    text = document.read_text()
    assert "x86: registry.example/gateway:1.4" in text
    document.write_text(text.replace("registry.example/gateway:1.4", site.push("1")))
    up = stack.up()
    assert up.ok, up.output
    assert site.holds("podman", "1")
    assert site.items()["gateway"]["id"] == stack.outputs()["catalog_item_id"]
    assert stack.destroy().ok


def test_many_sites(site: Site, example: Run) -> None:
    references = {"gateway": site.push("1"), "reader": site.push("2")}
    stack = example(
        "many-sites",
        images=references,
        privateKeyFile=str(site.host("docker").private_key_file),
        knownHostsFile=str(site.lab.known_hosts_file),
    )
    header = (stack.program / "sites.csv").read_text().splitlines()[0]
    rows = [("berlin", "docker"), ("berlin", "podman"), ("lyon", "docker29")]
    lines = [f"{place},{name},{site.host(name).address},{site.host(name).user}," for place, name in rows]
    (stack.program / "sites.csv").write_text("\n".join([header, *lines]) + "\n")
    before = {name: site.logins(name) for _, name in rows}
    site.host("docker29").stop_sshd()
    try:
        up = stack.up("--continue-on-error")
    finally:
        site.host("docker29").start_sshd()
    assert up.ok, up.output
    assert stack.outputs()["sites_to_look_at"] == {"lyon": ["docker29"]}
    assert set(stack.outputs()["catalog_item_ids"]) == set(references)
    assert [site.logins(name) - before[name] for name in ("docker", "podman")] == [1, 1]
    up = stack.up()
    assert up.ok, up.output
    assert stack.outputs()["sites_to_look_at"] == {}
    assert all(site.holds(name, tag) for _, name in rows for tag in "12")
    assert stack.destroy().ok


def test_composition(site: Site, example: Run) -> None:
    hand, agent = Hand(site.controller), f"agent-{site.repository[-12:]}"
    hand.call("POST", "/iofog", {"name": agent, "fogType": 1})
    host = site.host("docker")
    stack = example(
        "composition",
        image=site.push("1"),
        address=host.address,
        agent=agent,
        user=host.user,
        privateKeyFile=str(host.private_key_file),
        knownHostsFile=str(site.lab.known_hosts_file),
    )
    preview = stack.preview()
    assert preview.ok, preview.output
    assert f"1 of 1 agent to update: {agent} (" in preview.output
    up = stack.up()
    assert up.ok, up.output
    outputs = stack.outputs()
    running = {each["uuid"]: each for each in site.controller.state()["microservices"].values()}
    assert running[outputs["microservice"]]["catalogItemId"] == outputs["catalog_item_id"]
    assert PASSWORD not in stack.state()
    # The application goes before the item that it uses.
    destroy = stack.destroy()
    assert destroy.ok, destroy.output


def test_rings(site: Site, example: Run) -> None:
    first, second = site.push("1"), site.push("2")
    rings = [[site.agent("docker")], [site.agent("podman")]]
    stack = example("rings", current=first, rings=rings)
    assert stack.up().ok
    check = stack.folder / "check.py"

    # The canary does not pass: the others are not touched, and the old version stays the current one.
    check.write_text("import sys; sys.exit('docker' in sys.argv)")
    done = script(stack, "roll_out.py", stack.name, second, sys.executable, str(check))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "=== ring 1 of 2 did not pass the check; " in done.stdout
    assert site.holds("docker", "2")
    assert not site.holds("podman", "2")
    assert site.items()["gateway"]["images"][0]["containerImage"] == first

    # A host of a later ring is down: it goes on, and the host gets the version later.
    check.write_text("import sys; sys.exit('podman' in sys.argv)")
    site.host("podman").stop_sshd()
    try:
        done = script(stack, "roll_out.py", stack.name, second, sys.executable, str(check))
    finally:
        site.host("podman").start_sshd()
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"=== {second} is the current version; still to come, with a later pulumi up: podman\n" in done.stdout
    assert site.items()["gateway"]["images"][0]["containerImage"] == second
    assert "gateway-next" not in site.items()
    assert stack.up().ok
    assert site.holds("podman", "2")

    # A canary is down: a message, and no traceback.
    site.host("docker").stop_sshd()
    try:
        done = script(stack, "roll_out.py", stack.name, site.push("3"))
    finally:
        site.host("docker").start_sshd()
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("=== ring 1 of 2: pulumi up failed, for the reason above; ")
    assert done.stderr == ""
    assert stack.destroy().ok


def test_ci_preview(site: Site, example: Run) -> None:
    image = site.push("1")
    stack = example("ci-preview", image=image, agents=[site.agent("docker"), site.agent("podman")])
    workflow = yaml.safe_load((stack.program / "preview.yml").read_text())
    commands = [each["run"] for each in workflow["jobs"]["preview"]["steps"] if "run" in each]
    assert any("pulumi preview --stack prod --json" in command for command in commands)
    # What goes to standard error, as a terminal shows it, is no part of the JSON.
    argv = [
        shutil.which("pulumi", path=stack.environment["PATH"]) or "pulumi",
        "preview",
        "--json",
        "--stack",
        stack.name,
    ]
    said = subprocess.run(argv, cwd=stack.program, env=stack.environment, stdout=subprocess.PIPE, check=True).stdout
    assert json.loads(said)["changeSummary"] == {"create": 2}
    done = script(stack, "comment.py", stdin=said.decode())
    assert done.returncode == 0, done.stderr
    assert "**gateway** is new" in done.stdout
    assert "> 2 of 2 agents to update: docker, podman (7.3" in done.stdout
    assert done.stdout.count("| – | `sha256:") == 2
