"""What models are trained on is what the stream computes: one log through both, equal to the last bit."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from xxhash import xxh3_64_intdigest

from model.features.curve import Curve, Sequence
from model.replay import Replay
from model.scoring.propensity import Model
from model.sequences.entries import REFUND
from schemas.avro.codec import codec
from schemas.event_types import TYPES
from simulator import World
from simulator.producers import SimulatedStream
from tests.model.driving import DAY, HOUR, TIME, Run, batch_of, chunks, event
from tests.model.worlds import MODELS, RICH, cuts, events, within


def stream_features(model, batches, length=1_000):
    """The final features that the stream gives to each (user, time): of one instant the last row's."""
    run, found = Run(model, length), {}
    for batch in batches:
        update = run.bucket.update(batch)
        for outcome, features in zip(update.outcomes, update.features, strict=True):
            user = batch.rows["user_hash"][outcome["user_row"]]
            key = int(user), int(outcome["timestamp"]), int(outcome["event_key"])
            row = int(outcome["version"]), int(outcome["seen"]), features.tolist()
            if key not in found or row[:2] >= found[key][:2]:
                found[key] = row
    return {key: row[2] for key, row in found.items()}


def replayed_features(model, replay, length=1_000):
    """The features of a replay right after every event."""
    features = replay.features(model.features, replay.right_after(np.arange(len(replay.users))), length)
    keys = zip(replay.hashes[replay.users].tolist(), replay.timestamps.tolist(), replay.keys.tolist(), strict=True)
    return dict(zip(keys, features.tolist(), strict=True))


@given(st.lists(events, min_size=1, max_size=30), cuts)
def test_a_log_gives_the_same_features_in_training_as_in_the_stream(world, cut):
    """Late events, repeats and conflicts too, in whatever batches they come; to the last bit."""
    world = within(world, 1_000, 1_000)
    batches = [batch_of(chunk) for chunk in chunks(world, cut)]
    model = MODELS["rich"]
    assert replayed_features(model, Replay.of(batches)) == stream_features(model, batches)


def test_a_simulated_log_gives_the_same_features_in_training_as_in_the_stream():
    """With campaigns, half-lives from an hour to a month, and users who have more events than count."""
    decays = [
        {"aggregation": "decayed_count", "type": kind, "campaign": name, "half_life": scale, "weight": 1.0}
        for kind, name in (("IM", "Loyalty"), ("PS", "Brand"), ("CN", None))
        for scale in ("1h", "3d", "28d")
    ]
    document = {**RICH, "features": [*RICH["features"], *decays]}
    model = Model.from_json(json.dumps(document))
    stream = SimulatedStream(World(), users=40, seed=3, start_ms=TIME, codec=codec())
    batches = [codec().decode(messages).events for _ in range(60) for messages in stream.take(97)]
    replay = Replay.of(batches)
    ours = replayed_features(model, replay, 50)
    assert ours == stream_features(model, sorted_batches(batches), 50)
    assert len(ours) > 2_000
    assert max(np.diff(replay.bounds)) > 100


def sorted_batches(batches):
    """The same events in batches in the order of time."""
    world = sorted((each for batch in batches for each in batch.events()), key=lambda each: each.timestamp)
    return [batch_of(world[at : at + 100]) for at in range(0, len(world), 100)]


@given(st.lists(events, min_size=1, max_size=20), st.lists(st.integers(-DAY, 40 * DAY), min_size=1, max_size=8))
def test_between_events_a_replay_gives_what_the_app_draws(world, times):
    """The features of every user at any times are those of the user's curve."""
    world = within(world, 1_000, 1_000)
    replay, model = Replay.of([batch_of(world)]), MODELS["rich"]
    times = np.array(sorted(TIME + time for time in times), np.int64)
    count = len(replay.hashes)
    moments = replay.at(np.repeat(np.arange(count), len(times)), np.tile(times, count))
    features = replay.features(model.features, moments)
    for user in range(count):
        own = slice(replay.bounds[user], replay.bounds[user + 1])
        names = tuple(replay.names[campaign] for campaign in replay.campaigns[own].tolist())
        refunds = (replay.entries["tag"][own] & REFUND) != 0
        sequence = Sequence(replay.timestamps[own], replay.types[own], names, refunds=refunds)
        expected = Curve(model).features(sequence, times)
        assert_array_equal(features[moments.users == user], expected)


def test_a_replay_tells_users_types_campaigns_and_times_apart():
    world = [
        event("a", 2 * HOUR, "CL", user="v", campaign="x"),
        event("b", HOUR, "IM", user="v", campaign="y"),
        event("b", HOUR, "IM", user="v", campaign="y"),
        event("c", 0, "CN", user="w"),
    ]
    replay = Replay.of([batch_of(world)])
    assert replay.hashes.tolist() == [xxh3_64_intdigest(b"v"), xxh3_64_intdigest(b"w")]
    assert replay.bounds.tolist() == [0, 2, 3]
    assert [TYPES[each] for each in replay.types.tolist()] == ["IM", "CL", "CN"]
    assert [replay.names[each] for each in replay.campaigns.tolist()] == ["y", "x", "NA"]
    asked = replay.at(np.array([0, 0, 1]), TIME + np.array([HOUR, 3 * HOUR, DAY]))
    assert (replay.last_before(asked) - TIME).tolist() == [HOUR, 2 * HOUR, 0]
    asked = replay.at(np.array([0, 0, 1]), TIME + np.array([0, HOUR, 0]))
    follows = replay.follows(np.arange(3), asked)
    assert follows.tolist() == [TIME + HOUR, TIME + 2 * HOUR, np.iinfo(np.int64).max]


def test_many_users_and_a_wrong_clock_move_no_time():
    """However far apart times are: nothing overflows; and of nothing nothing follows."""
    world = [event("a", -TIME, "CN"), event("b", 0, "CN", user="v"), event("c", HOUR, "CN", user="v")]
    replay, none = Replay.of([batch_of([*world, event("d", HOUR, user="w")])]), np.iinfo(np.int64).max
    asked = replay.at(np.array([0, 1, 1, 2]), TIME + np.array([0, -1, 0, DAY]))
    assert replay.follows(replay.orders, asked).tolist() == [none, TIME, TIME + HOUR, none]
    empty = np.empty(0, np.int64)
    assert replay.follows(empty, asked).tolist() == [none] * 4
    assert replay.follows(replay.orders, replay.at(empty, empty)).tolist() == []


def test_right_after_a_touch_the_order_of_its_instant_is_still_to_come():
    """Of an instant's events the type decides; an order is not before itself, nor an item of it."""
    world = [event("c", 0, "CL"), event("n", 0, "CN"), event("item", 1_000, "CN"), event("later", DAY, "CN")]
    replay, none = Replay.of([batch_of(world)]), np.iinfo(np.int64).max
    assert replay.orders.tolist() == [1, 3]
    after = replay.right_after(np.arange(4))
    assert replay.follows(replay.orders, after).tolist() == [TIME, TIME + DAY, TIME + DAY, none]
    at_clock_times = replay.at(np.array([0, 0]), TIME + np.array([0, DAY]))
    assert replay.follows(replay.orders, at_clock_times).tolist() == [TIME + DAY, none]


def test_a_log_without_events_is_no_users():
    assert len(Replay.of([]).hashes) == 0
