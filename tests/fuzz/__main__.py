"""Fuzzes the parsers: ``python -m tests.fuzz [SECONDS] [TARGET…]``, the time shared by all targets; ``make fuzz``.

With atheris (coverage-guided, libFuzzer), which has wheels for CPython 3.11 to 3.13 on Linux; on other Pythons by blind
mutation of the samples. What breaks a parser is printed, and left in ``.fuzz/``; the corpora there are used again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import multiprocessing
import random
import sys
import time
import traceback
from pathlib import Path

FOLDER = Path(".fuzz")
SLOWEST = 5
"""Seconds for one input."""
MEMORY = 1024
"""MiB for one process."""


def main(arguments: list[str]) -> int:
    """Fuzz each target for its share; the exit code is 1 if any was broken."""
    from tests.fuzz.targets import TARGETS

    seconds = float(arguments[0]) if arguments else 60.0
    names = arguments[1:] or [target.name for target in TARGETS]
    share = seconds / len(names)
    guided = importlib.util.find_spec("atheris") is not None
    print(
        f"{'atheris' if guided else 'blind mutation (no atheris for this Python)'}: {share:.1f} s for each of {len(names)}"
    )
    broken = []
    for name in names:
        # libFuzzer ends its process, and what was imported before it is not seen by its coverage.
        process = multiprocessing.get_context("spawn").Process(target=_guided if guided else _blind, args=(name, share))
        process.start()
        process.join(share + 60)
        if process.is_alive():
            process.kill()
            process.join()
        if process.exitcode != 0:
            broken.append(name)
    print(f"broken: {', '.join(broken)}" if broken else "nothing was broken")
    return 1 if broken else 0


def _guided(name: str, seconds: float) -> None:
    import atheris

    with atheris.instrument_imports(include=["pulumi_iofog", "tarfile", "yaml"]):
        from tests.fuzz.targets import TARGETS
    target = next(each for each in TARGETS if each.name == name)
    corpus = FOLDER / name.replace(" ", "-")
    corpus.mkdir(parents=True, exist_ok=True)
    for sample in target.samples:
        (corpus / hashlib.sha256(sample).hexdigest()[:16]).write_bytes(sample)
    limits = [f"-max_total_time={max(int(seconds), 1)}", f"-timeout={SLOWEST}", f"-rss_limit_mb={MEMORY}"]
    quiet = ["-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={corpus}-broken-", "-max_len=65536"]
    atheris.Setup([sys.argv[0], *limits, *quiet, str(corpus)], target.check)
    print(f"--- {name}", flush=True)
    atheris.Fuzz()


def _blind(name: str, seconds: float) -> None:
    from tests.fuzz.targets import TARGETS

    target = next(each for each in TARGETS if each.name == name)
    chance, end, count = random.Random(), time.monotonic() + seconds, 0
    print(f"--- {name}", flush=True)
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
            file = FOLDER / f"{name.replace(' ', '-')}-broken-{hashlib.sha256(data).hexdigest()[:16]}"
            file.write_bytes(data)
            traceback.print_exc()
            print(f"see {file}")
            sys.exit(1)
    print(f"{count} inputs")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
