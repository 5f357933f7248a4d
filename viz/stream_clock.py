"""The stream's time between two looks at the store."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

MEMORY = 5.0
"""Seconds of wall time over which the speed is measured, and after which a still stream is called still."""
PATIENCE = 30.0
"""The same at the most, of a stream whose events come with longer gaps than that."""
FARTHEST = 3_600_000
"""The most, in ms of event time, that the clock runs ahead of the newest event."""


class StreamClock:
    """Tells the stream's now: the newest event time, moved on at the speed at which it has been moving.

    Between polls it runs ahead for at most two polls' worth (and `FARTHEST`); where no newer event comes it
    stands still. It never goes back, unless the newest itself does so by more than `FARTHEST`. The wall clock is only a
    stopwatch here.

    >>> seconds = [0.0]
    >>> clock = StreamClock(poll=1.0, stopwatch=lambda: seconds[0])
    >>> for seconds[0], newest in [(0.0, 0), (1.0, 60_000), (2.0, 120_000), (3.0, 180_000)]:
    ...     clock.observe(newest)
    >>> seconds[0] = 3.5
    >>> clock.now(), clock.speed
    (210000, 60000.0)
    >>> seconds[0] = 3_600.0
    >>> clock.now(), clock.speed
    (300000, 0.0)
    """

    def __init__(self, poll: float, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._allowance, self._stopwatch = 2 * poll, stopwatch
        self._forget()

    def _forget(self) -> None:
        self._newest: int | None = None
        self._shown: int | None = None
        self._advances: deque[tuple[float, int]] = deque()

    def observe(self, newest: int | None) -> None:
        """Take the newest event time (ms) of a poll; None, an empty store, starts all over."""
        if newest is None:
            self._forget()
        elif self._newest is None:  # when it came is not known, so it says nothing about the speed
            self._newest = newest
        elif newest < self._newest - FARTHEST:  # that of a clock far ahead was believed, and is not any more
            self._forget()
            self._newest = newest
        elif newest > self._newest:
            now = self._stopwatch()
            self._newest = newest
            self._advances.append((now, newest))
            while len(self._advances) > 2 and now - self._advances[0][0] > MEMORY:
                self._advances.popleft()

    def now(self) -> int | None:
        """The stream's time in ms; None while nothing is known."""
        if self._newest is None:
            return None
        ahead = 0.0
        if self._advances:
            waited = min(self._stopwatch() - self._advances[-1][0], self._allowance)
            ahead = min(waited * self._measured(), FARTHEST)
        self._shown = max(self._shown or 0, self._newest + round(ahead))
        return self._shown

    @property
    def speed(self) -> float:
        """Milliseconds of event time that pass in a second; 0 while the stream stands still."""
        return self._measured() if self.is_moving else 0.0

    @property
    def is_moving(self) -> bool:
        """Whether newer events came in the last seconds, or not much longer ago than the last two are apart."""
        if not self._advances:
            return False
        gap = self._advances[-1][0] - self._advances[-2][0] if len(self._advances) > 1 else 0.0
        return self._stopwatch() - self._advances[-1][0] <= min(max(MEMORY, 2 * gap), PATIENCE)

    def _measured(self) -> float:
        (since, first), (until, last) = self._advances[0], self._advances[-1]
        return (last - first) / (until - since) if until > since else 0.0
