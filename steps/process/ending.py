"""How a run ends: on request it drains and saves; when it fails, its last line says why.

Bytewax has no word for "stop cleanly": sources end on their own here once a signal has come, so that the last epoch
is written and saved. And `python -m bytewax.run` always exits with 0 when its sources have ended: the exit code of
a source that had to give up is set here.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn

from schemas.visible import visible
from steps.process.panics import NativeErrors

_asked, _over = threading.Event(), threading.Event()
_problems: list[str] = []
_codes: list[int] = []
_native: list[NativeErrors] = []


def is_asked() -> bool:
    """Whether the run has been requested to end."""
    return _asked.is_set()


def is_near() -> bool:
    """Whether the run has been requested to end, or its source is exhausted."""
    return _asked.is_set() or _over.is_set()


def is_over() -> bool:
    """Whether the run ends because its source is over, and nothing went wrong."""
    return _over.is_set() and not code()


def end() -> None:
    """The one source of the run is over: what it gave is drained, and then all ends."""
    _over.set()


def code() -> int:
    """The exit code that the request to end gave, 0 by default."""
    return max((*_codes, 1 if _problems else 0))


def ask(code: int = 0) -> None:
    """Ask the run to end as a signal does, with this exit code: all its processes drain, save and exit."""
    _codes.append(code)
    _asked.set()


def fail(problem: object) -> NoReturn:
    """End the process at once, with one plain line and exit code 1.

    For what cannot be drained: nothing is saved, the next start resumes from the last epoch. It is as safe as a crash,
    for which recovery is made, and it prints no traceback.
    """
    print(f"ad-streams: {visible(str(problem))}", file=sys.stderr)
    leave(1)


def give_up(problem: object) -> None:
    """Note why a source had to end early; the rest is drained and saved, and the run exits with 1."""
    _problems.append(str(problem))
    ask(1)


def root_cause(error: BaseException) -> BaseException:
    """The first error of a chain as it would be shown."""
    while before := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = before
    return error


def prepare() -> None:
    """Let SIGTERM and Ctrl-C end the run cleanly, and give it a plain last line when it fails."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ask)
    sys.excepthook = _note
    atexit.register(_finish)


def watch_saving(directory: Path) -> None:
    """Let an epoch that cannot be saved end the run as `fail` does; before anything holds `sys.stderr`."""

    def report(why: str) -> None:
        fail(f"recovery directory {directory}: an epoch could not be saved: {why}; the next start resumes before it")

    _native.append(NativeErrors(report))


def _ask(number: int, frame: FrameType | None) -> None:
    _asked.set()
    signal.signal(number, signal.SIG_DFL)  # a second one does not wait


def _note(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    cause = root_cause(error)
    known = not isinstance(cause, Exception) and str(cause)
    _problems.append(str(cause) if known else f"{type(cause).__name__}: {cause}")


def _finish() -> None:
    _close_native()
    if _problems:
        print(f"ad-streams: {visible(str(_problems[0]))}", file=sys.stderr)
        leave(1)
    if code():
        leave(code())


def leave(code: int) -> NoReturn:
    """End the process at once, as safe as a crash."""
    _close_native()
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(code)


def _close_native() -> None:
    while _native:
        _native.pop().close()
