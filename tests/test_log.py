"""The log: silent unless asked for, whole lines from many at once, no secret in it."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import pytest

from pulumi_iofog import log

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \d+ (.*)")


def lines(file: Path) -> list[str]:
    """The lines without time and process."""
    found = [LINE.fullmatch(line) for line in file.read_text().splitlines()]
    assert all(found)
    return [match[1] for match in found if match]


# ---- silent --------------------------------------------------------------------------------------------


def test_nothing_is_said_anywhere_unless_asked_for(tmp_path: Path) -> None:
    """Not by logging's last resort, and not by a handler at the root."""
    program = """
import logging
from pulumi_iofog import log
log.step("loaded", "all"), log.logger.error("an error")
logging.basicConfig(level=logging.DEBUG)
log.configure(lambda key: None)
log.step("loaded", "all"), log.logger.error("an error")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("config", "variable", "used"), [("a", "b", "a"), (None, "b", "b"), ("", "b", "b")])
def test_the_config_comes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str | None, variable: str, used: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IOFOG_LOG", f"~/{variable}")
    log.configure({"iofog:log": config and f"~/{config}"}.get)
    log.step("loaded")
    monkeypatch.delenv("IOFOG_LOG")
    log.configure(lambda key: None)
    log.step("not any more")
    assert [path.name for path in tmp_path.iterdir()] == [used]
    assert lines(tmp_path / used) == ["loaded"]


def test_a_file_that_cannot_be_had_is_no_reason_to_fail(
    tmp_path: Path, log_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "not there" / "iofog.log"
    problem = log.configure({"iofog:log": str(missing)}.get)
    assert problem == f"iofog:log: {missing}: No such file or directory. There is no log."
    log.step("loaded")
    assert not log_file.exists() or log_file.read_text() == ""
    # A disk that is full.
    assert log.configure({"iofog:log": "/dev/full"}.get) == ""
    log.step("loaded")
    assert capfd.readouterr() == ("", "")


# ---- lines ---------------------------------------------------------------------------------------------


def test_a_line_has_who_what_and_how_much(log_file: Path) -> None:
    with log.about(resource="gateway"), log.about(agent="edge-3"):
        log.step("load", "Loaded image:\n app:1.4\n", bytes=2_100_000, seconds=0.41, layer=None, note="two words")
    log.step("resolved")
    assert lines(log_file) == [
        'resource=gateway agent=edge-3 load bytes=2100000 seconds=0.41 note="two words": Loaded image: app:1.4',
        "resolved",
    ]


def test_somebody_elses_text_is_cut_to_a_line(log_file: Path) -> None:
    log.step("load", "word \n" * 1000)
    (line,) = lines(log_file)
    assert len(line) == len("load: ") + log.LONGEST + 1
    assert line.endswith("…")


def test_what_takes_time_says_how_long_and_how_it_ended(log_file: Path) -> None:
    with log.timed("load", agent="edge-3") as entry:
        entry.update(bytes=3, said="done")
    with pytest.raises(KeyError), log.timed("load"):
        raise KeyError("gone")
    first, second = lines(log_file)
    assert re.fullmatch(r"load agent=edge-3 bytes=3 seconds=0\.\d+: done", first)
    assert re.fullmatch(r"load seconds=0\.\d+: failed: 'gone'", second)


def test_a_failure_has_its_traceback_in_the_log(log_file: Path) -> None:
    try:
        {}["gone"]
    except KeyError:
        log.failed("rollout", agent="edge-3")
    head, *traceback = log_file.read_text().splitlines()
    assert head.endswith(" rollout agent=edge-3: failed")
    assert all(line.startswith("    ") for line in traceback)
    assert traceback[-1] == "    KeyError: 'gone'"


def test_a_command_is_told_by_its_first_words_and_its_answer(log_file: Path) -> None:
    answer = SimpleNamespace(exit_code=1, text="", stderr=b"Error: no space\nleft\n")
    assert log.command("docker load \\\n  --input /dev/stdin" + " x" * 100, lambda: answer) is answer
    (line,) = lines(log_file)
    assert re.match(r'run command="docker load \\\\ --input /dev/stdin[ x]{,60}" exit=1 seconds=', line)
    assert line.endswith(": Error: no space left")


# ---- of whom ---------------------------------------------------------------------------------------------


def test_lines_of_other_threads_and_processes_are_about_the_same(log_file: Path) -> None:
    with log.about(resource="gateway"):
        step = log.carried(log.step)
        with ThreadPoolExecutor(1) as threads:
            threads.submit(log.step, "alone").result()
            threads.submit(step, "thread").result()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
            processes.submit(step, "process").result()
    assert lines(log_file) == ["alone", "resource=gateway thread", "resource=gateway process"]


# ---- the file --------------------------------------------------------------------------------------------


def test_the_file_is_its_owners_and_is_appended_to(log_file: Path) -> None:
    assert stat.S_IMODE(log_file.stat().st_mode) == 0o600
    log.step("first")
    log.configure({"iofog:log": str(log_file)}.get)
    log.step("second")
    assert lines(log_file) == ["first", "second"]


def test_lines_of_many_at_once_stay_whole(log_file: Path) -> None:
    program = f"""
import sys, threading
from pulumi_iofog import log
log.configure({{"iofog:log": {str(log_file)!r}}}.get)
def write(thread):
    for number in range(200):
        log.step("load", sys.argv[1] * 400, thread=thread, number=number)
threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    begun = [subprocess.Popen([sys.executable, "-c", program, letter]) for letter in "ab"]
    assert [each.wait() for each in begun] == [0, 0]
    found = lines(log_file)
    assert len(found) == len(set(found)) == 2 * 4 * 200
    assert all(re.fullmatch(r"load thread=\d number=\d+: (a{400}|b{400})", line) for line in found)


# ---- secrets ---------------------------------------------------------------------------------------------


def test_what_is_hidden_is_in_no_line(log_file: Path) -> None:
    key = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\nwhole of it\n-----END KEY-----"
    log.hide(["hunter2-hunter2", "hunter2", None, "", key, "ab"])
    with log.about(resource="hunter2"), log.timed("login", user="hunter2-hunter2"):
        log.step("connect", f"abc: {key}", proof="MIIEowIBAAKCAQEA")
    # Where a line is cut, no part of one is left over.
    log.step("load", "x" * (log.LONGEST - 4) + "hunter2-hunter2")
    try:
        raise ValueError("Invalid header: 'Bearer hunter2-hunter2'")
    except ValueError:
        log.failed("request")
    text = log_file.read_text()
    assert "hunter2" not in text
    assert "hunt" not in text
    assert "MIIEowIBAAKCAQEA" not in text
    assert "whole of it" not in text
    assert "resource=[secret] login user=[secret]" in text
    assert "ValueError: Invalid header: 'Bearer [secret]'" in text
    assert "connect proof=[secret]: abc: [secret]" in text


def test_secrets_may_come_while_lines_are_written(log_file: Path) -> None:
    writing = threading.Thread(target=lambda: [log.step("load") for _ in range(500)])
    writing.start()
    for number in range(500):
        log.hide([f"secret-{number}"])
    writing.join()
    assert len(lines(log_file)) == 500
