"""The times that events span, for a person."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

EARLY = 946_684_800_000
"""2000-01-01: events before it are more likely in a wrong unit than so old (ms)."""


@dataclass(slots=True)
class Span:
    """The times of the first and the last event of some (ms since 1970), None without any."""

    first: int | None = None
    last: int | None = None

    def add(self, times: NDArray[np.int64]) -> None:
        """Take the times of more events."""
        if len(times):
            self.join(Span(int(times.min()), int(times.max())))

    def join(self, other: Span) -> None:
        """Take another's events too."""
        if other.first is not None and other.last is not None:
            self.first = other.first if self.first is None else min(self.first, other.first)
            self.last = other.last if self.last is None else max(self.last, other.last)

    @property
    def words(self) -> str:
        """For a person, in UTC; empty without events.

        >>> Span(0, 1_714_550_400_000).words
        'first event 1970-01-01 00:00:00, last event 2024-05-01 08:00:00 UTC'
        """
        if self.first is None or self.last is None:
            return ""
        first, last = (f"{_date(each):%Y-%m-%d %H:%M:%S}" for each in (self.first, self.last))
        return f"first event {first}, last event {last} UTC"

    @property
    def warnings(self) -> list[str]:
        """What is odd about the times; the machine's clock decides what is ahead."""
        found = []
        if self.first is not None and self.first < EARLY:
            found.append(
                f"the first event is of {_date(self.first):%Y-%m-%d}: if that is wrong, set the unit of times with "
                "--time-unit (ADSTREAMS_TIME_UNIT)"
            )
        if self.last is not None and self.last > time.time() * 1_000 + 3_600_000:
            found.append(f"the last event is of {_date(self.last):%Y-%m-%d}, ahead of now")
        return found


def _date(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
