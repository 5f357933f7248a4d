"""Events without a cause: impressions, organic searches, baseline conversions, and those of further types."""

from __future__ import annotations

import numpy as np

from simulator.event_columns import CN, DAY_MS, FURTHER, IM, NA, PS, Ints
from simulator.population import Population
from simulator.randomness import Purpose, further_generator, generator, pick, scatter
from simulator.rows import ROW, Rows, bare
from simulator.world import World

FURTHER_RATE = 0.2
"""Events a day of each type that the world has no rules for, the same for every user."""


class Immigrants:
    """The immigrants of each block (a simulated day), independent of the blocks before."""

    def __init__(self, world: World, users: Population, seed: int) -> None:
        self._world, self._seed = world, seed
        self._rates = world.impressions_a_day(users.activity, users.intent)
        self._searches = world.organic_search_rate * users.intent
        bases = np.array(world.segment_bases)[users.segment]
        self._conversions = world.baseline_conversion_rate * bases * users.intent

    def impressions(self, block: int) -> Ints:
        """The day's impressions as sorted keys, user * DAY_MS + ms since midnight."""
        rng = generator(self._seed, block, Purpose.IMPRESSIONS)
        user = np.repeat(np.arange(len(self._rates)), rng.poisson(self._rates))
        return np.sort(user * DAY_MS + rng.integers(DAY_MS, size=len(user)))

    def touches(self, impressions: Ints, block: int) -> Rows:
        """The rows of the impressions with these keys, in their order."""
        world, count = self._world, len(impressions)
        rng = generator(self._seed, block, Purpose.TOUCH_DETAILS)
        rows = np.zeros(count, dtype=ROW)
        rows["user"], time = np.divmod(impressions, DAY_MS)
        rows["time"] = time + block * DAY_MS
        rows["cause"] = NA
        rows["type"] = IM
        rows["campaign"] = pick(rng.random(count), world.campaign_shares)
        rows["publisher"] = rng.integers(len(world.publishers), size=count, dtype=np.int8)
        rows["creative"] = rng.integers(len(world.creatives), size=count, dtype=np.int8)
        rows["placement"] = rng.integers(len(world.placements), size=count, dtype=np.int8)
        return rows

    def organic(self, block: int) -> Rows:
        """The day's organic searches and baseline conversions."""
        rng = generator(self._seed, block, Purpose.ORGANIC)
        searching, buying = scatter(rng, self._searches), scatter(rng, self._conversions)
        rows = bare(np.concatenate((searching, buying)))
        rows["time"] = block * DAY_MS + rng.integers(DAY_MS, size=len(rows))
        rows["type"] = np.repeat((PS, CN), (len(searching), len(buying)))
        rows["campaign"][: len(searching)] = search_campaigns(self._world, rng, len(searching))
        return rows

    def further(self, block: int) -> Rows:
        """The day's events of the types that the world has no rules for: `FURTHER_RATE` a day for each user."""
        days = [self._further(block, kind) for kind in FURTHER]
        return np.concatenate([np.zeros(0, ROW), *days])

    def _further(self, block: int, kind: int) -> Rows:
        rng = further_generator(self._seed, block, kind)
        rows = bare(rng.integers(len(self._rates), size=rng.poisson(FURTHER_RATE * len(self._rates))))
        rows["time"] = block * DAY_MS + rng.integers(DAY_MS, size=len(rows))
        rows["type"], rows["campaign"] = kind, pick(rng.random(len(rows)), self._world.campaign_shares)
        return rows


def search_campaigns(world: World, rng: np.random.Generator, count: int) -> Ints:
    """The campaign codes, brand or generic, of `count` searches, organic or not."""
    return len(world.campaigns) + pick(rng.random(count), world.search_shares)
