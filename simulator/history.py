"""The observed events of some users, in the order in which an oracle looks back on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simulator.event_columns import Codes, Day, Ints, Kinds
from simulator.population import Population


@dataclass(frozen=True, eq=False)
class History:
    """Observed events of `len(segment)` users from the world's start on, sorted by (user, time).

    Make one with `of` or `of_days`; the hidden activity and intent are no part of it.
    """

    start_ms: int  # the world's start, ms since 1970
    segment: Kinds  # by user
    row: Ints  # where the event was in the columns given
    user: Ints
    time: Ints  # ms since the start
    type: Kinds
    campaign: Codes

    @classmethod
    def of(cls, segment: Kinds, user: Ints, timestamp: Ints, type_: Kinds, campaign: Codes, start_ms: int) -> History:
        """The history of users with these segments, from their events' columns in any order.

        `user` is a position in `segment`, `timestamp` in ms since 1970. An event before the start raises
        ValueError: the oracle must know everything since the start.
        """
        if len(timestamp) and timestamp.min() < start_ms:
            raise ValueError(f"timestamp: expected {start_ms} or later, got {timestamp.min()}")
        row = np.lexsort((timestamp, user))
        time = timestamp[row] - start_ms
        return cls(start_ms, segment, row, user[row], time, type_[row], campaign[row])

    @classmethod
    def of_days(cls, days: Iterable[Day], users: Population, start_ms: int) -> History:
        """The history of `users` over the simulated days, `row` counting through the days' rows."""
        parts = [(day.user, day.timestamp, day.type, day.campaign) for day in days]
        user, timestamp, type_, campaign = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return cls.of(users.segment, user, timestamp, type_, campaign, start_ms)

    @cached_property
    def _stride(self) -> int:
        return int(self.time.max(initial=0)) + 2

    @cached_property
    def _keys(self) -> Ints:
        return self.user * self._stride + self.time

    def look_back(self, user: Ints, time: Ints) -> tuple[Ints, Ints]:
        """Which events precede each question (user, time in ms since the start), the same ms excluded.

        Returns (question, event), positions in the arguments and in the history, a pair for every event of
        the question's user with a smaller time, ordered by both. A question about an event's own ms or a
        later one includes it by asking for time + 1.

        >>> kinds, none = np.zeros(3, dtype=np.uint8), np.full(3, -1, dtype=np.int8)
        >>> history = History.of(kinds[:2], np.array([0, 0, 1]), np.array([5, 9, 7]), kinds, none, start_ms=0)
        >>> question, event = history.look_back(np.array([1, 0]), np.array([8, 9]))
        >>> question.tolist(), event.tolist()
        ([0, 1], [2, 0])
        """
        first = np.searchsorted(self._keys, user * self._stride)
        last = np.searchsorted(self._keys, user * self._stride + np.clip(time, 0, self._stride - 1))
        length = last - first
        question = np.repeat(np.arange(len(user)), length)
        shift = first - (np.cumsum(length) - length)
        return question, np.arange(len(question)) + shift[question]
