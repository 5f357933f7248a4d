"""A curve is the stream's own propensity: at events bit by bit, between them by the same formula."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.features.curve import Curve, Sequence
from schemas.event_types import TYPES
from tests.model.driving import DAY, HOUR, TIME, Run, event, near
from tests.model.worlds import DOCUMENTS, MODELS, NAMES, TIMES, events, lengths, names, within
from tests.reference import propensity_at, sequences

user_events = st.lists(events.filter(lambda each: each.user_id == "u"), min_size=1, max_size=16)


def ordered(world):
    """A user's distinct events in sequence order, as dicts."""
    (sequence,) = sequences(map(asdict, world)).values()
    return [winners[0] for winners in sequence]


def sequence_of(dicts, before=0):
    return Sequence(
        np.array([each["timestamp"] for each in dicts], np.int64),
        np.array([TYPES.index(each["type"]) for each in dicts], np.uint8),
        tuple(each["campaign"] for each in dicts),
        before,
        np.array([each["type"] == "CN" and each["revenue"] < 0 for each in dicts], np.bool_),
    )


@given(user_events, names, lengths)
def test_at_events_a_curve_is_the_buckets_propensity_bit_by_bit(world, name, length):
    """Of several events of one instant, the last one's."""
    world = within(world, length, length)
    rows = sorted(Run(MODELS[name], length).feed(world).table.rows.items(), key=lambda item: item[1].seen)
    at_time = {time: cell.propensity for (_, time, _), cell in rows}
    times = np.array(list(at_time), np.int64)
    curve = Curve(MODELS[name], length).propensity(sequence_of(ordered(world)), times)
    assert curve.tolist() == list(at_time.values())


@given(user_events, names, lengths, st.lists(st.integers(-DAY, 40 * DAY), max_size=12))
def test_at_any_time_a_curve_is_the_references_formula(world, name, length, times):
    """Before the first event too, and at the very edges of the look-backs."""
    dicts = ordered(world)
    times = np.array(sorted(TIME + time for time in (*times, *TIMES)), np.int64)
    curve = Curve(MODELS[name], length).propensity(sequence_of(dicts), times)
    for time, propensity in zip(times.tolist(), curve.tolist(), strict=True):
        newest = [each for each in dicts if each["timestamp"] <= time][-length:]
        assert propensity == near(propensity_at(DOCUMENTS[name], newest, time))


@pytest.mark.parametrize("name", NAMES)
def test_the_newest_2l_events_are_enough(name):
    """A store's page of a long sequence gives the curve of the whole, where L events stand before it."""
    world = [
        event(f"{number:03}", number * HOUR, TYPES[number % 7 % 4], campaign="abc"[number % 3]) for number in range(60)
    ]
    dicts = ordered(world)
    times = np.array([each["timestamp"] for each in dicts[-20:]], np.int64) + 1_234
    whole = Curve(MODELS[name], 10).propensity(sequence_of(dicts), times)
    page = Curve(MODELS[name], 10).propensity(sequence_of(dicts[-30:], before=30), times)
    assert page.tolist() == near(whole.tolist())


@pytest.mark.parametrize("name", NAMES)
def test_a_user_without_events_has_the_propensity_of_nothing(name):
    curve = Curve(MODELS[name]).propensity(sequence_of([]), np.array([TIME, TIME + DAY]))
    expected = propensity_at(DOCUMENTS[name], [], TIME)
    assert curve.tolist() == pytest.approx([expected] * 2, abs=1e-15)
    assert len(Curve(MODELS[name]).propensity(sequence_of([]), np.array([], np.int64))) == 0


def test_asking_between_events_changes_nothing_later():
    dicts = ordered([event(f"{number}", number * 7 * HOUR, TYPES[number % 4]) for number in range(12)])
    times = np.array([each["timestamp"] for each in dicts], np.int64)
    dense = np.unique(np.concatenate([times, np.arange(times[0], times[-1], HOUR // 3)]))
    curve = Curve(MODELS["decay"])
    between = dict(zip(dense.tolist(), curve.propensity(sequence_of(dicts), dense).tolist(), strict=True))
    alone = curve.propensity(sequence_of(dicts), times)
    assert [between[time] for time in times.tolist()] == alone.tolist()
