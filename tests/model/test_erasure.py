"""A bucket forgets users: what is left is as if their events up to then had never come."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.bucket import Bucket
from model.features.plan import FeaturePlan
from schemas.erasures import Erasure, until_after
from schemas.events import Event
from tests.model.driving import HOUR, TIME, batch_of, chunks, event
from tests.model.worlds import MODELS, cuts, events

PLAN = FeaturePlan.of(next(iter(MODELS.values())).features)


def taken(bucket: Bucket, sent: list[Event]) -> list[tuple]:
    """The rows that a bucket makes of events, without those that it erases."""
    batch, _ = bucket.without_erased(batch_of(sent))
    update = bucket.update(batch)
    rows = zip(
        update.outcomes[["timestamp", "event_key", "seen", "version", "type"]].tolist(), update.features, strict=True
    )
    return [
        (batch.text(int(outcome["user_row"]), 1), *row, tuple(features))
        for outcome, (row, features) in zip(update.outcomes, rows, strict=True)
    ]


def test_only_later_events_are_taken() -> None:
    """Those up to the time of the request go, whenever they come; sequences of others stay."""
    bucket = Bucket(PLAN)
    taken(bucket, [event("a", 0), event("b", HOUR), event("c", 0, user="other")])
    (erasure,) = bucket.erase([Erasure.of("u", TIME + 2 * HOUR)])
    assert erasure == Erasure.of("u", TIME + 2 * HOUR)
    assert len(bucket) == 1
    batch, erased = bucket.without_erased(batch_of([event("a", 0), event("d", 2 * HOUR), event("e", 2 * HOUR + 1)]))
    assert (erased, [each.event_id for each in batch.events()]) == (2, ["e"])
    assert [seen for *_, seen in bucket.update(batch).outcomes[["event_key", "seen"]].tolist()] == [1]
    assert bucket.update(batch_of([event("f", HOUR, user="other")])).outcomes["seen"].tolist() == [2]


def test_a_user_who_was_active_later_is_erased_up_to_then() -> None:
    """And past the versions of all rows, so that what comes then is newer."""
    bucket = Bucket(PLAN)
    update = bucket.update(batch_of([event(f"e{number}", 5) for number in range(2_500)] + [event("a", 0)]))
    (erasure,) = bucket.erase([Erasure.of("u", TIME)])
    assert erasure.until == until_after(int(update.outcomes["version"].max())) == TIME + 5 + 3
    later = bucket.update(batch_of([event("later", erasure.until - TIME + 1)]))
    assert int(later.outcomes["version"][0]) > int(update.outcomes["version"].max())


def test_a_request_that_is_known_does_nothing() -> None:
    """Nor does one of another time before it; of several at once the latest counts, with the id that is known."""
    bucket = Bucket(PLAN)
    taken(bucket, [event("a", 0)])
    hash_ = Erasure.of("u", 0).user_hash
    assert bucket.erase([Erasure(hash_, TIME + 3), Erasure.of("u", TIME + 1)]) == [Erasure.of("u", TIME + 3)]
    taken(bucket, [event("b", 4)])
    assert bucket.erase([Erasure.of("u", TIME + 3), Erasure.of("u", TIME - 1)]) == []
    assert len(bucket) == 1


def test_a_user_who_is_not_there_is_kept_out() -> None:
    bucket = Bucket(PLAN)
    hash_ = Erasure.of("u", 0).user_hash
    assert bucket.erase([Erasure(hash_, TIME)]) == [Erasure(hash_, TIME)]
    assert len(bucket) == 0
    assert taken(bucket, [event("a", 0)]) == []


def test_nothing_of_the_person_is_in_a_snapshot() -> None:
    """The id is in no byte of it; who was erased is, by hash."""
    bucket = Bucket(PLAN)
    taken(bucket, [event("a", 0, user="someone-known"), event("b", 0, user="other")])
    assert b"someone-known" in pickle.dumps(bucket.snapshot())
    bucket.erase([Erasure.of("someone-known", TIME + 1)])
    kept = pickle.dumps(bucket.snapshot())
    assert b"someone-known" not in kept
    assert b"other" in kept
    back = Bucket.restore(pickle.loads(kept), PLAN)
    assert taken(back, [event("a", 1, user="someone-known")]) == []
    assert len(taken(back, [event("c", 2, user="other")])) == 1


@given(st.lists(events, max_size=40), cuts, st.sampled_from("uv"), st.integers(0, 40 * HOUR), st.booleans())
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_others_are_as_if_the_user_had_never_been(model, sent, places, user, until, kept) -> None:
    """Whatever came before and comes then: rows of all others, and of the user's own later events, are the same."""
    plan = FeaturePlan.of(model.features)
    bucket, without = Bucket(plan, 5), Bucket(plan, 5)
    pieces = chunks(sent, places)
    half = len(pieces) // 2
    for piece in pieces[:half]:
        taken(bucket, piece)
        if others := [each for each in piece if each.user_id != user]:
            taken(without, others)
    (erasure,) = bucket.erase([Erasure.of(user, TIME + until)])
    without.erase([Erasure.of(user, erasure.until)])
    if kept:
        bucket = Bucket.restore(bucket.snapshot(), plan, 5)
    for piece in pieces[half:]:
        assert taken(bucket, piece) == taken(without, piece)
    assert len(bucket.snapshot().entries) == len(without.snapshot().entries)
