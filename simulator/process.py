"""Generation of the Poisson cluster process, one simulated day after another."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.event_columns import CN, DAY_MS, EVENT_TYPES, FURTHER, NA, PS, Codes, Day, Floats, Ints
from simulator.fatigue import count_between, look_back_ms
from simulator.immigrants import Immigrants, search_campaigns
from simulator.population import Population
from simulator.randomness import Purpose, generator, pick, scatter
from simulator.rows import ROW, Rows, bare
from simulator.world import Branch, World


@dataclass(frozen=True, eq=False)
class State:
    """The state of a simulation between two days; small and picklable.

    `run` tells one run from another, `block` is the next day, `number` the next event's number, and
    `pending` holds the children that were born but fall on later days.
    """

    run: tuple[int, ...]
    block: int
    number: int
    pending: Rows


class Simulator:
    """An endless iterator of `Day`s: the events of `users` from `start_ms` (ms since 1970) on.

    The same world, users, seed and start give the same events, however they are consumed and wherever the
    run was interrupted.

    >>> world = World()
    >>> users = Population.draw(world, 100, seed=7)
    >>> simulator = Simulator(world, users, seed=7, start_ms=0)
    >>> first = next(simulator)
    >>> resumed = Simulator.resume(world, users, seed=7, start_ms=0, state=simulator.state())
    >>> next(simulator).timestamp.tolist() == next(resumed).timestamp.tolist()
    True
    """

    def __init__(self, world: World, users: Population, seed: int, start_ms: int) -> None:
        self._world, self._users, self._seed, self._start_ms = world, users, seed, start_ms
        self._immigrants = Immigrants(world, users, seed)
        self._run = (seed, start_ms, len(users), _fingerprint(world, users))
        self._block = self._number = 0
        self._pending: Rows = np.zeros(0, dtype=ROW)
        self._yesterday: Ints = np.zeros(0, dtype=np.int64)

    @classmethod
    def resume(cls, world: World, users: Population, seed: int, start_ms: int, state: State) -> Simulator:
        """The simulator that gave `state`, about to give the same days.

        The state of another run raises ValueError.
        """
        simulator = cls(world, users, seed, start_ms)
        if simulator._run != state.run:
            raise ValueError(f"state: expected that of run {simulator._run}, got {state.run}")
        simulator._block, simulator._number, simulator._pending = state.block, state.number, state.pending
        # Fatigue needs the impressions of the day before: they are drawn again rather than stored.
        if state.block:
            simulator._yesterday = simulator._immigrants.impressions(state.block - 1)
        return simulator

    def state(self) -> State:
        """The state of the run after the last day returned."""
        return State(self._run, self._block, self._number, self._pending)

    def __iter__(self) -> Iterator[Day]:
        return self

    def __next__(self) -> Day:
        impressions = self._immigrants.impressions(self._block)
        due = self._pending["time"] < (self._block + 1) * DAY_MS
        touches = self._immigrants.touches(impressions, self._block)
        organic, further = self._immigrants.organic(self._block), self._immigrants.further(self._block)
        generation = np.concatenate((touches, organic, self._pending[due], further))
        rows, pending = self._descend(generation, impressions)
        day, numbers = self._number_rows(rows)
        born_today = pending["cause"] >= self._number
        pending["cause"][born_today] = numbers[pending["cause"][born_today] - self._number]
        self._pending = np.concatenate((self._pending[~due], pending))
        self._yesterday = impressions
        self._number += len(day)
        self._block += 1
        return day

    def _descend(self, generation: Rows, impressions: Ints) -> tuple[Rows, Rows]:
        """All rows of the day, in order of birth, and the children that fall later.

        Causes born today are given by their place in the order of birth, from the day's first number on.
        """
        rng = generator(self._seed, self._block, Purpose.CHILDREN)
        end = (self._block + 1) * DAY_MS
        born, later, number = [generation], [], self._number
        while len(generation):
            families = [self._children(rng, branch, generation, impressions, number) for branch in self._world.branches]
            number += len(generation)
            children = np.concatenate(families)
            today = children["time"] < end
            generation = children[today]
            born.append(generation)
            later.append(children[~today])
        return np.concatenate(born), np.concatenate((self._pending[:0], *later))

    def _children(
        self, rng: np.random.Generator, branch: Branch, parents: Rows, impressions: Ints, number: int
    ) -> Rows:
        candidates = np.flatnonzero(parents["type"] == branch.parent)
        means = branch.means(parents["campaign"][candidates])
        if branch.keen:
            means *= self._users.intent[parents["user"][candidates]]
        places = candidates[scatter(rng, means)]
        if branch.fatigued:
            # Thinning: few impressions have children, so fatigue is worked out for those few alone.
            kept = rng.random(len(places)) < self._fatigue(parents[places], impressions)
            places = places[kept]
        chosen = parents[places]
        children = bare(chosen["user"]) if branch.child in (PS, CN) else chosen
        wait = np.rint(rng.exponential(branch.delay * DAY_MS, len(places)))
        children["time"] = chosen["time"] + np.maximum(wait.astype(np.int64), 1)
        children["cause"] = number + places
        children["type"] = branch.child
        if branch.child == PS:
            children["campaign"] = search_campaigns(self._world, rng, len(places))
        return children

    def _fatigue(self, rows: Rows, impressions: Ints) -> Floats:
        """The multipliers m of some of today's impressions, from the keys of today's and yesterday's."""
        midnight = rows["user"] * DAY_MS
        key = midnight + rows["time"] - self._block * DAY_MS
        since = key - look_back_ms(self._world)
        today = count_between(impressions, np.maximum(since, midnight), key)
        yesterday = count_between(self._yesterday, np.maximum(since, midnight - DAY_MS) + DAY_MS, midnight + DAY_MS)
        multiplier: Floats = np.power(self._world.fatigue, today + yesterday)
        return multiplier

    def _number_rows(self, rows: Rows) -> tuple[Day, Ints]:
        """The finished day, and the number of each row given in order of birth."""
        count = len(rows)
        # One sort of unique integers is faster than a stable sort of times that carries an index along.
        bits = count.bit_length()
        packed = np.sort(((rows["time"] - self._block * DAY_MS) << bits) | np.arange(count))
        order = packed & ((1 << bits) - 1)
        number = self._number + np.arange(count)
        numbers = np.empty(count, dtype=np.int64)
        numbers[order] = number
        rows = rows[order]
        cause = rows["cause"].copy()
        born_today = np.flatnonzero(cause >= self._number)
        cause[born_today] = numbers[cause[born_today] - self._number]
        rng = generator(self._seed, self._block, Purpose.PURCHASES)
        product, quantity, revenue = _purchases(self._world, rng, np.flatnonzero(rows["type"] == CN), count)
        day = Day(
            number=number,
            timestamp=self._start_ms + rows["time"],
            user=rows["user"].copy(),
            type=rows["type"].copy(),
            campaign=rows["campaign"].copy(),
            publisher=rows["publisher"].copy(),
            creative=rows["creative"].copy(),
            placement=rows["placement"].copy(),
            product=product,
            quantity=quantity,
            revenue=revenue,
            cause=cause,
        )
        return day, numbers


def _fingerprint(world: World, users: Population) -> int:
    further = "".join(EVENT_TYPES[number] for number in FURTHER)
    value = zlib.crc32((repr(world) + further).encode())
    for column in (users.segment, users.activity, users.intent):
        value = zlib.crc32(column.tobytes(), value)
    return value


def _purchases(
    world: World, rng: np.random.Generator, rows: Ints, count: int
) -> tuple[Codes, NDArray[np.int32], Floats]:
    """Product, quantity and revenue of `count` events, of which `rows` are conversions.

    The others have product NA, quantity 0 and revenue 0. Revenue is in dollars, to the cent: quantity ·
    list price · a factor uniform within the world's price spread.
    """
    product = np.full(count, NA, dtype=np.int8)
    quantity = np.zeros(count, dtype=np.int32)
    revenue = np.zeros(count)
    uniform = rng.random((3, len(rows)))
    product[rows] = pick(uniform[0], world.product_shares)
    quantity[rows] = 1 + pick(uniform[1], world.quantity_shares)
    factor = 1 + world.price_spread * (2 * uniform[2] - 1)
    revenue[rows] = np.round(quantity[rows] * np.array(world.product_prices)[product[rows]] * factor, 2)
    return product, quantity, revenue
