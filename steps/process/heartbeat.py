"""What each process of a flow reports of itself to the store, so that others can see whether it runs."""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from schemas.avro.codec import Decoded
from schemas.errors import StoreError
from schemas.flow_status import ENDED, STOPPED, FlowStatus
from steps.process import ending
from stores.base import StatusWriter, Writer


def _now() -> int:
    return time.time_ns() // 1_000_000


class Heartbeat:
    """The status of this process. It is written by the clock, and no score rests on it.

    Args:
        process: the number of this process.
        processes: how many the flow has.
        is_live: whether events happen now, so that the flow can be behind them.
    """

    def __init__(self, process: int = 0, processes: int = 1, is_live: bool = False) -> None:
        self._is_live, now = is_live, _now()
        self._status = FlowStatus(process, processes, socket.gethostname(), os.getpid(), started=now, beat=now)

    def begin(self, writer: StatusWriter, open_writer: Callable[[], Writer]) -> None:
        """Report the start, and at the end of the process how it ended.

        A process that is killed, or fails at once, reports no end: its last status gets old.

        Raises:
            StoreError: the store cannot be written to.
        """
        writer.note_status(self._status)
        atexit.register(self._end, open_writer)

    def read(self, decoded: Decoded) -> Decoded:
        """Take note of events that were read; they are handed on as they are."""
        if len(decoded.events):
            now, latest = _now(), int(decoded.events.rows["timestamp"].max())
            newest = max(latest, self._status.newest or latest)
            behind = max(now - newest, 0) if self._is_live else None
            if self._status.first_read is None:
                self._status = replace(self._status, first_read=now, first=latest)
            self._status = replace(self._status, last_read=now, newest=newest, behind=behind)
        return decoded

    def beat(self, note: Callable[[FlowStatus], None], last_epoch: int | None) -> None:
        """Report that the process runs.

        Raises:
            StoreError: the store cannot be written to.
        """
        self._status = replace(self._status, beat=_now(), last_epoch=last_epoch)
        note(self._status)

    def _end(self, open_writer: Callable[[], Writer]) -> None:
        state = ENDED if ending.is_over() else STOPPED
        self._status = replace(self._status, beat=_now(), state=state, code=ending.code())
        with contextlib.suppress(StoreError), closing(open_writer()) as writer:
            writer.note_status(self._status)
