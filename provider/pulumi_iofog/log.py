"""A log for bug reports: a line for each decision and step, on the logger ``pulumi_iofog``. Silent unless asked for.

``iofog:log`` of the stack's config, or ``IOFOG_LOG``, names a file; ``configure`` opens it, and nobody else opens any.
A line begins with time, process, resource and agent, then says what was done:

    2026-11-28T09:15:02.123Z 4711 resource=gateway agent=edge-3 load bytes=2100000 seconds=0.41: Loaded image: app:1.4

Lines are of values that hold no secret. Texts of others (an engine's answer, a traceback) go through ``hide`` besides.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pulumi_iofog.text import visible

T = TypeVar("T")
R = TypeVar("R", bound="Answer")

logger = logging.getLogger("pulumi_iofog")
# Otherwise logging's last resort would write warnings to the plugin's stderr, which Pulumi shows.
logger.addHandler(logging.NullHandler())

LONGEST = 500
"""Characters of somebody else's text in a line."""
COMMAND = 160
"""Characters of a command."""
SHORTEST_SECRET = 6
"""Characters from which on a secret is looked for: a shorter one is in every other word."""
BLANK = re.compile(r"\s")

_about: ContextVar[dict[str, str]] = ContextVar("about")
_secrets: set[str] = set()
_lock = threading.Lock()


# ---- lines ---------------------------------------------------------------------------------------------


def step(stage: str, said: str = "", **values: Any) -> None:
    """Write one line.

    Args:
        stage: what was done, in a word or two.
        said: why, or what was answered; cut to a line.
        values: ``bytes=``, ``seconds=`` and what else there is to say; None is omitted.
    """
    if logger.isEnabledFor(logging.INFO):
        _write(logging.INFO, stage, said, values)


def failed(stage: str, **values: Any) -> None:
    """Write that something has failed, with the exception that is being handled and its traceback."""
    if logger.isEnabledFor(logging.ERROR):
        indented = "".join(f"\n    {line}" for line in traceback.format_exc().splitlines())
        _write(logging.ERROR, stage, "failed", values, more=indented)


@contextmanager
def timed(stage: str, **values: Any) -> Iterator[dict[str, Any]]:
    """Write one line when the body is through, with its seconds; or that it failed, and why, in a line.

    The body may add to the values that it is given; ``said`` comes last in the line.
    """
    began, found = time.monotonic(), dict(values)
    try:
        yield found
    except BaseException as problem:
        found["said"] = f"failed: {str(problem) or type(problem).__name__}"
        raise
    finally:
        step(stage, found.pop("said", ""), **found, seconds=round(time.monotonic() - began, 3))


class Answer(Protocol):
    """What a command on a host has answered."""

    @property
    def exit_code(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def stderr(self) -> bytes: ...


def command(script: str, run: Callable[[], R]) -> R:
    """Run a command on a host, and write one line: its first words, exit code, seconds, and what it answered."""
    with timed("run", command=" ".join(script.split())[:COMMAND]) as line:
        answer = run()
        if logger.isEnabledFor(logging.INFO):
            complained = answer.stderr.decode(errors="replace")
            line.update(exit=answer.exit_code, said=f"{complained} {answer.text}")
    return answer


# ---- of whom ---------------------------------------------------------------------------------------------


@contextmanager
def about(**who: str) -> Iterator[None]:
    """Lines of the body, on this thread, are about this ``resource=`` or ``agent=``."""
    token = _about.set({**_about.get({}), **who})
    try:
        yield
    finally:
        _about.reset(token)


def carried(act: Callable[..., T]) -> Callable[..., T]:
    """The same, to be called on another thread or, if it can be pickled, in another process: its lines are about the
    same resource and agent, and go to the same file."""
    return partial(_carry, act, _about.get({}), next((each.path for each in _files()), ""))


def _carry(act: Callable[..., T], who: dict[str, str], path: str, *args: Any, **options: Any) -> T:
    if path and not _files():
        with suppress(OSError):
            _open(path)
    with about(**who):
        return act(*args, **options)


# ---- secrets ---------------------------------------------------------------------------------------------


def hide(secrets: Iterable[str | None]) -> None:
    """Leave these out of all lines from now on; of a text of several lines (a key), each of them."""
    found = {line for secret in secrets if secret for line in (secret, *secret.splitlines())}
    with _lock:
        _secrets.update(each for each in found if len(each) >= SHORTEST_SECRET)


def clean(text: str) -> str:
    """The text without secrets: for what others have said."""
    with _lock:
        known = sorted(_secrets, key=len, reverse=True)
    for secret in known:
        text = text.replace(secret, "[secret]")
    return text


# ---- the file --------------------------------------------------------------------------------------------


def configure(config: Callable[[str], str | None]) -> str:
    """From now on, write to the file that the stack's config or the environment names, and to no other.

    Returns:
        Why that cannot be; empty if it can. A log is worth no failed update.
    """
    # Somebody else's handler at the root is no reason to say all this.
    logger.propagate = False
    path = config("iofog:log") or os.environ.get("IOFOG_LOG") or ""
    try:
        _open(path)
    except OSError as problem:
        return f"iofog:log: {path}: {problem.strerror or problem}. There is no log."
    return ""


def _open(path: str) -> None:
    with _lock:
        for each in _files():
            logger.removeHandler(each)
            each.close()
        logger.setLevel(logging.NOTSET)
        if path:
            logger.addHandler(_File(path))
            logger.setLevel(logging.INFO)


def _files() -> list[_File]:
    return [each for each in logger.handlers if isinstance(each, _File)]


class _File(logging.Handler):
    """Appends to a file that only its owner can read; one write a line, so that several processes may have it open."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        # Of a file that is there already, the mode is left alone: it may be a device.
        self._file = os.open(Path(path).expanduser(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def emit(self, record: logging.LogRecord) -> None:
        now = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        line = f"{now.removesuffix('+00:00')}Z {record.process} {record.getMessage()}\n"
        try:
            os.write(self._file, line.encode(errors="replace"))
        except OSError:
            # A full disk, for example; logging's own handleError would write to the plugin's stderr.
            return

    def close(self) -> None:
        os.close(self._file)
        super().close()


def _write(level: int, stage: str, said: str, values: dict[str, Any], more: str = "") -> None:
    who, what = _pairs(_about.get({})), _pairs(values)
    # Cut afterwards, as half a secret would not be found.
    short = " ".join(clean(said).split())
    short = f": {short[:LONGEST]}{'…' if len(short) > LONGEST else ''}" if short else ""
    line = clean(" ".join(filter(None, (who, stage, what)))) + short + clean(more)
    logger.log(level, "%s", visible(line))


def _pairs(values: Mapping[str, Any]) -> str:
    """``agent=edge-3 bytes=2100000``; with quotes where there are blanks."""
    texts = {key: str(value) for key, value in values.items() if value not in (None, "")}
    return " ".join(f"{key}={json.dumps(text) if BLANK.search(text) else text}" for key, text in texts.items())
