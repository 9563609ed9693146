"""A program that is interrupted as language hosts since 3.229 do: what is left to read of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

LAUNCHER = """
import asyncio, sys, types
from concurrent.futures import ThreadPoolExecutor

{before}
from pulumi_iofog.program.interrupt import end_interrupts_silently

# As the launcher does, with runpy, while the program runs.
launcher, sys.modules["__main__"], sys.argv = sys.modules["__main__"], types.ModuleType("__main__"), ["program"]
end_interrupts_silently()
sys.modules["__main__"] = launcher
{after}
loop, executor = asyncio.new_event_loop(), ThreadPoolExecutor()


async def run():
    loop.run_in_executor(executor, sys.stdin.read)
    print("ready", flush=True)
    {problem}
    await asyncio.sleep(60)


try:
    loop.run_until_complete(run())
finally:
    # As the launcher does; a second SIGINT finds it here.
    executor.shutdown(wait=True)
"""
OWN = "sys.excepthook = lambda *problem: print('their own', problem[0].__name__, file=sys.stderr)"


def said(
    folder: Path, *, name: str = "pulumi-language-python-exec", before: str = "", after: str = "", problem: str = ""
) -> tuple[int, str]:
    """Exit code and standard error of a program that got SIGINT twice."""
    script = folder / name
    script.write_text(LAUNCHER.format(before=before, after=after, problem=problem))
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, str(script)], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as running:
        assert running.stdout
        assert running.stdout.readline() == "ready\n"
        if not problem:
            running.send_signal(signal.SIGINT)
            running.send_signal(signal.SIGINT)
        text = running.communicate(timeout=30)[1]
    return running.returncode, text


def test_nothing_is_left_of_an_interrupt(tmp_path: Path) -> None:
    assert said(tmp_path) == (-signal.SIGINT, "")


def test_another_process_is_left_alone(tmp_path: Path) -> None:
    code, text = said(tmp_path, name="app.py")
    assert code == -signal.SIGINT
    assert text.count("KeyboardInterrupt") >= 1
    assert "Traceback" in text


def test_every_other_exception_is_shown(tmp_path: Path) -> None:
    code, text = said(tmp_path, problem="raise RuntimeError('a bug')")
    assert code == 1
    assert text.rstrip().endswith("RuntimeError: a bug")


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_hook_of_the_users_is_left_alone(tmp_path: Path, where: str) -> None:
    code, text = said(tmp_path, **{where: OWN})
    assert (code, text) == (-signal.SIGINT, "their own KeyboardInterrupt\n")
