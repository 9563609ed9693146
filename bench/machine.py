"""What the numbers were measured on: machine, engines and libraries."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from lab.cache import docker_29

PROGRAMS = {
    "Docker (classic store)": ("/usr/sbin/dockerd", "--version"),
    "podman": ("podman", "--version"),
    "skopeo": ("skopeo", "--version"),
    "zstd": ("zstd", "--version"),
    "OpenSSH": ("ssh", "-V"),
}
LIBRARIES = ("paramiko", "cryptography", "pulumi")


def facts() -> dict[str, str]:
    """Name → what it is."""
    memory = Path("/proc/meminfo").read_text().split()[1]
    found = {
        "processor": f"{os.cpu_count()} × {_processor()}",
        "memory": f"{int(memory) / 1e6:.0f} GB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
        **{name: _said(*argv) for name, argv in PROGRAMS.items()},
    }
    found["edgelet's containerd"] = _said(str(docker_29() / "containerd"), "--version")
    found["Docker 29 (containerd store)"] = _said(str(docker_29() / "dockerd"), "--version")
    return found


def load() -> float:
    """Processes that wanted a core, on average over the last minute (proc_loadavg(5))."""
    return os.getloadavg()[0]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")


def _said(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not there"
    return (done.stdout or done.stderr).strip().partition("\n")[0]
