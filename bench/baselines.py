"""The other ways to bring an image to a host, and the floors: what no way can be faster than."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import archives, images
from bench.measure import Measure
from bench.site import Site, timed
from lab import Host, HostSpec

OPERATOR = HostSpec("operator", "docker", own_disk=True)
"""Its engine is the operator's own, which ``docker save`` reads; reached by its socket, never by SSH."""
MAY_TAKE = 600.0


# ---- other ways ------------------------------------------------------------------------------------------


def save_pipe(site: Site, host: Host, name: str, *, packed: bool) -> Measure:
    """``docker save | ssh docker load``, with ``zstd -3`` in between or not. The image is in the operator's
    engine already, and that is not timed."""
    _, reference = site.push(name)
    save = f"{_docker(_operator(site, name))} save {reference}"
    if packed:
        way, line = "docker save | zstd -3 | ssh docker load", f"{save} | zstd -3 -q | "
        line += _ssh(site, host, f"zstd -dc | {load(host)}")
    else:
        way, line = "docker save | ssh docker load", f"{save} | {_ssh(site, host, load(host))}"
    measure = timed(way, [host], lambda: shell(line))
    site.require([host], reference)
    return measure


def copy_archive(site: Site, host: Host, name: str) -> Measure:
    """``skopeo copy`` from the registry to an archive, ``scp``, load."""
    _, reference = site.push(name)
    with site.scratch() as folder:
        fetch = f"skopeo copy --quiet --src-tls-verify=false docker://{reference}"
        fetch += f" docker-archive:{folder}/image.tar:{reference}"
        options = shlex.join(_options(site))
        copy = f"scp -q {options} {folder}/image.tar {host.user}@{host.address}:bench.tar"
        line = f"{fetch} && {copy} && {_ssh(site, host, f'{load(host)} < bench.tar && rm bench.tar')}"
        measure = timed("skopeo copy, scp, load", [host], lambda: shell(line))
    site.require([host], reference)
    return measure


def send_and_load(site: Site, hosts: Sequence[Host], name: str) -> Measure:
    """One archive of the registry's own blobs, ready on the operator's disk, streamed into the engine; to all
    hosts at the same time."""
    image, reference = site.push(name)
    way = "archive | ssh load" if len(hosts) == 1 else f"{len(hosts)} × archive | ssh load at the same time"
    with site.scratch() as folder:
        packed = archives.archive(image, folder / "image.tar", reference)
        lines = [f"{_ssh(site, host, load(host))} < {packed}" for host in hosts]
        measure = timed(way, hosts, lambda: _shells(lines))
    site.require(hosts, reference)
    return measure


# ---- floors ----------------------------------------------------------------------------------------------


def link(site: Site, hosts: Sequence[Host], blobs: Sequence[Path], what: str = "all blobs") -> Measure:
    """``cat BLOBS | ssh 'cat >/dev/null'``, to all hosts at the same time."""
    files = " ".join(str(blob) for blob in blobs)
    lines = [f"cat {files} | {_ssh(site, host, 'cat > /dev/null')}" for host in hosts]
    way = f"link alone: {what}" if len(hosts) == 1 else f"{len(hosts)} × ssh cat at the same time"
    return timed(way, hosts, lambda: _shells(lines))


def engine(site: Site, host: Host, name: str, *, held: str | None = None) -> Measure:
    """The engine loads what is on the host already; with ``held``, only the layers that image lacks."""
    image, reference = site.push(name)
    way = "engine alone: load of a local " + ("archive of what changed" if held else "archive")
    if host.cli == "podman" and held:
        old = images.image(held)
        archives.folder(image, host.folder / "run/bench/thin", reference, held=old, plain=True)
        script = f"podman pull --quiet oci:/run/bench/thin | tail -1 | xargs -I ID podman tag ID {reference}"
    elif host.cli == "edgelet":
        script = f"edgelet image load --file {site.archive_on(host, name, held=held)}"
    else:
        script = f"{host.cli} load < {site.archive_on(host, name, held=held)}"
    measure = timed(way, [host], lambda: host.run(script))
    site.require([host], reference)
    return measure


def sign_in(site: Site, host: Host) -> Measure:
    """One SSH connection that does nothing."""
    return timed("ssh true", [host], lambda: shell(_ssh(site, host, "true")))


# ---- command lines ---------------------------------------------------------------------------------------


def load(host: Host) -> str:
    """The host's load command, for the user that it is reached as."""
    kept = "cat > bench.tar && sudo edgelet image load --file $PWD/bench.tar && rm bench.tar"  # it takes no pipe
    return {"podman": "sudo podman load --quiet", "edgelet": kept}.get(host.cli, "docker load --quiet")


def shell(line: str) -> None:
    """Run a bash line; every part of its pipes must succeed."""
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, timeout=MAY_TAKE, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{line}: exit {done.returncode}: {done.stderr.decode(errors='replace').strip()}")


def _shells(lines: Sequence[str]) -> None:
    with ThreadPoolExecutor(len(lines)) as pool:
        list(pool.map(shell, lines))


def _ssh(site: Site, host: Host, command: str) -> str:
    return shlex.join(["ssh", *_options(site), f"{host.user}@{host.address}", command])


def _options(site: Site) -> list[str]:
    known, key = site.lab.known_hosts_file, site.lab.private_key_file
    return ["-F", "/dev/null", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}", "-i", str(key)]


def _operator(site: Site, name: str) -> Host:
    """The operator's engine, with the image in it."""
    site.lab.up([OPERATOR])
    host = site.lab.hosts[OPERATOR.name]
    _, reference = site.push(name)
    if not host.run(f"docker image ls --quiet {reference}").strip():
        host.run(f"docker load < {site.archive_on(host, name)}")
    return host


def _docker(operator: Host) -> str:
    return f"/usr/bin/docker -H unix://{operator.folder}/run/docker.sock"
