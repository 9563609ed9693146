"""Fuzzes the parsers: ``python -m tests.fuzz [SECONDS] [TARGET…]``, the time shared by all targets; ``make fuzz``.

With atheris (coverage-guided, libFuzzer), which has wheels for CPython 3.11 to 3.13 on Linux; on other Pythons by blind
mutation of the samples. What breaks a parser is printed, and left in ``.fuzz/``; the corpora there are used again.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

GUIDED = importlib.util.find_spec("atheris") is not None
FOLDER = Path(".fuzz")
SLOWEST = 5
"""Seconds for one input."""
MEMORY = 1024
"""MiB for one process."""


def main(arguments: list[str]) -> int:
    """Fuzz each target for its share; the exit code is 1 if any was broken."""
    with instrumented():
        from tests.fuzz.targets import TARGETS
    seconds = float(arguments[0]) if arguments else 60.0
    targets = [target for target in TARGETS if target.name in (arguments[1:] or [target.name])]
    share = seconds / len(targets)
    how = "atheris" if GUIDED else "blind mutation, as there is no atheris"
    print(f"{how}: {share:.1f} s for each of {len(targets)}", flush=True)
    broken = [target.name for target in targets if not _holds(target, share)]
    print(f"broken: {', '.join(broken)}" if broken else "nothing was broken")
    return 1 if broken else 0


def instrumented() -> contextlib.AbstractContextManager[object]:
    """What is imported meanwhile tells libFuzzer which of its lines were reached."""
    if not GUIDED:
        return contextlib.nullcontext()
    import atheris

    return atheris.instrument_imports(include=["pulumi_iofog", "tarfile", "yaml"])


def _holds(target: Target, seconds: float) -> bool:
    """In a process of its own, as libFuzzer ends it; forked, as instrumenting takes seconds."""
    print(f"--- {target.name}", flush=True)
    child = os.fork()
    if child == 0:
        (_guided if GUIDED else _blind)(target, seconds)
        os._exit(0)
    end = time.monotonic() + seconds + 60
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _guided(target: Target, seconds: float) -> None:
    import atheris

    corpus = FOLDER / target.name.replace(" ", "-")
    corpus.mkdir(parents=True, exist_ok=True)
    for sample in target.samples:
        (corpus / hashlib.sha256(sample).hexdigest()[:16]).write_bytes(sample)
    limits = [f"-max_total_time={max(int(seconds), 1)}", f"-timeout={SLOWEST}", f"-rss_limit_mb={MEMORY}"]
    quiet = ["-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={corpus}-broken-", "-max_len=65536"]
    atheris.Setup([sys.argv[0], *limits, *quiet, str(corpus)], target.check)
    atheris.Fuzz()


def _blind(target: Target, seconds: float) -> None:
    chance, end, count = random.Random(), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = bytearray(chance.choice(target.samples))
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(data) + 1)
            data[at : at + chance.randint(0, 4)] = chance.randbytes(chance.randint(0, 4))
        count += 1
        began = time.monotonic()
        try:
            target.check(bytes(data))
            assert time.monotonic() - began < SLOWEST, "too slow"
        except BaseException:
            FOLDER.mkdir(exist_ok=True)
            file = FOLDER / f"{target.name.replace(' ', '-')}-broken-{hashlib.sha256(data).hexdigest()[:16]}"
            file.write_bytes(data)
            traceback.print_exc()
            print(f"see {file}")
            os._exit(1)
    print(f"{count} inputs", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
