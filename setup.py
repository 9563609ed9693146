"""Builds gzip-tokens into the package, for every architecture that an edge host may have; pyproject.toml has the rest.

The compiler is ziglang's, from PyPI: it makes static programs for all of them, and the same ones everywhere. Where it
is missing, the package is built without: layers then go whole to Docker's containerd store, and nothing else changes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDER = Path("provider", "pulumi_iofog", "adapters", "gzip_tokens")
TARGETS = {
    "amd64": "x86_64-linux-musl",
    "arm64": "aarch64-linux-musl",
    "arm": "arm-linux-musleabihf",
    "riscv64": "riscv64-linux-musl",
}
"""OCI's name of an architecture → the compiler's."""
FLAGS = [
    *("-Os", "-std=c11", "-Wall", "-Wextra", "-Werror"),
    *("-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-nostdlib", "-static", "-s"),
]


class BuildWithPrograms(build_py):
    """Builds the programs, then what setuptools builds."""

    def run(self) -> None:
        builds = FOLDER / "builds"
        builds.mkdir(exist_ok=True)
        for architecture, target in TARGETS.items():
            out = builds / architecture
            command = [sys.executable, "-m", "ziglang", "cc", "-target", target, *FLAGS]
            try:
                # No path of this machine in it: the same source makes the same program.
                subprocess.run([*command, "-o", out.absolute(), "gzip_tokens.c"], cwd=FOLDER, check=True)
            except (OSError, subprocess.SubprocessError) as problem:
                print(f"gzip-tokens is not built for {architecture}: {problem}", file=sys.stderr)
        super().run()


setup(cmdclass={"build_py": BuildWithPrograms})
