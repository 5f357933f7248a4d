"""How the page ends: on SIGTERM and Ctrl-C, within seconds, whatever it is doing. It has nothing to save.

On its own, Bokeh heeds SIGTERM only once it serves, so that process 1 of a container ignores it before; Python waits
at its end for the threads that answer questions, however long those take.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

from tornado.ioloop import IOLoop

GRACE = 3.0
"""Seconds that answers under way get."""
_ENDING = (signal.SIGTERM, signal.SIGINT)


def prepare() -> None:
    """Let both signals end this process from now on; called in the main thread, before the server starts."""
    for number in _ENDING:
        signal.signal(number, _leave)
    IOLoop.current().add_callback(_take_over)  # Bokeh has its own handlers once its loop runs


def _take_over() -> None:
    for number in _ENDING:
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    """End as Bokeh does, which sees the signal too, and without it where that takes longer, or at a second signal."""
    for each in _ENDING:
        signal.signal(each, _leave)
    limit = threading.Timer(GRACE, _leave)
    limit.daemon = True
    limit.start()
    if number == signal.SIGINT:
        signal.default_int_handler(number, frame)


def _leave(number: int = 0, frame: FrameType | None = None) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)
