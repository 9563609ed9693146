"""Agents that are known by their name and ~/.ssh/config alone, as ssh's users have them."""

from __future__ import annotations

from pathlib import Path

from lab.shell import run
from tests.e2e.site import Site


def test_agents_of_ssh_config(site: Site) -> None:
    """One behind a jump host that its section names, one with a host certificate; no agent says more than its
    name. Nothing is asked, and what cannot be read is refused by the preview."""
    home = site.stack.folder / "home/.ssh"
    home.mkdir(mode=0o700)
    docker, podman, bastion = (site.host(name) for name in ("docker", "podman", "docker29"))
    (home / "config.d").mkdir()
    (home / "config").write_text(f"Include config.d/*\nHost *\n  User edge\n  IdentityFile {docker.private_key_file}\n")
    (home / "config.d/plant").write_text(
        f"Host docker\n  HostName {docker.address}\n  ProxyJump bastion\nHost bastion\n  HostName {bastion.address}\n"
        f"Match originalhost podman\n  HostName {podman.address}\n  Port 2225\n  HostKeyAlias podman.plant.example\n"
    )
    authority = home / "authority"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", authority)
    certificate = _certify(authority, podman.folder)
    known = [f"{host.address} {host.host_key}" for host in (docker, bastion)]
    known.append(f"@cert-authority *.plant.example {authority.with_suffix('.pub').read_text()}")
    (home / "known_hosts").write_text("\n".join(known))
    options = f"-p 2225 -o 'PidFile /run/sshd-2225.pid' -o 'HostCertificate {certificate}'"
    podman.run(f"mkdir -p /run/sshd && /usr/sbin/sshd {options}")
    try:
        site.want([{"name": "docker"}, {"name": "podman"}], x86=site.push("1"))
        up = site.stack.up()
        assert up.ok, up.output
        assert site.holds("docker", "1")
        assert site.holds("podman", "1")
        assert site.stack.up("--expect-no-changes").ok
        (home / "config.d/plant").write_text("Host docker\n  HostName %x\n")
        preview = site.stack.preview()
        assert not preview.ok
        for said in (
            *("agents[0].host", "docker: reading ~/.ssh/config: the token %x is not supported here"),
            *("agents[1].host", "no host known for agent podman"),
        ):
            assert said in preview.output, preview.output
    finally:
        podman.run("kill $(cat /run/sshd-2225.pid)")


def _certify(authority: Path, folder: Path) -> str:
    """Certify a host's key; where the host sees the certificate."""
    key = folder / "etc/ssh/ssh_host_ed25519_key.pub"
    run("ssh-keygen", "-q", "-s", authority, "-I", "podman", "-h", "-n", "podman.plant.example", key)
    return "/etc/ssh/ssh_host_ed25519_key-cert.pub"
