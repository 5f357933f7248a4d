"""What a reader of results should know of the log behind them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_DAY, _HOUR = 86_400_000, 3_600_000
_ENOUGH = 10
"""Events from which on a common time of day other than midnight is no chance."""


class TimesOfDay:
    """Notices a log without times of day: all its times are midnight, of UTC or of a zone with or without summer time.

    >>> clock = TimesOfDay()
    >>> clock.note(np.array([0, 3, 3]) * 86_400_000)
    >>> len(list(clock.remarks()))
    1
    >>> clock.note(np.array([1]))
    >>> list(clock.remarks())
    []
    """

    def __init__(self) -> None:
        self._seen, self._events, self._first, self._last = set[int](), 0, np.iinfo(np.int64).max, 0

    def note(self, times: NDArray[np.int64]) -> None:
        """Take times in ms since 1970, in any order."""
        if len(self._seen) > 2 or not len(times):
            return
        self._seen |= set(np.unique(times % _DAY)[:3].tolist())
        self._events += len(times)
        self._first, self._last = min(self._first, int(times.min())), max(self._last, int(times.max()))

    @property
    def are_missing(self) -> bool:
        """Whether the log has whole days only."""
        if self._events < 2 or not self._seen:
            return False
        if self._seen == {0}:
            return True
        apart = max(self._seen) - min(self._seen)
        whole_hours = all(time % (_HOUR // 4) == 0 for time in self._seen)
        enough = self._events >= _ENOUGH and self._last - self._first >= _DAY
        return enough and whole_hours and apart in (0, _HOUR, _DAY - _HOUR)

    def remarks(self) -> Iterator[str]:
        """A line where times of day are missing."""
        if self.are_missing:
            yield (
                "this log has whole days only: within a day impressions count as before clicks, those before paid "
                "searches and all before conversions, whatever the order was; give times of day if there are any"
            )


def of_ids(retimed: int) -> Iterator[str]:
    """A line where events have ids that their users had at another time."""
    if retimed:
        yield (
            f"same id at another time: {retimed:,} events have an id that their user has at another time within a day; "
            "each counts as an event of its own"
        )
