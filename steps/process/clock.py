"""A clock that is set back: Bytewax looks at it to wake the sources, which would then stand still for as long.

No score depends on it: event times, and the times of messages, are all that counts (see `docs/guarantees.md`).
"""

from __future__ import annotations

import logging
import threading
import time

from settings import RESTART
from steps.process.ending import leave

STEP = 2.0
"""Seconds by which the clock may go back at once."""
INTERVAL = 1.0

log = logging.getLogger("adstreams")


def watch_clock() -> None:
    """Look at the clock every second, in a thread; where it was set back the process ends, to be started again."""
    threading.Thread(target=_watch, name="clock", daemon=True).start()


def _watch() -> None:
    pause, before = threading.Event(), _ahead()
    while not pause.wait(INTERVAL):
        now = _ahead()
        if now < before - STEP:
            log.warning("the clock was set back by %d s: ending with %d to be started again", before - now, RESTART)
            leave(RESTART)
        before = now


def _ahead() -> float:
    """Seconds that the clock is ahead of one that nobody sets."""
    return time.time() - time.monotonic()
