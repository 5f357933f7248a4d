"""The laws of a bucket: its final rows depend on the events alone, and are those of the reference."""

import copy
import pickle
import random
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.bucket import Bucket
from model.sequences.merging import CONFLICT, DISPUTED, NEW, REPEAT, TOO_LATE
from schemas.event_types import TYPES
from tests.model.driving import HOUR, Run, Table, assert_reference, batch_of, chunks, event, near
from tests.model.worlds import DOCUMENTS, MODELS, cuts, events, lengths, names, within
from tests.reference import PlainScorer, final_rows, key_of

worlds = st.lists(events, min_size=1, max_size=24)


def about(table: Table) -> dict:
    """A table's rows, their propensities to be compared within 1e-12."""
    return {key: replace(cell, propensity=near(cell.propensity)) for key, cell in table.rows.items()}


@given(worlds, names, lengths, cuts)
def test_the_final_rows_are_those_of_the_reference(world, name, length, cut):
    run = Run(MODELS[name], length).feed(*chunks(within(world, length, 2 * length), cut))
    assert not {TOO_LATE, DISPUTED} & set(run.fates)
    assert_reference(run, DOCUMENTS[name])


@given(worlds, names, lengths, cuts, cuts, st.randoms(use_true_random=False))
def test_neither_order_nor_chunks_change_a_bit_while_no_user_has_more_than_l_events(
    world, name, length, cut, other_cut, rng
):
    world = within(world, length, length)
    shuffled = rng.sample(world, len(world))
    one = Run(MODELS[name], length).feed(*chunks(world, cut))
    other = Run(MODELS[name], length).feed(*chunks(shuffled, other_cut))
    assert one.table.rows == other.table.rows
    assert one.table.latest == other.table.latest


@given(worlds, names, lengths, cuts, cuts, st.randoms(use_true_random=False))
def test_neither_order_nor_chunks_matter_beyond_l_events(world, name, length, cut, other_cut, rng):
    """Versions and `seen` are equal, and propensities within 1e-12."""
    world = within(world, length, 2 * length)
    shuffled = rng.sample(world, len(world))
    one = Run(MODELS[name], length).feed(*chunks(world, cut))
    other = Run(MODELS[name], length).feed(*chunks(shuffled, other_cut))
    assert one.table.rows == about(other.table)


@given(worlds, names, lengths, cuts)
def test_a_batch_is_the_same_as_its_events_one_by_one(world, name, length, cut):
    world = within(world, length, length)
    at_once = Run(MODELS[name], length).feed(world)
    one_by_one = Run(MODELS[name], length).feed(*[[each] for each in world])
    assert at_once.table.rows == one_by_one.table.rows
    assert at_once.table.latest == one_by_one.table.latest


@given(worlds, names, lengths, cuts, cuts, st.randoms(use_true_random=False))
def test_everything_twice_changes_nothing(world, name, length, cut, other_cut, rng):
    """The second time every event is a repeat, and no row is written."""
    world = within(world, length, 2 * length)
    run = Run(MODELS[name], length).feed(*chunks(world, cut))
    writes, fates = len(run.writes), len(run.fates)
    run.feed(*chunks(rng.sample(world, len(world)), other_cut))
    assert len(run.writes) == writes
    assert set(run.fates[fates:]) == {REPEAT}


@given(worlds, names, lengths, cuts, cuts, st.randoms(use_true_random=False))
def test_everything_twice_in_any_mixture_changes_no_row(world, name, length, cut, other_cut, rng):
    world = within(world, length, length)
    once = Run(MODELS[name], length).feed(*chunks(world, cut))
    twice = Run(MODELS[name], length).feed(*chunks(rng.sample(world * 2, 2 * len(world)), other_cut))
    assert once.table.rows == twice.table.rows
    assert once.table.latest == twice.table.latest


@given(worlds, names, lengths, cuts, st.integers(0, 24), cuts, st.randoms(use_true_random=False))
def test_stale_writes_lose(world, name, length, cut, crash, other_cut, rng):
    """A run that died leaves no trace, its writes mixed in any way with those of one in another order."""
    world = within(world, length, length)
    died = Run(MODELS[name], length).feed(*chunks(world[:crash], cut)).writes
    whole = Run(MODELS[name], length).feed(*chunks(rng.sample(world, len(world)), other_cut))
    stale, live = list(died), list(whole.writes)
    mixed = Table()
    while stale or live:
        mixed.apply((stale if rng.randrange(len(stale) + len(live)) < len(stale) else live).pop(0))
    assert mixed.rows == whole.table.rows
    assert mixed.latest == whole.table.latest


