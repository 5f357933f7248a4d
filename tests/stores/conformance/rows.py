"""What every store promises: versioned upserts, and answers in order."""

import itertools
import math
import random
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.advice import NO_ACTION
from schemas.dead_letters import DeadLetter
from schemas.event_types import TYPES
from schemas.flow_status import ENDED, FlowStatus
from schemas.grades import Grade
from schemas.scored import Propensity
from schemas.stored_models import FROM_THE_BEGINNING, StoredModel
from stores.answers import Score, Summary
from tests.model.driving import Run, Table, chunks
from tests.model.worlds import MODELS, cuts, events, within
from tests.reference import event_key, is_held_out
from tests.stores.rows import ACTIONS, TIME, event, in_order, latest, point, scored

SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]

HOSTILE = [
    "\0",
    "a\0b",
    "'; DROP TABLE dead_letters; --",
    '"',
    "<script>alert(1)</script>",
    "🙂é",
    "%",
    "_",
    "\n",
    "NULL",
]


def write(store, *batches):
    writer = store.writer()
    for rows in batches:
        writer.write(rows)
    writer.flush()


GREATER = [
    ("campaign", "a", "b"), ("campaign", "", "\0"), ("campaign", "z", "é"), ("state", "\uffff", "\U00010000"),
    ("segment", "a", "ab"), ("publisher", "B", "a"), ("product", "NA", "Shoe"),
    ("quantity", 1, 2), ("quantity", 255, 256), ("quantity", 2**31 - 1, -(2**31)), ("quantity", -2, -1),
    ("revenue", 0.0, 5e-324), ("revenue", 2.0, 3.0), ("revenue", 1e308, -5e-324), ("revenue", -1.0, -2.0),
]  # fmt: skip


def changelog(user="u", time=0, version=1, propensity=0.5, seen=1, event_id="e", type_="IM"):
    """A message of the propensity topic."""
    return Propensity(user, TIME + time, event_key(event_id), event_id, type_, propensity, seen, version, "m")


def letter(offset, source="events", partition=0, **fields):
    values = {"reason": "undecodable", "detail": "why", "payload": b"\0\xff'"} | fields
    return DeadLetter(source, partition, offset, **values)


_worlds = itertools.count()


