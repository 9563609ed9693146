"""Real edge hosts on one Linux machine: sshd, docker or podman, a registry, and a Controller stand-in.

Used by the tests, the demo and the benchmarks; never by the provider. Needs root.

    with Lab.start([HostSpec("edge-1", "docker"), HostSpec("edge-2", "podman")]) as lab:
        lab.hosts["edge-1"].run("docker image ls")
"""

from lab.host import Counters, Host, HostSpec
from lab.lab import Lab

__all__ = ["Counters", "Host", "HostSpec", "Lab"]