@given(worlds, names, lengths, cuts, st.integers(1, 4))
def test_users_may_be_spread_over_buckets_in_any_number(world, name, length, cut, buckets):
    world = within(world, length, length)
    whole = Run(MODELS[name], length).feed(*chunks(world, cut))
    runs = [Run(MODELS[name], length) for _ in range(buckets)]
    for piece in chunks(world, cut):
        for number, run in enumerate(runs):
            run.feed([each for each in piece if ord(each.user_id) % buckets == number])
    table = Table(write for run in runs for write in run.writes)
    assert table.rows == whole.table.rows
    assert table.latest == whole.table.latest


@given(worlds, names, lengths, cuts, st.integers(0, 24))
def test_a_stop_and_a_start_anywhere_change_no_bit(world, name, length, cut, stop):
    world = within(world, length, length)
    whole = Run(MODELS[name], length).feed(*chunks(world[:stop], cut)).feed(*chunks(world[stop:], cut))
    first = Run(MODELS[name], length).feed(*chunks(world[:stop], cut))
    snapshot = pickle.loads(pickle.dumps(copy.deepcopy(first.bucket)))
    second = Run(MODELS[name], length, Bucket.restore(snapshot, first.models.plan, length))
    second.feed(*chunks(world[stop:], cut))
    assert first.writes + second.writes == whole.writes
    assert first.fates + second.fates == whole.fates


@given(worlds, lengths, cuts, st.integers(0, 24), names, names)
def test_a_restart_under_another_model_is_that_model_from_the_start(world, length, cut, stop, name, other):
    world = within(world, length, length)
    old = Run(MODELS[name], length).feed(*chunks(world[:stop], cut))
    new = Run(MODELS[other], length)
    new = Run(MODELS[other], length, Bucket.restore(old.bucket.snapshot(), new.models.plan, length))
    new.feed(*chunks(world[stop:], cut))
    whole = Run(MODELS[other], length).feed(*chunks(world[:stop], cut))
    before = len(whole.writes)
    whole.feed(*chunks(world[stop:], cut))
    assert new.writes == whole.writes[before:]


@given(worlds, names, lengths, cuts)
def test_every_row_has_one_fate_and_every_outcome_points_to_its_event(world, name, length, cut):
    run = Run(MODELS[name], length)
    known: dict[tuple, set] = {}
    for piece in chunks(world, cut):
        batch = batch_of(piece)
        update = run.bucket.update(batch)
        assert sum(update.counts[fate] for fate in (NEW, REPEAT, CONFLICT, TOO_LATE, DISPUTED)) == len(batch)
        assert len(update.features) == len(update.outcomes)
        shown = {}
        for number, outcome in enumerate(update.outcomes):
            user = batch.event(outcome["user_row"]).user_id
            shown.setdefault(user, []).append(number)
            key = (user, int(outcome["timestamp"]), int(outcome["event_key"]))
            if outcome["body_row"] >= 0:
                row = batch.rows[outcome["body_row"]]
                assert batch.event(outcome["body_row"]).user_id == user
                for field in ("timestamp", "event_key", "type"):
                    assert row[field] == outcome[field]
                assert update.fates[outcome["body_row"]] in (NEW, CONFLICT)
                known.setdefault(key, set())
            assert key in known, "only an event whose body was written can be computed again"
        for numbers in shown.values():
            assert numbers == list(range(numbers[0], numbers[-1] + 1)), "rows of one user stand together"
            rows = update.outcomes[numbers]
            places = list(zip(rows["timestamp"], rows["type"], rows["event_key"], strict=True))
            assert places == sorted(set(places))
            assert np.array_equal(np.diff(rows["seen"]), np.ones(len(rows) - 1))
            assert rows["newest"].tolist() == [False] * (len(rows) - 1) + [True]
        touched = {each.user_id for each, fate in zip(piece, update.fates, strict=True) if fate in (NEW, CONFLICT)}
        assert shown.keys() == touched


