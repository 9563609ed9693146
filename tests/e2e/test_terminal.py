"""What a person sees in a terminal: while an update runs, and what is left of it afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.e2e.site import Site
from tests.e2e.terminal import Seen, watch

ROW = re.compile(r"OfflineImage  gateway  (?:creating|updating) \(\d+s\)\.* *(.*)")
"""The resource's row while it is at work, and its Info column."""
SEEN_AT = {
    # Pulumi's own columns leave no more.
    80: r"[1-9]\d",
    120: r"\d+% [\d.]+ of 14\.7 MB: docker \d+%, docker29( \d*%?)?",
    200: r"\d+% [\d.]+ of 14\.7 MB: docker \d+%, docker29 \d+%.*; \d of 3 agents done.*; [\d.]+ MB/s, \d s left",
}
"""Columns of a terminal → what its user sees there while bytes flow."""


@pytest.fixture
def slow(site: Site) -> Iterator[Site]:
    """A site with two hosts on slow links, and a third that is down."""
    for name in ("docker", "docker29"):
        site.host(name).set_rate("16mbit")
    site.host("podman").stop_sshd()
    yield site
    site.host("podman").start_sshd()
    for name in ("docker", "docker29"):
        site.host(name).set_rate(None)


def run(site: Site, columns: int, *arguments: str) -> Seen:
    stack = site.stack
    return watch(stack.argv(*arguments), columns=columns, cwd=stack.program, env=stack.environment)


@pytest.mark.parametrize("columns", SEEN_AT)
def test_progress_while_it_runs_and_the_outcome_afterwards(slow: Site, columns: int) -> None:
    slow.want(["docker", "docker29", "podman"], x86=slow.push("1"), transfer_pool=3, max_unavailable=1)
    seen = run(slow, columns, "up", "--yes", "--skip-preview")
    assert seen.exit_code == 0, seen.end
    infos = [match[1] for match in map(ROW.search, seen.rows) if match]
    shown = dict.fromkeys(info for info in infos if re.fullmatch(SEEN_AT[columns], info))
    assert len(shown) > 2, infos
    shares = [int(info[:2].rstrip("%")) for info in shown]
    assert shares == sorted(shares), "it never goes back"
    why = f"connecting ({slow.host('podman').address}:22): Connection refused."
    hint = "Is the host up, and sshd on port 22 reachable from here?"
    said = [f"warning: pending: podman: {why} {hint}", "2 agents updated, 1 agent pending: podman; 14.7 MB sent"]
    assert f"OfflineImage (gateway):\n{lines(columns, *said)}\n\n" in seen.end, seen.end


def lines(columns: int, *texts: str) -> str:
    """What a terminal of so many columns makes of lasting lines: it breaks them where it ends, within words too."""
    whole = [f"    {text}" for text in texts]
    return "\n".join(line[at : at + columns].rstrip() for line in whole for at in range(0, len(line), columns))


def test_each_lasting_line_is_one_of_its_own(site: Site) -> None:
    hosts = ("docker", "podman")
    site.want(hosts, x86=site.push("1"), prune=True)
    assert site.stack.up().ok
    for name in hosts:
        site.host(name).run(f"{site.host(name).cli} create --name keeper {site.image('1')}")
    site.want(hosts, x86=site.push("2"), prune=True)
    seen = run(site, 80, "up", "--yes")
    assert seen.exit_code == 0, seen.end
    preview, update = seen.end.split("Updating (lab):")
    assert f"\n{lines(80, '2 of 2 agents to update: docker, podman (301 kB of 7.35 MB each)')}\n" in preview
    kept = [f"{name} keeps {site.image('1')}: a container still uses it" for name in hosts]
    assert f"\n{lines(80, *kept)}\n    2 agents updated; 60" in update, update
    try:
        for name in hosts:
            site.host(name).stop_sshd()
        seen = run(site, 80, "refresh", "--yes", "--skip-preview")
    finally:
        for name in hosts:
            site.host(name).start_sshd()
    assert seen.exit_code == 0, seen.end
    hint = "Is the host up, and sshd on port 22 reachable from here? Its entry in the state is kept."
    unheard = [
        f"warning: {name}: connecting ({site.host(name).address}:22): Connection refused. {hint}" for name in hosts
    ]
    assert f"\n{lines(80, *unheard)}\n\n" in seen.end, seen.end
