"""``make release-check``: what a release would publish works where nothing else is installed.

Builds the source distribution and the wheel into ``dist/``, installs the wheel into an empty virtual environment, and
lets the quickstart, run by that, bring an image to a real host, and take its catalog item away again.
"""

from __future__ import annotations

import sys
import tempfile
import venv
from pathlib import Path

from lab import images, proof
from lab.controller_process import EMAIL, PASSWORD
from lab.host import HostSpec
from lab.lab import CHECKOUT, Lab
from lab.shell import CommandFailed, run
from lab.stack import Stack


def main() -> int:
    """Check, and say what was checked; the exit code."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            wheel = _build(CHECKOUT / "dist")
            environment = _install(wheel, Path(folder) / "environment")
            with Lab.start([HostSpec("edge-1", "docker")], name="release") as lab:
                _bring(lab, environment, Path(folder))
    except CommandFailed as problem:
        print(f"FAILED: {problem}", file=sys.stderr)
        return 1
    print(f"{wheel.name} can be published, after: git tag v{wheel.name.split('-')[1]}")
    return 0


def _build(target: Path) -> Path:
    """The wheel, made from the source distribution, as ``pip install`` of that would make it."""
    for old in target.glob("pulumi_iofog-*"):
        old.unlink()
    print("building the source distribution and the wheel", flush=True)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", target, CHECKOUT)
    (wheel,) = target.glob("*.whl")
    return wheel


def _install(wheel: Path, folder: Path) -> Path:
    print(f"installing {wheel.name} into an empty virtual environment", flush=True)
    venv.create(folder, with_pip=True)
    run(folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    where = "import pulumi_iofog as p; print(p.__version__, p.__file__)"
    version, file = run(folder / "bin/python", "-I", "-c", where).split()
    if version != wheel.name.split("-")[1] or not Path(file).is_relative_to(folder):
        raise CommandFailed(f"{version} was imported from {file}")
    return folder


def _bring(lab: Lab, environment: Path, folder: Path) -> None:
    print("bringing an image to a host with it", flush=True)
    image = lab.registry.push(images.build(folder / "images", "1.0"), "gateway:1.0")
    stack = Stack(CHECKOUT / "examples" / "quickstart", folder / "quickstart", python=environment)
    stack.configure(
        {
            "iofog:endpoint": lab.controller().endpoint,
            "iofog:email": EMAIL,
            "quickstart:agents": lab.agents(),
            "quickstart:image": image,
        },
        secrets={"iofog:password": PASSWORD},
    )
    for done in (stack.preview(), stack.up()):
        if not done.ok:
            raise CommandFailed(done.output)
    if not proof.can_create(lab.hosts["edge-1"], image):
        raise CommandFailed(f"edge-1: no container of {image} can be created")
    gone = stack.destroy()
    if not gone.ok:
        raise CommandFailed(gone.output)


if __name__ == "__main__":
    sys.exit(main())
