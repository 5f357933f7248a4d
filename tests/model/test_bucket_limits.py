"""Long sequences, late events, disputes, memory, and a bucket's edges in time."""

import json
import math
import pickle
import random
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.bucket import SNAPSHOT_VERSION, Bucket
from model.features.plan import FeaturePlan
from model.scoring.propensity import Model
from model.sequences.merging import CONFLICT, DISPUTED, NEW, REPEAT, TOO_LATE
from schemas.errors import SnapshotError
from schemas.event_types import TYPES
from tests.model.driving import DAY, HOUR, Run, Table, assert_reference, batch_of, chunks, event, near
from tests.model.worlds import DOCUMENTS, MODELS, NAMES, names
from tests.reference import event_key, place, propensity_at, sequences

PLAN = FeaturePlan.of(MODELS["decay"].features)


def sequence(count, seed=0, gap=HOUR, user="u"):
    """Events in the sequence's order, with ties."""
    rng = random.Random(seed)
    time, events = 0, []
    for number in range(count):
        time += rng.choice([0, 1, gap, 5 * gap])
        events.append(event(f"e{number:05}", time, rng.choice(TYPES), user, campaign=rng.choice("abc")))
    return sorted(events, key=lambda each: place(asdict(each)))


@pytest.mark.parametrize("length", [1, 2, 3, 8, 20])
@pytest.mark.parametrize("times", [1, 2, 3, 12])
@pytest.mark.parametrize("name", NAMES)
def test_sequences_longer_than_l_in_order_count_their_newest_l_events(length, times, name):
    world = sequence(length * times + 1, seed=times)
    run = Run(MODELS[name], length).feed(*chunks(world, range(0, 300, 7)))
    assert set(run.fates) == {NEW}
    assert_reference(run, DOCUMENTS[name])


