"""What a person sees of forty agents."""

from __future__ import annotations

from tests.e2e.site import Site


def test_forty(site: Site) -> None:
    agents = [site.agent("docker", name=f"edge-{n:02}", host="127.0.0.1", port=9) for n in range(1, 41)]
    site.want(agents, x86=site.push("1", "stable"))
    print("CREATE", site.stack.preview("--diff").output)
    site.want(agents, x86=site.push("1", "stable"), max_unavailable=40)
    print("FAIL", site.stack.up().output)
    site.push("2", "stable")
    print("UPDATE", site.stack.preview("--diff").output)
    print("UPDATE", site.stack.preview().output)