@pytest.mark.parametrize(
    ("loser", "winner"),
    [
        (event(type_="IM", campaign="z"), event(type_="CL", campaign="a")),
        (event(type_="IM"), event(type_="CN")),
        (event(type_="PS", campaign="a"), event(type_="PS", campaign="ab")),
        (event(type_="PS", campaign=""), event(type_="PS", campaign="a")),
        (event(type_="PS", campaign="z"), event(type_="PS", campaign="é")),
        (event(type_="PS", campaign="\uffff"), event(type_="PS", campaign="\U00010000")),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_of_two_bodies_the_greater_type_and_then_campaign_wins_whatever_came_first(loser, winner, apart):
    for order in ([loser, winner], [winner, loser]):
        run = Run(MODELS["rich"], 5).feed(*[[each] for each in order] if apart else [order])
        (cell,) = run.table.rows.values()
        assert cell.event == winner
        assert cell.seen == 1
        assert sorted(run.fates) == [NEW, CONFLICT]
        assert_reference(run, DOCUMENTS["rich"])


@pytest.mark.parametrize(
    "change",
    [
        {"publisher": "x"}, {"state": "x"}, {"segment": "x"}, {"product": "x"}, {"quantity": 1}, {"revenue": 1.0},
        {"publisher": "state", "state": "publisher"},
    ],
)  # fmt: skip
def test_bodies_that_differ_elsewhere_are_a_conflict_with_one_winner(change):
    one = event(state="state", publisher="publisher")
    other = replace(one, **change)
    orders = [one, other], [other, one], [one, other, one]
    cells = [Run(MODELS["seed"], 5).feed(order).table.rows for order in orders]
    assert cells[0] == cells[1] == cells[2]
    assert Run(MODELS["seed"], 5).feed([one], [other], [one]).fates == [NEW, CONFLICT, REPEAT]


@pytest.mark.parametrize("field", ["creative", "placement"])
def test_what_no_table_or_feature_reads_makes_no_conflict(field):
    """A sender that begins to fill a column, and sends its log again, repeats its events."""
    before, after = event(), event(**{field: "top"})
    for order in ([before, after], [after, before]):
        assert Run(MODELS["seed"], 1).feed(*[[each] for each in order * 3]).fates == [NEW, *[REPEAT] * 5]


def test_minus_zero_is_zero():
    """A sender that writes -0.0 the second time repeats the event."""
    assert Run(MODELS["seed"], 5).feed([event(revenue=0.0)], [event(revenue=-0.0)]).fates == [NEW, REPEAT]


def test_an_identity_is_user_time_and_event_id():
    run = Run(MODELS["seed"], 5).feed(
        [event("e", 0), event("f", 0), event("e", 1), event("e", 0, user="w"), event("e", 0)]
    )
    assert sorted(run.fates) == [NEW, NEW, NEW, NEW, REPEAT]
    assert_reference(run, DOCUMENTS["seed"])


def test_two_hundred_users_in_any_order_with_repeats_are_those_of_the_reference():
    """20,000 events, shuffled, three in ten sent again."""
    rng, order = np.random.default_rng(11), random.Random(11)
    count = 20_000
    users, kinds = rng.integers(0, 200, count), rng.choice(4, count, p=[0.7, 0.2, 0.06, 0.04])
    times = rng.integers(0, 60 * 24 * 3_600, count) * 1_000
    ids, campaigns = rng.integers(0, 10**6, count), rng.integers(0, 6, count)
    world = [
        event(f"e{ids[i]}", int(times[i]), TYPES[kinds[i]], f"user-{users[i]}", campaign=f"c{campaigns[i]}")
        for i in range(count)
    ]
    sent = world + order.sample(world, 3 * count // 10)
    order.shuffle(sent)
    run = Run(MODELS["decay"], 1_000).feed(*chunks(sent, [1, 2, 500, 5_000, 5_001, 12_000, 25_000]))
    assert run.fates.count(REPEAT) == 3 * count // 10
    assert_reference(run, DOCUMENTS["decay"])


def test_the_plain_scorer_is_the_reference():
    rng = random.Random(5)
    times = sorted(rng.randrange(40 * 24) for _ in range(400))
    for name, document in DOCUMENTS.items():
        world = [
            event(
                f"{number:05}",
                time * HOUR + number,
                rng.choice(TYPES),
                rng.choice("uv"),
                campaign=rng.choice("abc"),
            )
            for number, time in enumerate(times)
        ]
        world = [asdict(each) for each in world]
        for length in (1, 7, 1_000):
            scorer, rows = PlainScorer(document, length), final_rows(world, document, length)
            for each in world:
                assert scorer.score(each) == near(rows[key_of(each)].propensity), name
