"""The process is reproducible, resumable and causal."""

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import CL, CN, IM, NA, PS, Day, Population, Simulator, World
from simulator.fatigue import fatigue
from simulator.randomness import Purpose, generator

DAY_MS = 86_400_000
WORLD = World()
USERS = Population.draw(WORLD, 400, seed=5)


def assert_same(one: Day, other: Day) -> None:
    for field in fields(Day):
        first, second = getattr(one, field.name), getattr(other, field.name)
        assert first.dtype == second.dtype
        assert np.array_equal(first, second), field.name


def start(seed=5, users=USERS, world=WORLD):
    return Simulator(world, users, seed, start_ms=1_000)


def test_two_runs_of_a_seed_are_equal():
    for _, one, other in zip(range(5), start(), start(), strict=False):
        assert_same(one, other)


def test_another_seed_gives_other_events():
    assert not np.array_equal(next(start(seed=5)).timestamp, next(start(seed=6)).timestamp)


def test_every_seed_block_and_purpose_has_random_numbers_of_its_own():
    streams = [
        generator(seed, block, purpose).random(4).tolist()
        for seed in range(3)
        for block in range(20)
        for purpose in Purpose
    ]
    assert len({number for stream in streams for number in stream}) == 4 * 3 * 20 * len(Purpose)


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_batches_of_any_size_hold_the_same_events(size):
    day = next(start())
    batches = [day[at : at + size] for at in range(0, len(day), size)]
    assert sum(map(len, batches)) == len(day)
    columns = (np.concatenate([getattr(batch, field.name) for batch in batches]) for field in fields(Day))
    assert_same(Day(*columns), day)


def test_a_run_can_be_resumed_at_any_day():
    """The state survives pickling, stays small, and is not changed by the run that goes on.

    Fatigue matters in this world of many induced searches, so the day before must be known again.
    """
    world = replace(WORLD, impression_search=(0.05, 1.0), fatigue=0.5)
    simulator = start(world=world)
    states, days = [], []
    for _ in range(30):
        states.append(simulator.state())
        days.append(next(simulator))
    for stop in range(30):
        packed = pickle.dumps(states[stop])
        assert len(packed) < 10_000
        resumed = Simulator.resume(world, USERS, 5, start_ms=1_000, state=pickle.loads(packed))
        for day in days[stop : stop + 8]:
            assert_same(next(resumed), day)


def test_the_state_of_another_run_is_refused():
    simulator = start()
    next(simulator)
    state = simulator.state()
    others = (
        (WORLD, USERS, 6, 1_000),
        (WORLD, USERS, 5, 2_000),
        (replace(WORLD, gamma=0.7), USERS, 5, 1_000),
        (WORLD, Population.draw(WORLD, 400, seed=6), 5, 1_000),
    )
    for world, users, seed, start_ms in others:
        with pytest.raises(ValueError, match="state: expected"):
            Simulator.resume(world, users, seed, start_ms, state)


def test_days_follow_each_other_in_order_with_dense_numbers(run):
    for place, day in enumerate(run.days):
        since = day.timestamp - run.start_ms
        assert (since // DAY_MS == place).all()
        assert (np.diff(day.timestamp) >= 0).all()
    assert np.array_equal(run.events.number, np.arange(len(run.events)))


def test_every_cause_precedes_its_effect_and_belongs_to_the_same_user(run):
    events = run.events
    caused = np.flatnonzero(events.cause != NA)
    cause = events.cause[caused]
    assert (events.user[cause] == events.user[caused]).all()
    assert (events.timestamp[caused] - events.timestamp[cause] >= 1).all()
    families = set(zip(events.type[cause].tolist(), events.type[caused].tolist(), strict=True))
    assert families == {(IM, CL), (IM, PS), (CL, PS), (IM, CN), (CL, CN), (PS, CN), (CN, CN)}
    assert (events.cause[events.type == IM] == NA).all()


def test_children_come_within_the_same_day_over_several_generations(run):
    """An impression, its click, the click's search and the search's conversion, all in one day."""
    events = run.events
    day = (events.timestamp - run.start_ms) // DAY_MS
    found = False
    for conversion in np.flatnonzero(events.type == CN):
        chain = [conversion]
        while events.cause[chain[-1]] != NA:
            chain.append(events.cause[chain[-1]])
        if [events.type[event] for event in chain] == [CN, PS, CL, IM]:
            found = found or day[chain[0]] == day[chain[-1]]
    assert found


def test_a_single_user_may_have_days_without_events():
    simulator = start(users=Population.draw(WORLD, 1, seed=1))
    days = [next(simulator) for _ in range(50)]
    assert min(map(len, days)) == 0
    numbers = np.concatenate([day.number for day in days])
    assert np.array_equal(numbers, np.arange(len(numbers)))


def test_a_child_comes_at_least_a_millisecond_later():
    simulator = start(world=replace(WORLD, impression_click=(0.5, 1e-12)))
    day = next(simulator)
    clicks = day.type == CL
    assert (day.timestamp[clicks] - day.timestamp[day.cause[clicks]] == 1).all()


def test_bad_seeds_and_counts_are_refused():
    with pytest.raises(ValueError, match="seed: expected"):
        Population.draw(WORLD, 10, seed=-1)
    with pytest.raises(ValueError, match="count: expected"):
        Population.draw(WORLD, 0, seed=1)


def test_fatigue_counts_own_impressions_of_the_day_before():
    """By hand: the edge counts, the same ms does not, other users do not."""
    hour = 3_600_000
    user = np.array([0, 0, 0, 0, 0, 1])
    time = np.array([0, 23, 24, 48, 48, 48]) * hour
    assert fatigue(WORLD, user, time) == pytest.approx([1, 0.9, 0.81, 0.9, 0.9, 1])
    time[2] += 1
    assert fatigue(WORLD, user, time)[2] == pytest.approx(0.9)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3 * DAY_MS)), max_size=30))
def test_fatigue_equals_counting_one_by_one(impressions):
    impressions.sort()
    expected = [0.9 ** sum(u == user and 0 < t - time <= DAY_MS for user, time in impressions) for u, t in impressions]
    columns = np.array(impressions, dtype=np.int64).reshape(-1, 2)
    assert fatigue(WORLD, columns[:, 0], columns[:, 1]) == pytest.approx(expected)


def test_children_of_an_impression_thin_out_with_fatigue():
    """The more impressions before, the fewer induced searches, over midnight too."""
    world = replace(WORLD, impression_search=(0.5, 0.2), fatigue=0.6)
    users = Population.draw(world, 2_000, seed=2)
    simulator = Simulator(world, users, seed=2, start_ms=0)
    days = [next(simulator) for _ in range(5)]
    user, time, kind, cause = (
        np.concatenate([getattr(day, name) for day in days]) for name in ("user", "timestamp", "type", "cause")
    )
    shown = np.flatnonzero((kind == IM) & (time < 3 * DAY_MS))
    shown = shown[np.lexsort((time[shown], user[shown]))]
    multiplier = fatigue(world, user[shown], time[shown])
    searches = np.bincount(cause[(kind == PS) & (cause != NA)], minlength=len(kind))[shown]
    morning = time[shown] % DAY_MS < DAY_MS // 4
    for part in (morning, ~morning):
        for earlier in range(6):
            these = part & np.isclose(multiplier, 0.6**earlier)
            expected = 0.5 * 0.6**earlier * these.sum()
            # Two days are left for the searches to come, ten times their mean delay.
            assert abs(searches[these].sum() - expected) < 4 * np.sqrt(expected)
