"""How many events are due at a rate, by a clock that the caller reads."""

from __future__ import annotations

PATIENCE = 2.0
"""Seconds of backlog to catch up on after a pause."""


class Pace:
    """A number of events a second.

    Args:
        rate: events a second.
        now: the time at the start, in s.

    >>> pace = Pace(10.0, now=0.0)
    >>> pace.due(0.25), pace.due(60.0)
    (2, 20)
    >>> pace.took(20)
    >>> pace.due(60.1)
    1
    """

    def __init__(self, rate: float, now: float) -> None:
        self._rate, self._asked_at, self._due = rate, now, 0.0

    def due(self, now: float) -> int:
        """The events that are due by now."""
        self._due = min(self._due + (now - self._asked_at) * self._rate, max(self._rate * PATIENCE, 1.0))
        self._asked_at = now
        return int(self._due)

    def took(self, count: int) -> None:
        """Note that so many were sent."""
        self._due -= count
