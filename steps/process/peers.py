"""The start of a flow in several processes: until all have met, native code holds the main thread, and waits for ever.

No Python signal handler runs meanwhile, so a thread listens for signals in their place, and gives up after a time.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from datetime import timedelta

from steps.process.ending import fail, leave

_ENDING = (signal.SIGTERM, signal.SIGINT)
_LOOK = 0.5
"""Seconds between two looks at whether all have met."""
_met = threading.Event()


def meet() -> None:
    """All processes have met: the flow is being built in each, and signals are heeded by its sources from now on."""
    _met.set()


def watch_start(process: int, addresses: Sequence[str], patience: timedelta) -> None:
    """End this process, with one plain line, where a signal comes before it has met the others, or they do not come.

    A signal ends it with 0, for nothing was read; the end of `patience` with 1. A flow of one process waits for nobody.
    """
    if len(addresses) < 2:
        return
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    others = [f"process {number} at {each}" for number, each in enumerate(addresses) if number != process]
    which = others[0] if len(others) == 1 else f"one of {', '.join(others)}"
    threading.Thread(target=_watch, args=(reading, which, patience), name="start", daemon=True).start()


def _watch(signals: int, which: str, patience: timedelta) -> None:
    over = time.monotonic() + patience.total_seconds()
    while not _met.is_set():
        came = os.read(signals, 64) if select.select([signals], [], [], _LOOK)[0] else b""
        ending = [each for each in _ENDING if each in came]
        if _met.is_set():
            return
        if ending:
            print(f"ad-streams: ended by {ending[0].name} while waiting for {which}", file=sys.stderr)
            leave(0)
        if time.monotonic() > over:
            fail(
                f"{which} did not come within {patience.total_seconds():g} s (ADSTREAMS_PEER_TIMEOUT):"
                " start all processes of a flow together"
            )
