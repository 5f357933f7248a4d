"""Random draws that depend on their purpose, never on earlier draws."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from simulator.event_columns import Floats, Ints


class Purpose(IntEnum):
    """The purpose of a stream of random numbers: each purpose of each block has its own stream."""

    POPULATION = 0
    IMPRESSIONS = 1
    ORGANIC = 2
    CHILDREN = 3
    TOUCH_DETAILS = 4
    PURCHASES = 5


def generator(seed: int, block: int, purpose: Purpose) -> np.random.Generator:
    """The counter-based generator of one block (a simulated day) and purpose.

    `seed` is from 0 to 2**64 - 1; another raises ValueError. Philox4x64: Salmon et al., "Parallel random
    numbers: as easy as 1, 2, 3", 2011.

    >>> a, b = (generator(7, 3, Purpose.CHILDREN).random() for _ in range(2))
    >>> a == b
    True
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed: expected 0 to 2**64 - 1, got {seed}")
    key = np.array([seed, block * len(Purpose) + purpose], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def further_generator(seed: int, block: int, number: int) -> np.random.Generator:
    """The generator of one block for the events of one further type: it overlaps with no other of the seed.

    >>> further_generator(7, 3, 4).random() != further_generator(7, 3, 5).random()
    True
    """
    key = np.array([seed, block * len(Purpose) + Purpose.ORGANIC], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key).jumped(number + 1))


def scatter(rng: np.random.Generator, means: Floats) -> Ints:
    """Positions of `means`, each repeated a Poisson(means[i]) number of times, in no particular order.

    The work grows with the number drawn and not with a Poisson draw per position: the total is Poisson(sum
    of the means), and each point falls on a position in proportion to its mean (splitting of a Poisson
    process).

    >>> scatter(generator(1, 0, Purpose.CHILDREN), np.array([0.0, 3.0])).tolist().count(0)
    0
    """
    edges = np.cumsum(means)
    if len(edges) == 0 or edges[-1] == 0:
        return np.zeros(0, dtype=np.int64)
    points = rng.random(rng.poisson(edges[-1])) * edges[-1]
    places: Ints = np.searchsorted(edges, points, side="right")
    return places


def pick(uniform: Floats, shares: Sequence[float]) -> Ints:
    """The position in `shares` (which add up to 1) that each uniform number in [0, 1) falls on.

    >>> pick(np.array([0.1, 0.5, 0.99]), (0.35, 0.40, 0.25)).tolist()
    [0, 1, 2]
    """
    return np.searchsorted(np.cumsum(shares[:-1]), uniform, side="right")