class RowConformance:
    """Versioned upserts, and answers in order."""

    def test_an_empty_store_answers(self, store):
        reader = store.reader()
        assert reader.curve("u") == []
        assert reader.latest(["u"]) == reader.latest([]) == []
        assert reader.most_likely(5) == reader.most_recent(5) == []
        assert reader.search("", 5) == []
        assert reader.dead_letters(5) == []
        assert reader.summary() == Summary(0, None, 0)

    def test_what_is_written_is_read(self, store):
        full = event(
            "e7", 5, "CN", state="CA", segment="Older", campaign="Spring", publisher="pub", creative="c",
            placement="p", product="Shoe", quantity=-3, revenue=0.1 + 0.2,
        )  # fmt: skip
        write(store, scored(full, propensity=0.1234567890123456789, seen=7, model_id="decay"))
        assert store.reader().curve("u") == [point(full, 0.1234567890123456789, 7, "decay")]
        assert store.reader().latest(["u"]) == [latest(full, 0.1234567890123456789, 7, "decay")]

    def test_each_row_has_the_id_of_its_own_model(self, store):
        of_ann, of_bob = event("a", user="ann"), event("b", 1, user="bob")
        rows = replace(scored(of_ann, of_bob), models=("one", "the other"), model=np.array([1, 0], np.uint8))
        write(store, rows, replace(rows, outcomes=scored(of_ann, of_bob, version=2, again=True).outcomes))
        reader = store.reader()
        assert [reader.curve(user)[0].model_id for user in ("ann", "bob")] == ["the other", "one"]
        assert [each.model_id for each in reader.latest(["ann", "bob"])] == ["the other", "one"]

    @pytest.mark.parametrize("text", HOSTILE)
    def test_any_text_is_read_as_it_was_written(self, store, text):
        """NUL, quotes, markup, emoji: in ids and everywhere else."""
        hostile = event(text, user=text, state=text, segment=text, campaign=text, publisher=text, product=text)
        write(store, scored(hostile, event()))
        reader = store.reader()
        assert reader.curve(text) == [point(hostile)]
        assert reader.latest([text]) == [latest(hostile)]
        assert text in reader.search(text[0], 5)
        assert reader.curve("u") == [point(event())]

    def test_ids_that_differ_behind_a_nul_are_two_users(self, store):
        write(store, scored(event(user="a\0b"), event(user="a\0c"), event(user="a")))
        assert [each.user_id for each in store.reader().latest(["a", "a\0c"])] == ["a", "a\0c"]
        assert store.reader().summary().users == 3

    def test_a_curve_is_in_the_sequences_order(self, store):
        """Time, then impression, click, paid search, conversion, then the signed key of the event."""
        rng = random.Random(2)
        world = [event(f"e{number}", number // 8, rng.choice(TYPES)) for number in range(64)]
        shuffled = rng.sample(world, len(world))
        write(store, scored(*shuffled[:30]), scored(*shuffled[30:]))
        assert store.reader().curve("u") == [point(each) for each in in_order(*world)]

    def test_a_curve_holds_its_user_only(self, store):
        write(store, scored(event(user="u"), event(user="u2"), event(user="U")))
        assert store.reader().curve("u") == [point(event())]
        assert store.reader().curve("nobody") == []

    @pytest.mark.parametrize(
        ("start", "end", "limit", "expected"),
        [
            (None, None, 2_000, range(10)),
            (None, None, 3, range(7, 10)),
            (3, 6, 2_000, range(3, 7)),
            (3, 3, 9, [3]),
            (3, None, 2_000, range(3, 10)),
            (None, 3, 2_000, range(4)),
            (None, 6, 2, [5, 6]),
            (7, 6, 9, []),
            (11, None, 9, []),
            (None, None, 0, []),
        ],
    )
    def test_a_curve_is_cut_to_its_times_and_its_newest_points(self, store, start, end, limit, expected):
        """Both ends are part of it."""
        write(store, scored(*[event(f"e{number}", number) for number in range(10)]))
        start, end = (None if each is None else TIME + each for each in (start, end))
        found = store.reader().curve("u", start, end, limit)
        assert [each.event_time - TIME for each in found] == list(expected)

    @pytest.mark.parametrize("limit", range(9))
    def test_a_limit_amid_events_of_one_instant_keeps_the_last_in_the_sequences_order(self, store, limit):
        """The conversion of an instant is newer than its impressions, whatever their keys are."""
        world = in_order(*[event(f"e{number}", 0, TYPES[number % 4]) for number in range(8)])
        write(store, scored(*world))
        assert store.reader().curve("u", limit=limit) == [point(each) for each in world[len(world) - limit :]]

    def test_a_stale_row_changes_nothing(self, store):
        newer, older = event("e", 0, "CN", campaign="b"), event("e", 0, "IM", campaign="a")
        write(store, scored(newer, version=9, propensity=0.9, seen=4))
        write(store, scored(older, version=8, propensity=0.1, seen=3, model_id="old"))
        write(store, scored(older, version=8, propensity=0.1, seen=3, model_id="old", again=True))
        assert store.reader().curve("u") == [point(newer, 0.9, 4)]
        assert store.reader().latest(["u"]) == [latest(newer, 0.9, 4)]

    @pytest.mark.parametrize("flushes", [True, False])
    def test_an_equal_or_newer_row_replaces(self, store, flushes):
        """An equal version is a retry, or the same row under another model."""
        writer = store.writer()
        first, second = event("e", 0, "IM", campaign="a"), event("e", 0, "CN", campaign="b")
        for number, (each, version) in enumerate([(first, 5), (first, 5), (second, 6)]):
            writer.write(scored(each, version=version, propensity=number / 10, seen=number, model_id=f"m{number}"))
            if flushes:
                writer.flush()
                assert store.reader().curve("u") == [point(each, number / 10, number, f"m{number}")]
        writer.flush()
        assert store.reader().curve("u") == [point(second, 0.2, 2, "m2")]
        assert store.reader().latest(["u"]) == [latest(second, 0.2, 2, "m2")]

    def test_the_winner_of_a_conflict_is_shown_whatever_its_version(self, store):
        """A run died after it had shown the loser; the replay meets the winner first, at a smaller version."""
        loser, winner = event("e", 10, "IM", campaign="a"), event("e", 10, "CN", campaign="b")
        older = [event("f", 0), event("g", 1)]
        died = Run(MODELS["seed"], 5).feed([*older, loser])
        replay = Run(MODELS["seed"], 5).feed([winner], [loser], older)
        write(store, *died.scored, *replay.scored)
        (cell,) = (cell for key, cell in replay.table.rows.items() if key[1] == winner.timestamp)
        assert store.reader().curve("u")[-1] == point(winner, cell.propensity, 3, "seed")

    @pytest.mark.parametrize(("field", "smaller", "greater"), GREATER)
    @pytest.mark.parametrize("backwards", [False, True])
    def test_of_two_bodies_of_one_type_each_field_keeps_its_greater_value(
        self, store, field, smaller, greater, backwards
    ):
        """As Cassandra's cells do at one write timestamp: by bytes, so that negative numbers are above the others."""
        one, other = (event("e", 0, "PS", **{field: value}) for value in (smaller, greater))
        run = Run(MODELS["seed"], 5).feed(*([other], [one]) if backwards else ([one], [other]))
        write(store, *run.scored)
        (found,) = store.reader().curve("u")
        (cell,) = run.table.rows.values()
        assert found == point(other, cell.propensity, 1, "seed")

    def test_bodies_of_one_batch_are_merged_field_by_field(self, store):
        """The loser of a conflict is written too, for the fields in which it is the greater."""
        winner = event("e", 0, "PS", campaign="b", product="A", quantity=-1, revenue=1.0)
        loser = event("e", 0, "PS", campaign="a", product="B", quantity=7, revenue=2.0)
        lesser = event("e", 0, "CL", campaign="z", product="Z")
        run = Run(MODELS["seed"], 5).feed([loser, winner, lesser])
        write(store, *run.scored)
        (found,) = store.reader().curve("u")
        assert (found.event_type, found.campaign, found.product) == ("PS", "b", "B")
        assert (found.quantity, found.revenue) == (-1, 2.0)

    def test_minus_zero_is_zero(self, store):
        write(store, scored(event(revenue=-0.0)))
        assert math.copysign(1.0, store.reader().curve("u")[0].revenue) == 1.0

    def test_a_row_computed_again_changes_only_what_is_computed(self, store):
        body = event(
            "e", 0, "PS", state="CA", campaign="Spring", publisher="pub", product="Shoe", quantity=2, revenue=9.0
        )
        write(store, scored(body, version=3))
        bare = event("e", 0, "PS")  # what came with it has none of the body
        write(store, scored(bare, version=4, propensity=0.75, seen=2, model_id="n", again=True))
        assert store.reader().curve("u") == [point(body, 0.75, 2, "n")]
        assert store.reader().latest(["u"]) == [latest(body, 0.75, 2, "n")]

    def test_a_row_computed_again_that_was_never_written_is_not_invented(self, store):
        write(store, scored(event(), version=3, again=True))
        assert store.reader().curve("u") == []

    def test_rows_of_one_flush_count_in_the_order_of_their_versions(self, store):
        """A row and its later values may be held together."""
        write(
            store,
            scored(event(), version=1, propensity=0.1),
            scored(event(), version=3, propensity=0.3, again=True),
            scored(event(), version=2, propensity=0.2, again=True),
        )
        assert store.reader().curve("u") == [point(event(), 0.3)]

    def test_where_a_user_stands_is_the_newest_event(self, store):
        """An older event that comes later does not move it."""
        old, new = event("a", 0, "IM"), event("b", 10, "CL")
        write(store, scored(new, version=2_000, propensity=0.8), scored(old, version=1, propensity=0.2))
        assert store.reader().latest(["u"]) == [latest(new, 0.8)]

    def test_where_users_stand_is_restored_from_the_changelog(self, store):
        """In whatever order its messages come, with or without event ids; rows are not touched."""
        messages = [changelog(time=5, version=9, propensity=0.9, type_="CN"), changelog(version=3), changelog("v")]
        messages = [replace(message, event_id=None) for message in messages]
        writer = store.writer()
        writer.write_latest(messages)
        writer.write_latest(messages[1:2])
        writer.write_latest([])
        writer.flush()
        assert store.reader().latest(["u", "v"]) == [latest(event("e", 5, "CN"), 0.9), latest(event(user="v"))]
        assert store.reader().curve("u") == []

    def test_what_to_do_next_is_told_of_where_users_stand(self, store):
        """Of the newest row alone; where nothing is worth doing it is None, whatever was before; held out or not."""
        writer, gains = store.writer(), {"best_action": ACTIONS[0], "gain": 0.25, "net": -1e-300}
        old, new = event("old", 0), event("new", 5)
        advice = [(1, 0.5, 7.5, False), (0, 0.25, -1e-300, True)]
        writer.write(scored(old, new, version=[1, 2], advice=advice))
        writer.write(scored(event("e", user="v"), advice=[(NO_ACTION, 0.0, 0.0, True)]))
        writer.flush()
        assert store.reader().latest(["u"]) == [latest(new, **gains, hold_out=True)]
        assert store.reader().latest(["v"]) == [latest(event(user="v"), hold_out=True)]
        writer.write(scored(event("newest", 9), version=3, advice=[(NO_ACTION, 0.0, 0.0, False)]))
        writer.write_latest([replace(changelog("v", version=2), **gains, hold_out=True)])
        writer.flush()
        assert store.reader().latest(["u", "v"]) == [
            latest(event("newest", 9)),
            latest(event(user="v"), **gains, hold_out=True),
        ]
        writer.write_latest([changelog("v", version=3)])
        writer.flush()
        assert store.reader().latest(["v"]) == [latest(event(user="v"))]

    def test_the_changelog_and_the_rows_agree_by_version(self, store):
        writer = store.writer()
        writer.write(scored(event("e", 5), version=5, propensity=0.5))
        writer.write_latest([changelog(time=4, version=4, propensity=0.4)])
        writer.flush()
        assert store.reader().latest(["u"]) == [latest(event("e", 5), 0.5)]
        writer.write_latest([changelog(time=6, version=6, propensity=0.6)])
        writer.flush()
        assert store.reader().latest(["u"]) == [latest(event("e", 6), 0.6)]

    def test_where_the_given_users_stand_is_told_of_those_that_are_known(self, store):
        write(store, scored(*[event(user=f"u{number}") for number in range(5)]))
        found = store.reader().latest(["u3", "nobody", "u1", "u3"])
        assert sorted(each.user_id for each in found) == ["u1", "u3"]
        assert len(store.reader().latest([f"u{number}" for number in range(5_000)])) == 5

    def test_users_are_ranked_by_propensity_and_by_time(self, store):
        world = [event(user=f"u{number}", time=number) for number in range(6)]
        write(store, scored(*world, propensity=[0.3, 0.9, 0.1, 0.7, 0.2, 0.5]))
        reader = store.reader()
        assert [each.user_id for each in reader.most_likely(3)] == ["u1", "u3", "u5"]
        since = reader.latest(["u3"])[0].event_time
        assert [each.user_id for each in reader.most_likely(9, since)] == ["u3", "u5", "u4"]
        assert [each.user_id for each in reader.most_recent(3)] == ["u5", "u4", "u3"]
        assert len(reader.most_likely(100)) == len(reader.most_recent(100)) == 6
        write(store, scored(event("x", 100, user="u1"), version=9, propensity=0.0))
        assert reader.most_likely(1)[0].user_id == "u3"
        assert reader.most_recent(1)[0].user_id == "u1"

    @pytest.mark.parametrize(
        ("prefix", "expected"),
        [
            ("", ["A", "a", "a%b", "a_b", "aa", "a\U0010ffff", "a\U0010ffffz", "b", "é", "🙂", "\U0010ffff"]),
            ("a", ["a", "a%b", "a_b", "aa", "a\U0010ffff", "a\U0010ffffz", "A"]),
            ("a%", ["a%b"]), ("A_", ["a_b"]), ("É", ["é"]), ("é", ["é"]), ("B", ["b"]), ("AA", ["aa"]),
            ("A", ["A", "a", "a%b", "a_b", "aa", "a\U0010ffff", "a\U0010ffffz"]),
            ("🙂", ["🙂"]), ("c", []), ("aaa", []),
            ("a\U0010ffff", ["a\U0010ffff", "a\U0010ffffz"]),
        ],
    )  # fmt: skip
    def test_a_search_finds_what_starts_with_the_prefix_in_order(self, store, prefix, expected):
        """Letter by letter, whatever its case: ids that are spelt so come first. No wildcards."""
        ids = ["b", "a", "aa", "A", "a%b", "a_b", "é", "🙂", "a\U0010ffff", "a\U0010ffffz", "\U0010ffff"]
        write(store, scored(*[event(user=each) for each in ids]))
        assert store.reader().search(prefix, 50) == expected
        assert store.reader().search(prefix, 2) == expected[:2]

    @pytest.mark.parametrize(
        "typed", ["customer-with-a-long-name-1", "CUSTOMER-WITH-A-LONG-NAME-1", "Customer-with-A-"]
    )
    def test_a_search_in_any_case_has_no_limit_of_length(self, store, typed):
        """More spellings than are tried one by one: the rest of the letters is compared."""
        ids = [
            "Customer-With-A-Long-Name-1",
            "customer-with-a-long-name-12",
            "customer-with-b-long-name-1",
            "[x]",
            "\\d",
        ]
        write(store, scored(*[event(user=each) for each in ids]))
        assert sorted(store.reader().search(typed, 9)) == ids[:2]
        assert [store.reader().search(each, 9) for each in ("[X", "\\D", "1")] == [["[x]"], ["\\d"], []]

    def test_dead_letters_are_kept_by_place_and_read_in_order(self, store):
        writer = store.writer()
        letters = [
            letter(5),
            letter(3, partition=1),
            letter(2, source="conversions"),
            letter(1, payload=b""),
            letter(10),
        ]
        writer.write_dead_letters(letters[:2])
        writer.write_dead_letters(letters[2:])
        writer.flush()
        expected = [letters[2], letters[3], letters[0], letters[4], letters[1]]
        assert store.reader().dead_letters(50) == expected
        assert store.reader().dead_letters(2) == expected[:2]
        assert store.reader().summary() == Summary(0, None, 5)

    def test_a_dead_letter_again_is_one_dead_letter(self, store):
        writer = store.writer()
        for detail in ("first", "second"):
            writer.write_dead_letters([letter(1, detail=detail)])
            writer.flush()
        assert store.reader().dead_letters(5) == [letter(1, detail="second")]

    def test_dead_letters_that_are_cleared_are_gone_and_the_others_stay(self, store):
        """In the order of the calls, within a flush and between flushes."""
        writer, reader = store.writer(), store.reader()
        writer.write_dead_letters([letter(1), letter(2), letter(3), letter(4)])
        writer.clear_dead_letters([letter(2), letter(3), letter(99)])
        writer.write_dead_letters([letter(3, detail="again")])
        writer.flush()
        assert reader.dead_letters(9) == [letter(1), letter(3, detail="again"), letter(4)]
        writer.clear_dead_letters([letter(1, detail="other")])
        writer.flush()
        assert reader.dead_letters(9) == [letter(3, detail="again"), letter(4)]
        assert reader.summary().dead_letters == 2
        writer.write_dead_letters([letter(1)])
        writer.flush()
        assert reader.dead_letter("events", 0, 1) == letter(1)

    def test_one_dead_letter_is_found_by_its_place(self, store):
        writer, reader = store.writer(), store.reader()
        writer.write_dead_letters([letter(1), letter(1, partition=1, payload=b"other")])
        writer.flush()
        assert reader.dead_letter("events", 1, 1) == letter(1, partition=1, payload=b"other")
        assert reader.dead_letter("events", 2, 1) is reader.dead_letter("events", 0, 2) is None
        assert reader.dead_letter("conversions", 0, 1) is None

    @pytest.mark.parametrize("text", HOSTILE)
    def test_a_dead_letter_may_hold_anything(self, store, text):
        hostile = letter(2**62, source=text, detail=text, payload=text.encode() + b"\xff\0")
        writer = store.writer()
        writer.write_dead_letters([hostile])
        writer.flush()
        assert store.reader().dead_letters(5) == [hostile]

    def test_a_summary_counts_users_and_tells_the_newest_time(self, store):
        write(store, scored(event("a", 5), event("b", 9), event(user="v", time=7)))
        assert store.reader().summary() == Summary(2, TIME + 9, 0)

    def test_a_reader_sees_each_flush(self, store):
        reader, writer = store.reader(), store.writer()
        for number in range(3):
            writer.write(scored(event(f"e{number}", number), version=number * 2_000))
            writer.flush()
            assert len(reader.curve("u")) == number + 1
            assert reader.latest(["u"])[0].event_time == TIME + number

    def test_what_is_pushed_is_soon_read(self, store):
        """Without a flush."""
        writer, reader = store.writer(), store.reader()
        assert 0 < writer.push_interval <= 1
        writer.push()
        writer.write(scored(event()))
        writer.push()
        deadline = time.monotonic() + 10
        while not reader.curve("u") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert reader.curve("u") == [point(event())]
        writer.flush()

    def test_flushing_nothing_and_flushing_twice_are_harmless(self, store):
        writer = store.writer()
        writer.flush()
        writer.write(scored(event()))
        writer.flush()
        writer.flush()
        assert store.reader().curve("u") == [point(event())]

    def test_no_rows_are_no_rows(self, store):
        write(store, scored())
        assert store.reader().summary() == Summary(0, None, 0)

    def test_what_is_written_outlives_the_writer(self, store):
        writer = store.writer()
        writer.write(scored(event()))
        writer.flush()
        writer.close()
        write(store, scored(event("f", 1), version=2_000))
        assert len(store.reader().curve("u")) == 2

    def test_many_rows_are_written_without_being_asked_for(self, store):
        """A backfill does not wait for its first epoch in memory."""
        writer = store.writer()
        rows = scored(*[event(f"e{number}", number) for number in range(5_000)], version=np.arange(5_000))
        for _ in range(21):
            writer.write(rows)
        assert store.reader().summary().users == 1

    @settings(max_examples=25, suppress_health_check=SUPPRESSED)
    @given(st.lists(events, min_size=1, max_size=24), cuts, cuts, st.randoms(use_true_random=False))
    def test_a_store_keeps_the_rows_that_its_rules_keep(self, store, world, cut, other_cut, rng):
        """Two runs over the same events in other orders, their writes mixed: as in the tests' table."""
        user = f"{next(_worlds)}-"
        world = [replace(each, user_id=user + each.user_id) for each in within(world, 5, 5)]
        one = Run(MODELS["rich"], 5).feed(*chunks(world, cut))
        two = Run(MODELS["rich"], 5).feed(*chunks(rng.sample(world, len(world)), other_cut))
        batches = [(run.scored[number], number) for run in (one, two) for number in range(len(run.scored))]
        batches.sort(key=lambda item: item[1])
        writer = store.writer()
        for rows, _ in batches:
            writer.write(rows)
            if rng.random() < 0.5:
                writer.flush()
        writer.flush()
        table, reader = Table(two.writes), store.reader()
        for user_id in {each.user_id for each in world}:
            found = {(user_id, each.event_time, each.event_key): each for each in reader.curve(user_id)}
            cells = {key: cell for key, cell in table.rows.items() if key[0] == user_id}
            assert found == {key: point(cell.event, cell.propensity, cell.seen, "rich") for key, cell in cells.items()}
            (stands,) = reader.latest([user_id])
            last = max(cells.values(), key=lambda cell: cell.seen)
            assert stands == latest(last.event, last.propensity, last.seen, "rich", hold_out=is_held_out(user_id))

    def test_what_grades_are_made_of_is_read_user_by_user(self, store):
        """In the order of the users that were asked for, each in the sequence's order; of nobody there is nothing."""
        world = [event(f"e{number}", number // 4, TYPES[number % 3], campaign="Spring") for number in range(9)]
        write(store, scored(*world, seen=3, propensity=0.25, model_id="n"), scored(event("other", 1, user="v")))
        reader = store.reader()
        assert sorted(reader.user_ids()) == ["u", "v"]
        nobody, other, own = reader.scores(["nobody", "v", "u"])
        assert (nobody, len(other)) == ([], 1)
        expected = [
            Score(each.timestamp, event_key(each.event_id), each.type, "Spring", each.revenue, 0.25, 3, "n")
            for each in in_order(*world)
        ]
        assert own == expected

    def test_the_newer_grade_of_a_key_stays(self, store):
        """Whichever was written last; one without measures has none of those before."""
        older = Grade("m", "event", "all", "model", 9, 3, 2, TIME, 5, *(number / 8 for number in range(1, 13)))
        newer = Grade("m", "event", "all", "model", 10, 4, 0, TIME + 1, 6)
        day = replace(older, day="2017-07-14")
        writer, reader = store.writer(), store.reader()
        assert reader.grades() == []
        for grades in ([older, day], [newer], [older]):
            writer.write_grades(grades)
            writer.flush()
        assert reader.grades() == [day, newer]
        writer.write_grades([replace(newer, positives=1, graded_until=TIME - 1, version=7)])
        writer.flush()
        assert [each.positives for each in reader.grades()] == [2, 1]

    def test_models_are_told_in_the_order_of_their_times_and_none_takes_anothers_place(self, store):
        writer, reader = store.writer(), store.reader()
        assert writer.models() == reader.models() == []
        first, later = StoredModel(FROM_THE_BEGINNING, "first", "{}"), StoredModel(TIME, "later", '{"é": 1.5}')
        for model in (later, first, StoredModel(TIME, "rival", "{}"), later):
            writer.add_model(model)
        assert writer.models() == reader.models() == store.writer().models() == [first, later]
        writer.remove_model(StoredModel(TIME, "rival", "{}"))
        assert reader.models() == [first, later]
        writer.remove_model(later)
        assert reader.models() == [first]
        writer.remove_model(later)
        writer.add_model(StoredModel(TIME, "rival", "{}"))
        assert [each.model_id for each in reader.models()] == ["first", "rival"]

    def test_what_fills_the_store_is_kept_and_changes_only_from_what_it_was(self, store):
        writer = store.writer()
        assert writer.provenance() is None
        writer.note_provenance("first", None)
        writer.note_provenance("another's", None)
        writer.note_provenance("too late", "nothing")
        assert writer.provenance() == "first"
        writer.note_provenance("next", "first")
        assert writer.provenance() == store.writer().provenance() == "next"

    @pytest.mark.parametrize("kind", ["event", "letter", "latest"])
    def test_a_store_is_empty_until_something_is_in_it(self, store, kind):
        writer = store.writer()
        assert writer.is_empty()
        match kind:
            case "event":
                writer.write(scored(event("a", 1)))
            case "letter":
                writer.write_dead_letters([DeadLetter("s", 0, 1, "missing", "no user_id", b"{}")])
            case "latest":
                writer.write_latest([Propensity("u", 1, 2, "e", "IM", 0.5, 1, 3, "m")])
        writer.flush()
        assert not writer.is_empty()

    def test_each_process_of_a_flow_has_one_status(self, store) -> None:
        """What it said last, beside those of the others."""
        writer, reader = store.writer(), store.reader()
        first = FlowStatus(0, 2, "one", 11, started=1, beat=2)
        for status in (
            FlowStatus(1, 2, "two", 22, started=1, beat=2),
            first,
            replace(first, beat=3, state=ENDED, code=0),
        ):
            writer.note_status(status)
        assert reader.statuses() == [
            replace(first, beat=3, state=ENDED, code=0),
            FlowStatus(1, 2, "two", 22, started=1, beat=2),
        ]
