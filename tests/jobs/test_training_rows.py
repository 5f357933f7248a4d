"""Training rows: which moments are drawn, what follows them, and who is in which part."""

import tracemalloc
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from jobs.training.logs import log_of
from jobs.training.training import Split
from jobs.training.training_rows import (
    CALIBRATE,
    DAY,
    FIT,
    NONE,
    TEST,
    VALIDATE,
    Span,
    draw,
    label,
    look_back_for,
    parts_of,
    rows_of,
)
from schemas.errors import JobError
from tests.jobs.worlds import START, world_log
from tests.model.driving import HOUR, TIME, batch_of, event

MINUTE = 60_000
WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def world():
    return world_log(300, 70, 5)[0]


def log_with(world):
    return log_of(iter([batch_of(world)]), "log")


def test_of_each_user_and_day_one_event_and_one_clock_time_are_drawn(world):
    """From the user's first event on: an event on each day that has some, a clock time on each day."""
    replay, first, last = world.replay, START, START + 30 * DAY - 1
    moments, at_event = draw(world, first, last)
    assert (np.diff(moments.users) >= 0).all()
    assert ((moments.times >= first) & (moments.times <= last)).all()
    for user in range(len(replay.hashes)):
        own = replay.timestamps[replay.bounds[user] : replay.bounds[user + 1]]
        inside = own[(own >= first) & (own <= last)]
        mine = moments.users == user
        events, clock = moments.times[mine & at_event], moments.times[mine & ~at_event]
        assert set(events.tolist()) <= set(inside.tolist())
        assert (events // DAY).tolist() == np.unique(inside // DAY).tolist()
        assert (clock >= own[0]).all()
        whole_days = np.arange(max(first // DAY, own[0] // DAY + 1), last // DAY + 1)
        assert set(whole_days.tolist()) <= set((clock // DAY).tolist())
        assert len(clock) <= len(whole_days) + 1


def test_clock_times_are_spread_over_the_day(world):
    moments, at_event = draw(world, START + 20 * DAY, START + 50 * DAY)
    hours = np.bincount(moments.times[~at_event] % DAY // HOUR, minlength=24)
    assert hours.min() > 0.7 * hours.mean()


def test_the_same_log_in_another_order_gives_the_same_rows(world):
    """What is drawn depends on users, days and events alone."""
    events = [event(f"{n}", n * 7 * HOUR, "IM", user=f"u{n % 3}") for n in range(60)]
    drawn = []
    for order in (events, events[::-1]):
        log = log_with(order)
        moments, at_event = draw(log, TIME, TIME + 30 * DAY)
        names = log.replay.hashes[moments.users].tolist()
        drawn.append(set(zip(names, moments.times.tolist(), at_event.tolist(), strict=True)))
    assert drawn[0] == drawn[1]


def test_with_a_limit_whole_users_are_left_out(world):
    all_moments, _ = draw(world, START + 20 * DAY, START + 50 * DAY)
    some, _ = draw(world, START + 20 * DAY, START + 50 * DAY, len(all_moments) // 3)
    assert 0.2 * len(all_moments) < len(some) < 0.5 * len(all_moments)
    for user in np.unique(some.users)[:20]:
        assert some.times[some.users == user].tolist() == all_moments.times[all_moments.users == user].tolist()


def test_one_event_of_long_ago_makes_a_draw_no_dearer():
    """Of its own user there are days since then, of the others since their first event, as without it."""
    users = [event(f"{n}", n % 5 * DAY, user=f"u{n}") for n in range(1_000)]
    logs = log_with(users), log_with([*users, event("old", -TIME, user="v")])
    drawn = []
    for log in logs:
        tracemalloc.start()
        moments, at_event = draw(log, 0, TIME + 8 * DAY)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 20_000_000
        others = log.replay.hashes[moments.users] != xxh3_64_intdigest(b"v")
        hashes = log.replay.hashes[moments.users][others]
        drawn.append((hashes.tolist(), moments.times[others].tolist(), at_event[others].tolist()))
    assert (~others).sum() > 17_000
    assert sorted(zip(*drawn[0], strict=True)) == sorted(zip(*drawn[1], strict=True))
    with pytest.raises(JobError, match="each needs 10; events are from 1970-01-01 to 2017-07"):
        Split.of(logs[1], timedelta(days=1), timedelta(days=1))


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 20))
def test_a_label_is_an_order_after_the_moment_and_within_the_horizon(minutes, horizon):
    """Conversions closer than a minute to the one before are its order's, which happens once, at its first."""
    seconds = [minute * 30 for minute in minutes]  # half minutes: some are closer than a minute
    log = log_with([event("a", 0, "IM"), *(event(f"c{n}", s * 1000, "CN") for n, s in enumerate(seconds))])
    times = sorted({s * 1000 for s in seconds})
    orders = [time for at, time in enumerate(times) if at == 0 or time - times[at - 1] >= MINUTE]
    asked = np.arange(0, 21 * MINUTE, 10_000)
    found = label(log, log.replay.at(np.zeros(len(asked), np.int64), TIME + asked), horizon * MINUTE)
    expected = [any(t < order <= t + horizon * MINUTE for order in orders) for t in asked.tolist()]
    assert found.tolist() == expected


def test_another_users_orders_are_no_label():
    log = log_with([event("a", 0, "IM", user="u"), event("b", 0, "IM", user="v"), event("c", HOUR, "CN", user="v")])
    assert label(log, log.replay.at(np.array([0, 1]), np.array([TIME, TIME])), DAY).tolist() == [False, True]


def test_the_split_is_by_users_and_by_time(world):
    """Training labels are known by T1; calibration is after it, and test a horizon later; no user is in two parts."""
    look_back = look_back_for(world, WEEK)
    span = Span.of(world, WEEK, look_back)
    rows = rows_of(world, span)
    parts = parts_of(world, rows, span)
    times, users = rows.moments.times, rows.moments.users
    start, end = world.replay.timestamps.min(), world.replay.timestamps.max()
    assert times.min() >= start + look_back / timedelta(milliseconds=1)
    assert times.max() <= end - 7 * DAY
    for part in (FIT, VALIDATE):
        assert times[parts == part].max() + 7 * DAY <= span.known
    assert times[parts == CALIBRATE].min() > span.known
    assert times[parts == TEST].min() > span.known + 7 * DAY
    people = [set(users[parts == part].tolist()) for part in (FIT, VALIDATE, CALIBRATE, TEST)]
    assert all(people)
    assert sum(map(len, people)) == len(set.union(*people))
    assert (parts == NONE).any()


def test_a_log_that_is_too_short_is_told_in_one_line():
    log = log_with([event("a", 0, "IM"), event("b", 10 * DAY, "CN")])
    with pytest.raises(
        JobError, match="2 events, 1 orders, 1 users within 10d, from 2017-07-14 to 2017-07-24; a horizon of 7d"
    ):
        Span.of(log, WEEK, timedelta(days=3))


def test_days_of_years_are_told_in_full():
    log = log_with([event("a", 0, "IM"), event("b", 1_200 * DAY, "CN")])
    with pytest.raises(JobError, match=r" within 1200d, .* and a look-back of 3650d need 14601d$"):
        Span.of(log, timedelta(days=3_650), timedelta(days=3_650))


@given(st.integers(1, 40), st.integers(0, 120))
def test_a_log_that_has_a_days_rows_beside_the_horizons_is_long_enough(horizon, hours):
    """Its look-back leaves them, and is at least half of what is left where that is more."""
    h = timedelta(hours=horizon)
    period = 3 * horizon * HOUR + DAY + (hours + 1) * HOUR
    log = log_with([event("a", 0, "IM"), event("b", period, "CN")])
    look_back = look_back_for(log, h)
    span = Span.of(log, h, look_back)
    assert span.last - span.first - 2 * span.horizon >= DAY
    assert look_back == timedelta(hours=min(hours + 1, (hours + 25) // 2))
