"""One simulated run that the tests of rates and of the oracle look at."""

from dataclasses import dataclass, fields

import numpy as np
import pytest

from simulator import Day, Population, Simulator, World

START_MS = 1_497_484_800_000
DAYS = 49


@dataclass(frozen=True)
class Run:
    world: World
    users: Population
    start_ms: int
    days: list[Day]
    events: Day  # all days as one


def simulate(world: World, count: int, days: int, seed: int) -> Run:
    users = Population.draw(world, count, seed)
    simulator = Simulator(world, users, seed, START_MS)
    given = [next(simulator) for _ in range(days)]
    columns = (np.concatenate([getattr(day, field.name) for day in given]) for field in fields(Day))
    return Run(world, users, START_MS, given, Day(*columns))


@pytest.fixture(scope="session")
def run() -> Run:
    return simulate(World(), 20_000, DAYS, seed=3)


@pytest.fixture(scope="session")
def confounded() -> Run:
    return simulate(World(gamma=0.7), 10_000, 21, seed=4)
