"""Warm Pythons: they are what was asked for, and nothing of one is left for the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.shell import wait_for
from lab.warm import Warm


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    warm = Warm(tmp_path_factory.mktemp("warm"))
    yield warm
    warm.close()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Where a program is served from, by its name."""
    return tmp_path / "pulumi-language-python-exec"


def begin(warm: Warm, *arguments: object, **more: str) -> subprocess.Popen[str]:
    argv = [str(warm.virtualenv / "bin/python"), *map(str, arguments)]
    env, out = {"PATH": os.environ["PATH"], **more}, subprocess.PIPE
    return subprocess.Popen(argv, env=env, stdin=out, stdout=out, stderr=out, text=True, cwd=warm.virtualenv)


def test_it_has_arguments_environment_folder_and_files_of_its_own(warm: Warm, program: Path) -> None:
    program.write_text(
        "import os, sys, pulumi_iofog.provider as imported\n"
        "print(sys.argv, sys.path[0], __name__, os.getcwd(), os.environ.get('ONE'), hasattr(imported, 'left'))\n"
        "print(sys.stdin.read(), file=sys.stderr)\n"
        "imported.left = os.environ['TWO'] = sys.path[0] = 'left'\n"
        "sys.exit(7)"
    )
    head = f"['{program}', 'a b'] {program.parent} __main__ {warm.virtualenv}"
    for environment, said in (({"ONE": "1"}, "1 False"), ({}, "None False")):
        with begin(warm, program, "a b", **environment) as running:
            assert running.communicate("typed") == (f"{head} {said}\n", "typed\n")
        assert running.returncode == 7


def test_a_module_is_run_as_python_runs_it(warm: Warm) -> None:
    with begin(warm, "-m", "pip", "list", "--format", "json") as running:
        said, complained = running.communicate()
    assert running.returncode == 0, complained
    real = subprocess.run([sys.executable, "-m", "pip", "list", "--format", "json"], capture_output=True, check=True)
    assert said == real.stdout.decode()


def test_what_is_not_imported_already_is_left_to_the_real_one(warm: Warm) -> None:
    with begin(warm, "-c", "import sys; print('pulumi' in sys.modules, sys.prefix)") as running:
        assert running.communicate()[0] == f"False {sys.prefix}\n"


def test_an_error_is_a_traceback(warm: Warm, program: Path) -> None:
    program.write_text("import atexit\natexit.register(print, 'the end')\nraise KeyError('a bug')")
    with begin(warm, program) as running:
        said, complained = running.communicate()
    assert said == "the end\n"
    assert complained.endswith("KeyError: 'a bug'\n")
    assert running.returncode == 1


def test_a_signal_reaches_it(warm: Warm, program: Path) -> None:
    program.write_text(
        "import time\n"
        "try:\n    print('ready', flush=True)\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('heard')"
    )
    with begin(warm, program) as running:
        assert running.stdout
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGINT)
        assert running.communicate()[0] == "heard\n"
    assert running.returncode == 0


@pytest.mark.parametrize("who", ["client", "program"])
def test_a_kill_ends_both(warm: Warm, program: Path, who: str) -> None:
    program.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)")
    with begin(warm, program) as running:
        assert running.stdout
        pid = int(running.stdout.readline())
        os.kill(running.pid if who == "client" else pid, signal.SIGKILL)
        assert running.wait(10) == -signal.SIGKILL
    assert wait_for(lambda: not Path("/proc", str(pid)).exists(), 10)
    # And the next one finds it as it was.
    program.write_text("print('next')")
    with begin(warm, program) as running:
        assert running.communicate()[0] == "next\n"


def test_the_end_is_the_end_of_all(tmp_path: Path, program: Path) -> None:
    warm = Warm(tmp_path / "warm")
    program.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)")
    with begin(warm, program) as running:
        assert running.stdout
        pid = int(running.stdout.readline())
        warm.close()
        assert running.wait(10) == -signal.SIGKILL
    assert wait_for(lambda: not Path("/proc", str(pid)).exists(), 10)