def test_the_default_length_is_exact_far_beyond_it():
    """3,300 events of one user: every propensity within 1e-12 of the reference's newest 1,000."""
    world = [replace(each, campaign="a") for each in sequence(3_300, gap=HOUR // 4)]
    run = Run(MODELS["decay"], 1_000).feed(*chunks(world, range(0, 3_300, 211)))
    (ordered,) = sequences(map(asdict, world)).values()
    for seen in (1, 999, 1_000, 1_001, 1_999, 2_000, 2_001, 2_126, 2_127, 3_299, 3_300):
        newest = [winners[0] for winners in ordered[max(0, seen - 1_000) : seen]]
        last = newest[-1]
        cell = run.table.rows["u", last["timestamp"], event_key(last["event_id"])]
        assert cell.seen == seen
        expected = propensity_at(DOCUMENTS["decay"], newest, last["timestamp"])
        assert cell.propensity == near(expected)


@given(
    st.integers(0, 10**6), st.sampled_from([1, 2, 3, 5]), st.integers(1, 40), st.integers(0, 8), names,
    st.lists(st.integers(0, 60), max_size=12), st.sampled_from([1, HOUR, DAY]),
)  # fmt: skip
def test_late_events_after_eviction_are_exact_or_too_late(seed, length, count, jitter, name, cut, gap):
    """Whatever is late and how much: the rows are those of the accepted events, arrived once and in order."""
    rng = random.Random(seed)
    world = sequence(count, seed, gap)
    arrivals = sorted(world, key=lambda each: (world.index(each) + rng.randint(0, jitter), rng.random()))
    run = Run(MODELS[name], length).feed(*chunks(arrivals + rng.sample(arrivals, len(arrivals) // 3), cut))
    assert_reference(run, DOCUMENTS[name])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("one_by_one", [True, False])
def test_more_than_2l_events_of_one_instant_are_exact(name, one_by_one):
    """A log with the day in place of the time: rows whose newest L events are gone stay as they are."""
    world = [event(f"e{number}", 0, "IM", campaign="a") for number in range(12)]
    run = Run(MODELS[name], 2).feed(*[[each] for each in world] if one_by_one else [world[:7], world[7:]])
    assert_reference(run, DOCUMENTS[name])


def test_a_late_event_within_the_newest_l_takes_its_place_after_eviction():
    world = [event(f"e{number}", number * HOUR) for number in range(20)]
    late = event("late", 17 * HOUR + 1, "CN")
    run = Run(MODELS["rich"], 4).feed(world, [late])
    assert run.fates[-1] == NEW
    assert_reference(run, DOCUMENTS["rich"])
    again = [write for write in run.writes if write.event is None]
    assert [write.seen for write in again] == [20, 21], "just the rows behind it are computed again"


def test_an_event_older_than_the_newest_l_is_too_late_after_eviction_and_changes_nothing():
    world = [event(f"e{number}", number * HOUR) for number in range(20)]
    run = Run(MODELS["rich"], 4).feed(world)
    before, rows = run.bucket.snapshot(), len(run.writes)
    late = [event("late", 16 * HOUR - 1), event("older", 1), event("e0", 0), event("x", 15 * HOUR, "CN")]
    run.feed(late, [late[1]])
    assert run.fates[20:] == [TOO_LATE] * 5
    assert len(run.writes) == rows
    after = run.bucket.snapshot()
    assert np.array_equal(before.entries, after.entries)
    assert np.array_equal(before.sizes, after.sizes)


def test_an_old_event_is_not_too_late_while_nothing_was_evicted():
    world = [event(f"e{number}", number * HOUR) for number in range(7)]
    run = Run(MODELS["rich"], 4).feed(world, [event("late", -HOUR)])
    assert run.fates[-1] == NEW
    assert_reference(run, DOCUMENTS["rich"])


def test_a_repeat_of_an_event_that_is_still_held_is_a_repeat():
    """2L events are held, so an event older than the newest L can be told from one that is too late."""
    world = [event(f"e{number}", number * HOUR) for number in range(20)]
    run = Run(MODELS["rich"], 4).feed(world, [world[12], world[19]])
    assert run.fates[20:] == [REPEAT, REPEAT]


def test_the_l_plus_first_dispute_of_a_user_is_a_dead_letter():
    """Each conflict leaves a body behind: a sender that never agrees with itself must not fill the memory."""
    bodies = [event("e", 0, "IM", revenue=float(number)) for number in range(6)]
    run = Run(MODELS["seed"], 3).feed(*[[each] for each in bodies], [bodies[0]], [event("f", 1)])
    assert run.fates == [NEW, CONFLICT, CONFLICT, CONFLICT, DISPUTED, DISPUTED, REPEAT, NEW]
    assert_reference(run, DOCUMENTS["seed"])


def test_memory_of_a_user_is_bounded_however_many_events_come():
    """What 40,000 events of one user leave behind is not more than what 4,000 leave, disputes and all."""
    run = Run(MODELS["seed"], 50)
    sizes = []
    for start in range(0, 40_000, 2_000):
        world = [event(f"e{number}", number * 1_000) for number in range(start, start + 2_000)]
        batch = batch_of(world + [replace(each, revenue=1.0) for each in world])
        run.bucket.update(batch)
        sizes.append(run.bucket.nbytes)
    assert max(sizes[2:]) <= 2 * sizes[1]
    held = run.bucket.snapshot()
    assert len(held.entries) <= 2 * 50 + 50 // 8 + 50


def test_memory_is_in_proportion_to_what_is_held():
    """Ten thousand users of one event each take less than 250 bytes a user."""
    run = Run(MODELS["seed"], 1_000)
    for start in range(0, 10_000, 1_000):
        users = range(start, start + 1_000)
        run.bucket.update(batch_of(event("e", 0, user=f"user-{number:06}") for number in users))
    assert len(run.bucket) == 10_000
    assert run.bucket.nbytes / 10_000 < 250


def test_batches_full_of_repeats_do_not_outgrow_their_memory():
    """Users who were given room for repeats, and lost it when sequences were packed, get it again."""
    run = Run(MODELS["seed"], 1_000)
    repeats = [event("e", 0, user=f"r{user}") for user in range(20) for _ in range(40)]
    for number in range(30):
        run.bucket.update(batch_of(repeats + [event("e", 0, user=f"n{number}-{user}") for user in range(30)]))
        assert run.bucket._used <= len(run.bucket._entries), "written behind the end of the entries"
    assert len(run.bucket) == 20 + 900
    assert run.bucket.snapshot().sizes["size"].tolist() == [1] * 920


@given(st.integers(0, 10**6), names)
def test_many_batches_of_all_sizes_keep_every_sequence_whole(seed, name):
    """Room is given, taken back and moved many times; the rows are the reference's all the same."""
    rng = random.Random(seed)
    users = [sequence(rng.randint(1, 30), rng.random(), user=f"u{user}") for user in range(6)]
    world = [each for user in users for each in user]
    run = Run(MODELS[name], 1_000)
    for _ in range(25):
        run.feed([rng.choice(world) for _ in range(rng.choice([1, 1, 2, 10, 60]))])
    assert_reference(run, DOCUMENTS[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_stop_and_a_start_beyond_l_change_nothing_but_the_last_bits(name):
    world = sequence(60)
    for stop in (5, 11, 23, 40):
        first = Run(MODELS[name], 5).feed(*chunks(world[:stop], range(0, 60, 4)))
        snapshot = pickle.loads(pickle.dumps(first.bucket.snapshot()))
        second = Run(MODELS[name], 5, Bucket.restore(snapshot, first.models.plan, 5))
        second.given, second.fates, second.writes = list(first.given), list(first.fates), list(first.writes)
        assert_reference(second.feed(*chunks(world[stop:], range(0, 60, 3))), DOCUMENTS[name])


def test_a_snapshot_is_a_copy():
    """What comes after it does not change it, and what is restored from it does not either."""
    run = Run(MODELS["seed"], 5).feed(sequence(8))
    snapshot = run.bucket.snapshot()
    held = pickle.dumps(snapshot)
    run.feed(sequence(30, seed=9))
    Run(MODELS["seed"], 5, Bucket.restore(snapshot, run.models.plan, 5)).feed(sequence(30, seed=4))
    assert pickle.dumps(snapshot) == held


def test_a_snapshot_of_an_empty_bucket_restores():
    bucket = Bucket.restore(Bucket(PLAN).snapshot(), PLAN)
    assert len(bucket) == 0
    assert Run(MODELS["decay"], 1_000, bucket).feed([event()]).fates == [NEW]


def test_a_snapshot_of_another_length_is_refused():
    snapshot = Bucket(PLAN, 5).snapshot()
    with pytest.raises(SnapshotError, match="made with a sequence length of 5, not 1000"):
        Bucket.restore(snapshot, PLAN)


def test_a_snapshot_of_another_version_is_refused():
    snapshot = replace(Bucket(PLAN).snapshot(), version=SNAPSHOT_VERSION + 1)
    with pytest.raises(SnapshotError, match=f"snapshot version {SNAPSHOT_VERSION + 1}, this program reads"):
        Bucket.restore(snapshot, PLAN)


def test_new_events_that_come_after_a_later_one_are_counted():
    """Against what earlier batches brought; repeats, conflicts and what is too late are counted elsewhere."""
    bucket = Bucket(PLAN, 50)
    world = [event(f"e{number}", number * HOUR) for number in range(5)]
    minute = HOUR // 60
    batches = [
        (world, 0),
        ([event("a", 5 * HOUR), event("b", 6 * HOUR)], 0),
        (
            [
                event("c", 3 * HOUR - 9),
                event("d", 4 * HOUR - 9),
                event("e", 5 * HOUR + 9),
                event("f", 7 * HOUR),
            ],
            3,
        ),
        ([world[2], event("e1", HOUR, "CN"), event("v", 0, user="v"), event("v2", -1, user="v")], 0),
        ([event("g", 7 * HOUR)], 1),
        ([event("h", 8 * HOUR), event("h", 8 * HOUR, user="w"), event("i", 8 * HOUR)], 0),
        ([event(f"j{number}", 2 * HOUR + number * minute) for number in range(60)], 60),
    ]
    assert [bucket.update(batch_of(batch)).late for batch, _ in batches] == [late for _, late in batches]


def test_an_empty_batch_does_nothing():
    update = Bucket(PLAN).update(batch_of([]))
    assert (len(update.outcomes), len(update.fates)) == (0, 0)
    assert update.features.shape == (0, 16)


LOOK_BACKS = [("IM", 0.01, 30), ("CL", 0.1, 7), ("PS", 1.0, 2), ("CN", 1.99, 365)]


@pytest.mark.parametrize(("kind", "weight", "days"), LOOK_BACKS)
@pytest.mark.parametrize(("over", "counted"), [(-1, True), (0, True), (1, False)])
def test_a_look_back_includes_its_edge(kind, weight, days, over, counted):
    other = "IM" if kind != "IM" else "CL"
    run = Run(MODELS["seed"], 5).feed([event("a", 0, kind)], [event("b", days * DAY + over, other)])
    logit = -2 + {k: w for k, w, _ in LOOK_BACKS}[other] * math.log(2) + counted * weight * math.log(2)
    assert run.writes[-1].propensity == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-15)


def test_events_of_one_instant_count_in_the_order_of_their_types():
    """Impression, click, paid search, conversion: each sees those before it, in whatever order they came."""
    tie = [event("a", 0, "CN"), event("b", 0, "PS"), event("c", 0, "CL"), event("d", 0, "IM")]
    run = Run(MODELS["seed"], 5).feed(tie)
    assert [(write.type, write.seen) for write in run.writes] == [("IM", 1), ("CL", 2), ("PS", 3), ("CN", 4)]
    logits = np.cumsum([-2 + 0.01 * math.log(2), 0.1 * math.log(2), math.log(2), 1.99 * math.log(2)])
    assert [write.propensity for write in run.writes] == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-15)


def test_events_of_one_instant_and_type_count_in_the_order_of_their_signed_keys():
    run = Run(MODELS["seed"], 50).feed([event(f"e{number}") for number in range(40)])
    keys = [write.key[2] for write in run.writes]
    assert keys == sorted(keys)
    assert min(keys) < 0 < max(keys)


def test_a_decay_halves_with_every_half_life():
    run = Run(MODELS["decay"], 5).feed([event("a", 0, "CL")])
    features = run.bucket.update(batch_of([event("b", 6 * HOUR, "IM"), event("c", 12 * HOUR, "IM")])).features
    assert np.expm1(features[:, 6]) == pytest.approx([0.5, 0.25], abs=1e-15)


def test_what_has_decayed_away_is_none():
    """A user who comes back after 80 years: no NaN, no negative number."""
    run = Run(MODELS["decay"], 5).feed([event("a", -47 * 365 * DAY, "CL")], [event("b", 80 * 365 * DAY)])
    assert_reference(run, DOCUMENTS["decay"])


@pytest.mark.parametrize("half_life", ["30d", "36500d"])
@pytest.mark.parametrize("gap", [60_000, HOUR])
@pytest.mark.parametrize("left", [0, 1])
def test_a_burst_that_left_the_newest_l_leaves_nothing_behind(half_life, gap, left):
    """A thousand conversions, then impressions: what was added and taken away again does not show."""
    feature = {"aggregation": "decayed_count", "type": "CN", "half_life": half_life, "weight": 1.0}
    document = {"id": "harsh", "intercept": 0.0, "horizon": "7d", "features": [feature]}
    world = [event(f"a{number}", number * gap, "CN") for number in range(1_000)]
    world += [event(f"b{number}", (1_000 + number) * gap, "IM") for number in range(1_000 - left)]
    run = Run(Model.from_json(json.dumps(document)), 1_000).feed(*chunks(world, range(0, 2_000, 100)))
    newest = [asdict(each) for each in world[-1_000:]]
    expected = propensity_at(document, newest, newest[-1]["timestamp"])
    assert run.writes[-1].propensity == near(expected)


def test_a_prefix_run_never_outranks_the_whole():
    """A row's version grows with every event at or before its instant, and with nothing else."""
    world = sequence(12)
    run = Run(MODELS["seed"], 50).feed(*[[each] for each in world])
    for start in range(1, 12):
        table = Table(Run(MODELS["seed"], 50).feed(world[start:]).writes)
        for key, cell in table.rows.items():
            final = run.table.rows[key]
            assert cell.version < final.version
