"""A Pulumi program and a stack of it, driven by Pulumi's command line; self-contained in one folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.cache import pulumi_bin

PASSPHRASE = "lab-passphrase"
SECRET = "4dabf18193072939515e22adb298388d"
"""The key that marks a secret in a state (Pulumi's sdk/go/common/resource/sig)."""
_BEGUN: dict[str, dict[Path, bytes]] = {}
"""What ``pulumi stack init`` has made for the first stack of a project in this process, for those that follow: it is
the same for all of them, and takes half a second of a core."""
_SEALED: dict[tuple[str, str], str] = {}
"""By a config's salt and a secret: what ``pulumi config set --secret`` has made of it."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command has answered; ``output`` is what its user would see, both streams."""

    exit_code: int
    output: str

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


class Stack:
    """A copy of a program with a stack, a state, a Pulumi home and a blob cache of its own.

    Args:
        program: the folder with Pulumi.yaml and __main__.py; it is copied.
        folder: where everything goes.
        environment: variables for Pulumi and the program.
        python: the virtual environment that the program runs in.
    """

    name = "lab"

    def __init__(
        self,
        program: Path,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        python: Path = Path(sys.prefix),
    ) -> None:
        self.folder, self.program = folder, folder / "program"
        shutil.copytree(program, self.program, dirs_exist_ok=True)
        self._use_environment(python)
        (folder / "state").mkdir(exist_ok=True)
        (folder / "home").mkdir(exist_ok=True)
        self.own_environment = {
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_HOME": f"{folder}/pulumi",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "HOME": str(folder / "home"),
            # A language host that was built from source does not look for the virtual environment itself.
            "PATH": f"{python / 'bin'}:{os.environ['PATH']}:{pulumi_bin()}",
            **(environment or {}),
        }
        self.environment = {**os.environ, **self.own_environment}
        if not (folder / "state" / ".pulumi" / "stacks").exists():
            self._begin()

    # ---- Pulumi's commands ------------------------------------------------------------------------------

    def preview(self, *flags: str) -> Done:
        return self.pulumi("preview", *flags)

    def up(self, *flags: str) -> Done:
        return self.pulumi("up", "--yes", "--skip-preview", *flags)

    def refresh(self, *flags: str) -> Done:
        return self.pulumi("refresh", "--yes", "--skip-preview", *flags)

    def destroy(self, *flags: str) -> Done:
        return self.pulumi("destroy", "--yes", "--skip-preview", *flags)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear."""
        (stack,) = (each for each in self._recorded() if each["type"] == "pulumi:pulumi:Stack")
        if SECRET not in json.dumps(stack["outputs"]):
            return dict(stack["outputs"])
        text = self.pulumi("stack", "output", "--json", "--show-secrets", check=True).output
        return dict(json.loads(text))

    def state(self) -> str:
        """The stack's state as it lies on disk."""
        return "".join(path.read_text() for path in (self.folder / "state").rglob(f"{self.name}.json"))

    def resources(self) -> list[dict[str, Any]]:
        """Every OfflineImage in the state."""
        return [each for each in self._recorded() if each["type"].endswith("iofog:OfflineImage")]

    def resource(self) -> dict[str, Any]:
        """The only OfflineImage in the state."""
        (mine,) = self.resources()
        return mine

    def configure(self, values: Mapping[str, Any], secrets: Mapping[str, str] | None = None) -> None:
        """Set config by full key (``iofog:endpoint``); what was there stays."""
        body = self._config()
        body.setdefault("config", {}).update(values)
        for key, secret in (secrets or {}).items():
            body["config"][key] = {"secure": self._sealed(secret)}
        self._config_file.write_text(yaml.safe_dump(body))

    def pulumi(self, *arguments: str, check: bool = False) -> Done:
        """Run a command without a terminal, and keep what it says."""
        done = subprocess.run(
            [*self.argv(*arguments), "--non-interactive", "--color=never"],
            cwd=self.program,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output = done.stdout.decode(errors="replace")
        if check and done.returncode:
            raise RuntimeError(f"pulumi {' '.join(arguments)}: {output}")
        return Done(done.returncode, output)

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command as a terminal would, in a process group of its own; its output is to be read."""
        return subprocess.Popen(
            [*self.argv(*arguments), "--non-interactive", "--color=never"],
            cwd=self.program,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def show(self, *arguments: str) -> int:
        """Run a command in this terminal; its exit code."""
        return subprocess.run(self.argv(*arguments), cwd=self.program, env=self.environment, check=False).returncode

    # ---- parts ------------------------------------------------------------------------------------------

    def _recorded(self) -> list[dict[str, Any]]:
        return list(json.loads(self.state())["checkpoint"]["latest"].get("resources", []))

    def _begin(self) -> None:
        project = yaml.safe_load((self.program / "Pulumi.yaml").read_text())["name"]
        if project not in _BEGUN:
            self.pulumi("stack", "init", self.name, check=True)
            made = [self._config_file, *(path for path in (self.folder / "state").rglob("*") if path.is_file())]
            _BEGUN[project] = {path.relative_to(self.folder): path.read_bytes() for path in made}
        for path, content in _BEGUN[project].items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(content)

    @property
    def _config_file(self) -> Path:
        return self.program / f"Pulumi.{self.name}.yaml"

    def _config(self) -> dict[str, Any]:
        return dict(yaml.safe_load(self._config_file.read_text()))

    def _sealed(self, secret: str) -> str:
        salt = self._config()["encryptionsalt"]
        if (salt, secret) not in _SEALED:
            self.pulumi("config", "set", "--secret", "lab:secret", secret, check=True)
            _SEALED[salt, secret] = str(self._config()["config"]["lab:secret"]["secure"])
        return _SEALED[salt, secret]

    def _use_environment(self, python: Path) -> None:
        """The program's virtual environment is named relative to where it was copied from."""
        file = self.program / "Pulumi.yaml"
        body = yaml.safe_load(file.read_text())
        body["runtime"] = {"name": "python", "options": {"virtualenv": str(python)}}
        file.write_text(yaml.safe_dump(body))

    def argv(self, *arguments: str) -> list[str]:
        """The command in full, to be run in ``program`` with ``environment``."""
        # Found by the stack's own PATH, not by this process's.
        program = shutil.which("pulumi", path=self.environment["PATH"]) or "pulumi"
        head = [program, *arguments]
        return head if arguments[:2] == ("stack", "init") else [*head, "--stack", self.name]
