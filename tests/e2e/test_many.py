"""What a person sees of forty agents in a terminal."""

from __future__ import annotations

from tests.e2e.site import Site
from tests.e2e.test_terminal import run

SCREEN = 40
"""Rows."""


def test_the_differences_of_forty_agents_fit_a_screen_and_a_half(site: Site) -> None:
    """Only what differs is shown: not how to reach each of them, which is 8 lines an agent."""
    names = [f"edge-{number:02}" for number in range(1, 41)]
    agents = [site.agent("docker", name=name) for name in names]
    site.want(agents, x86=site.push("1", "stable"), transfer_pool=8)
    up = site.stack.up()
    assert up.ok, up.output
    site.push("2", "stable")
    seen = run(site, 200, "preview", "--diff")
    assert seen.exit_code == 0, seen.end
    shown = seen.end[: seen.end.index("--outputs:--")].rstrip()
    rows = shown[shown.index("Previewing update") :].splitlines()
    assert len(rows) <= 1.5 * SCREEN, shown
    assert all(any(f'~ {name}: "sha256:' in row for row in rows) for name in names), shown
    assert "private_key_file" not in shown
