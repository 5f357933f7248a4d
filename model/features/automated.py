"""Users with more events than a person makes: crawlers, monitors and test scripts, which are set apart.

Their events are scored like all others. They are left out where scores are ranked, acted on, or learnt from.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from model.durations import to_milliseconds
from model.features.count import Count

WINDOW = timedelta(hours=24)
_WINDOW = to_milliseconds(WINDOW)
DAILY_EVENTS = Count(aggregation="count", weight=0.0, look_back=WINDOW)
"""What counts a user's events in the window up to a moment, as a column of a feature plan."""


def automated_users(
    users: NDArray[np.int64], timestamps: NDArray[np.int64], most: int, count: int
) -> NDArray[np.bool_]:
    """Which of `count` users have more than `most` events within some 24 hours; with `most` 0 nobody does.

    Args:
        users: numbers of the users (n) from 0 on, in order.
        timestamps: times (n) of their events in ms, each user's in order.
        most: events within 24 hours, both ends included, that a person may have.
        count: how many users there are.

    >>> users, times = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 86_400_000, 0, 1, 86_400_001])
    >>> automated_users(users, times, 2, count=2).tolist(), automated_users(users, times, 0, count=2).tolist()
    ([True, False], [False, False])
    """
    found = np.zeros(count, np.bool_)
    if 0 < most < len(users):
        same = users[most:] == users[:-most]
        near = timestamps[most:] - timestamps[:-most] <= _WINDOW
        found[users[most:][same & near]] = True
    return found


def is_automated(timestamps: NDArray[np.int64], most: int) -> bool:
    """Whether one user, with events at these times (n) in ms, in order, is set apart.

    >>> is_automated(np.arange(3) * 1_000, 2), is_automated(np.arange(3) * 1_000, 3)
    (True, False)
    """
    return bool(automated_users(np.zeros(len(timestamps), np.int64), timestamps, most, 1)[0])
