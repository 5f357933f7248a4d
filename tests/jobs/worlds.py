"""Simulated logs, and what is true about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice, pairwise

import numpy as np
from xxhash import xxh3_64_intdigest

from jobs.training.logs import Log, log_of
from model.replay import Moments
from schemas.events import EventBatch, fill_hashes
from simulator import IM, History, Oracle, Population, Simulator, World
from simulator.producers import Spelling, events_of

START = 1_497_484_800_000
DAY = 86_400_000


def batches_of(users: int, days: int, seed: int, gamma: float = 0.0) -> tuple[list[EventBatch], Truth]:
    """The events of a simulated world day by day, and the truth about it; γ = 0.7 is the confounded one."""
    world = replace(World(), gamma=gamma)
    population = Population.draw(world, users, seed)
    simulated = list(islice(Simulator(world, population, seed, START), days))
    spelling = Spelling(world, population)
    batches = [events_of(day, spelling) for day in simulated]
    for batch in batches:
        fill_hashes(batch.rows, batch.data)
    return batches, Truth(Oracle(world), History.of_days(simulated, population, START))


def world_log(users: int, days: int, seed: int, gamma: float = 0.0) -> tuple[Log, Truth]:
    """The log of a simulated world, and the truth about it."""
    batches, truth = batches_of(users, days, seed, gamma)
    return log_of(iter(batches), "simulated"), truth


@dataclass(frozen=True, eq=False)
class Truth:
    """What the oracle says about the users of a log."""

    oracle: Oracle
    history: History

    def propensities(
        self, log: Log, moments: Moments, days: float, users: int = 400, shown: int | None = None
    ) -> np.ndarray:
        """The true propensities at the moments (n) for a horizon in days, for so many users at a time.

        With one more impression of the campaign `shown` at each moment, if that is given, and then each user has one.
        """
        history, found = self.history, np.empty(len(moments))
        numbers = {xxh3_64_intdigest(f"user-{n:07d}".encode()): n for n in range(len(history.segment))}
        simulated = np.array([numbers[each] for each in log.replay.hashes.tolist()], np.int64)
        edges = np.searchsorted(moments.users, np.arange(0, len(simulated) + users, users))
        for low, high in pairwise(edges.tolist()):
            if low == high:
                continue
            own = np.unique(simulated[moments.users[low:high]])
            place = np.full(len(history.segment), -1)
            place[own] = np.arange(len(own))
            chosen = place[history.user] >= 0
            asked, times = place[simulated[moments.users[low:high]]], moments.times[low:high]
            events = [
                place[history.user[chosen]],
                history.time[chosen] + history.start_ms,
                history.type[chosen],
                history.campaign[chosen],
            ]
            if shown is not None:
                more = (asked, times, np.full(len(asked), IM), np.full(len(asked), shown))
                events = [np.append(have, add.astype(have.dtype)) for have, add in zip(events, more, strict=True)]
            whose, when, kinds, campaigns = events
            part = History.of(history.segment[own], whose, when, kinds, campaigns, history.start_ms)
            found[low:high] = self.oracle.probability(part, asked, times, days)
        return found
