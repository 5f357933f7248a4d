"""How many of a user's impressions precede an impression."""

from __future__ import annotations

import numpy as np

from simulator.event_columns import DAY_MS, Floats, Ints
from simulator.world import World


def count_between(keys: Ints, low: Ints, high: Ints) -> Ints:
    """How many of the sorted `keys` lie in [low, high), elementwise.

    >>> count_between(np.array([1, 5, 5, 9]), np.array([1, 5]), np.array([9, 6])).tolist()
    [3, 2]
    """
    return np.searchsorted(keys, high) - np.searchsorted(keys, low)


def look_back_ms(world: World) -> int:
    """The length of fatigue's look-back in ms."""
    return round(world.fatigue_look_back * DAY_MS)


def fatigue(world: World, user: Ints, time: Ints) -> Floats:
    """The multipliers m = .9^(own impressions in the 24 h before), by impression.

    Impressions come sorted by (user, time in ms).

    The look-back includes its edge; an impression in the same millisecond is not before.

    >>> hour = 3_600_000
    >>> fatigue(World(), np.array([0, 0, 0, 1]), np.array([0, 24, 25, 25]) * hour).round(6).tolist()
    [1.0, 0.9, 0.9, 1.0]
    """
    window = look_back_ms(world)
    # A stride longer than the time line and the look-back keeps every look-back within its own user.
    stride = (int(time.max()) if len(time) else 0) + window + 1
    keys = user * stride + time + window
    multiplier: Floats = np.power(world.fatigue, count_between(keys, keys - window, keys))
    return multiplier
