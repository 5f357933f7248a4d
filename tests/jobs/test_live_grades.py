"""Scores that a store holds are graded once their labels are known, on the rows that training draws."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from random import Random

import numpy as np
import pytest

from jobs.grading.measures import Scored, grade
from jobs.grading.passes import Plan, grade_store
from jobs.grading.stored import Stored, sample
from jobs.training.logs import read_log
from jobs.training.training import Split, score
from jobs.training.training_rows import TEST, Rows, draw, label
from model.durations import to_milliseconds
from model.scoring.propensity import Model
from schemas.erasures import Erasure
from schemas.event_types import TYPES
from schemas.grades import ALL, CHALLENGER, CLOCK, EVENT, MODEL
from schemas.logs.log_writer import LogWriter
from schemas.stored_models import FROM_THE_BEGINNING, StoredModel
from stores.sqlite.reader import SqliteReader
from stores.sqlite.writer import SqliteWriter
from tests.flow.running import ROOT, run_flow
from tests.jobs.worlds import DAY, batches_of
from tests.model.driving import HOUR, TIME, Run, event
from tests.model.worlds import MODELS, later
from tests.reference import event_key
from tests.stores.rows import scored

MIDNIGHT = TIME - TIME % DAY
H = DAY
MODEL_OF_A_DAY = MODELS["seed"].model_copy(update={"horizon": timedelta(days=1)})
DAYS = 30
WEEK = timedelta(days=7)


def plan(model=MODEL_OF_A_DAY, challenger=None, *, most=20_000, days=DAYS):
    return Plan(model, challenger, days, most, 1_000)


def at(time, event_id="e", type_="IM", user="u"):
    """An event so many ms after midnight."""
    return event(event_id, MIDNIGHT - TIME + time, type_, user)


class Kept:
    """A store that the stream has written."""

    def __init__(self, path, model=MODEL_OF_A_DAY):
        self.path, self.run = path, Run(model, 1_000)

    def take(self, *events):
        """Events arrive."""
        before = len(self.run.scored)
        self.run.feed(list(events))
        with closing(SqliteWriter(self.path)) as writer:
            for rows in self.run.scored[before:]:
                writer.write(rows)
            writer.flush()
        return self

    def grades(self, asked=None):
        """One pass, its grades by kind and day."""
        with closing(SqliteReader(self.path)) as reader:
            self.found = grade_store(reader, asked or plan())
        with closing(SqliteWriter(self.path)) as writer:
            writer.write_grades(self.found.grades)
            writer.flush()
        return {(each.kind, each.day): each for each in self.found.grades}


@pytest.fixture
def kept(tmp_path):
    return Kept(tmp_path / "rows.db")


def counts(grades, kind=EVENT, day=ALL):
    """The rows and positives of a grade; None where there is none."""
    found = grades.get((kind, day))
    return found and (found.rows, found.positives)


@pytest.mark.parametrize(("now", "expected"), [(H - 1, None), (H, (1, 0)), (H + 1, (1, 0))])
def test_a_label_is_known_once_event_time_has_passed_the_horizon(kept, now, expected):
    kept.take(at(HOUR), at(HOUR + now, "f", user="v"))
    assert counts(kept.grades()) == expected


@pytest.mark.parametrize(("after", "positive"), [(1, 1), (H - 1, 1), (H, 1), (H + 1, 0), (0, 1)])
def test_a_conversion_within_the_horizon_and_at_its_end_counts(kept, after, positive):
    """One at the very ms of a moment follows it where its type ranks behind."""
    kept.take(at(0), at(after, "c", "CN"), at(H + 1, "f", user="v"))
    first = counts(kept.grades(), day="2017-07-14")
    assert first is not None
    assert first[1] == positive


def test_positives_wait_as_long_as_negatives(kept):
    """The conversion came an hour after; a day must have passed none the less."""
    kept.take(at(0), at(HOUR, "c", "CN", "u"), at(H - 1, "f", user="v"))
    assert kept.grades() == {}
    assert kept.found.grades == []
    kept.take(at(2 * H, "g", user="v"))
    assert counts(kept.grades(), CLOCK) is not None


def test_a_conversion_that_comes_late_changes_the_grade_at_the_next_pass(kept):
    """Although event time did not move meanwhile."""
    kept.take(at(0), at(H, "f", user="v"))
    before = kept.grades()[EVENT, ALL]
    assert (before.rows, before.positives) == (1, 0)
    kept.take(at(H - 1, "c", "CN"))
    after = kept.grades()[EVENT, ALL]
    assert (after.rows, after.positives, after.graded_until) == (1, 1, before.graded_until)
    assert after.version > before.version
    with closing(SqliteReader(kept.path)) as reader:
        assert [each for each in reader.grades() if each.kind == EVENT and each.day == ALL] == [after]


@pytest.mark.parametrize(("gap", "expected"), [(59_999, (1, 0)), (60_000, (1, 1))])
def test_conversions_of_one_order_are_one(kept, gap, expected):
    """As in training: one that is closer than a minute to the one before is of its order."""
    kept.take(at(H - 10_000, "c", "CN"), at(H - 10_000 + gap, "d", "CN"), at(4 * H, "f", user="v"))
    assert counts(kept.grades(), day="2017-07-14") == expected


def test_of_a_user_and_day_one_event_and_one_clock_time_count(kept):
    """From the first event on, up to the last moment that is known."""
    kept.take(*[at(day * H + hour * HOUR, f"e{day}-{hour}") for day in range(5) for hour in range(24)])
    grades = kept.grades()
    assert counts(grades) == (4, 0)
    assert counts(grades, CLOCK)[0] in (3, 4)
    assert {day for kind, day in grades if kind == EVENT} == {ALL, *(f"2017-07-{day}" for day in range(14, 18))}


def test_only_the_last_days_are_graded(kept):
    kept.take(*[at(day * H, f"e{day}") for day in range(40)])
    grades = kept.grades(plan(days=3))
    assert sorted(day for kind, day in grades if kind == EVENT) == ["2017-08-19", "2017-08-20", "2017-08-21", ALL]


def test_rows_of_one_label_have_no_measures(kept):
    kept.take(at(0), at(H, "f", user="v"))
    grade = kept.grades()[EVENT, ALL]
    assert grade.auc is None
    assert grade.verdict == "all rows have one label so far"


def test_a_user_whose_first_events_went_has_no_clock_times(kept):
    """As with a retention: what was scored is graded, what would have to be scored is not."""
    kept.take(*[at(day * H, f"{user}{day}", user=user) for day in range(6) for user in "uv"])
    both = kept.grades()
    with closing(sqlite3.connect(kept.path)) as connection, connection:
        connection.execute("DELETE FROM propensity_by_user WHERE user_id = 'u' AND event_time <= ?", (MIDNIGHT,))
    one = kept.grades()
    assert kept.found.cut == 1
    assert (both[EVENT, ALL].rows, one[EVENT, ALL].rows) == (10, 9)
    assert (both[CLOCK, ALL].users, one[CLOCK, ALL].users) == (2, 1)


def test_of_an_erased_user_nothing_counts_any_more(kept):
    kept.take(*[at(day * H, f"{user}{day}", user=user) for day in range(6) for user in "uv"])
    assert kept.grades()[EVENT, ALL].users == 2
    with closing(SqliteWriter(kept.path)) as writer:
        writer.erase([Erasure.of("u", MIDNIGHT + 9 * H)])
        writer.flush()
    after = kept.grades()[EVENT, ALL]
    assert (after.users, after.rows) == (1, 5)


def test_scores_are_graded_under_the_model_that_made_them(tmp_path):
    """Stored scores by what is stored with them, clock times by the model that was valid then."""
    first, second = MODELS["seed"], later(MODELS["decay"], MIDNIGHT + 2 * H)
    first = first.model_copy(update={"horizon": timedelta(days=1)})
    second = second.model_copy(update={"horizon": timedelta(days=1)})
    path, numbers = tmp_path / "rows.db", range(6)
    with closing(SqliteWriter(path)) as writer:
        writer.add_model(StoredModel(FROM_THE_BEGINNING, first.id, first.model_dump_json()))
        writer.add_model(StoredModel(second.start, second.id, second.model_dump_json()))
        for day in numbers:
            name = "gone" if day == 0 else first.id if day < 2 else second.id
            each = at(day * H, f"e{day}")
            writer.write(scored(each, version=each.timestamp * 1000 + day + 1, seen=day + 1, model_id=name))
        writer.flush()
    with closing(SqliteReader(path)) as reader:
        found = grade_store(reader, plan(first, second))
    rows = {(each.model_id, each.kind): each.rows for each in found.grades if each.day == ALL}
    assert (rows[first.id, EVENT], rows[second.id, EVENT]) == (1, 3)
    assert rows[first.id, CLOCK] == 2
    assert rows[second.id, CLOCK] in (2, 3)
    assert found.unknown == {"gone": 1}
    assert {each.role for each in found.grades} == {MODEL}, "a challenger that was added is none any more"


@pytest.mark.parametrize("number", range(3))
def test_grades_do_not_depend_on_the_order_of_arrival(tmp_path, number):
    """Late, sent again, and graded meanwhile: in the end they are those of events that came once, in order."""
    chance = Random(number)
    events = [
        at(chance.randrange(9 * H), f"e{place}", chance.choices(TYPES, (9, 4, 2, 3))[0], f"user-{place % 20}")
        for place in range(400)
    ]
    expected = Kept(tmp_path / "in order.db").take(*sorted(events, key=lambda each: each.timestamp)).grades()
    assert expected[CLOCK, ALL].auc is not None
    kept, arriving = Kept(tmp_path / "as it came.db"), chance.sample(events, 400) + chance.sample(events, 80)
    for start in range(0, len(arriving), 120):
        found = kept.take(*arriving[start : start + 120]).grades()
    assert found.keys() == expected.keys()
    for key, each in expected.items():
        assert replace(found[key], version=each.version) == each


def test_a_challenger_that_is_sure_that_nobody_converts_is_graded(kept):
    sure = MODELS["decay"].model_copy(update={"intercept": -800.0, "horizon": timedelta(days=1)})
    kept.take(at(0), at(0, "g", user="v"), at(HOUR, "c", "CN"), at(2 * H, "f", user="v"))
    found = kept.grades(plan(challenger=sure))[EVENT, ALL]
    assert (found.model_id, found.positives) == (sure.id, 1)
    assert found.observed_over_expected > 1e14
    assert found.verdict == "no better than the base rate, as far as so few users can tell"


def test_an_empty_store_has_no_grades(tmp_path):
    with closing(SqliteReader(tmp_path / "rows.db")) as reader:
        assert grade_store(reader, plan()) is None


def test_a_sample_is_about_as_large_as_asked_for_and_of_all_buckets_alike():
    """A smaller one is a part of a greater one."""
    users = [f"user-{number}" for number in range(20_000)]
    everybody, share = sample(users[::-1], 20_000)
    assert (everybody, share) == (sorted(users), 1.0)
    some, share = sample(users, 4_000)
    assert share == 0.2
    assert len(some) == pytest.approx(4_000, abs=250)
    fewer, _ = sample(users, 1_000)
    assert set(fewer) < set(some)
    by_bucket = np.bincount([event_key(user) % 16 for user in some], minlength=16)
    assert by_bucket == pytest.approx(250, abs=80)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A simulated log, and the store that the flow makes of it."""
    folder = tmp_path_factory.mktemp("world")
    batches, _ = batches_of(1_500, 60, 23)
    with LogWriter(folder / "log.parquet") as log:
        for batch in batches:
            log.write(batch)
    return folder / "log.parquet"


def streamed(log, model):
    """The store of a flow that read the log under a model of the repository."""
    store = log.with_name(f"{model}.db")
    file = ROOT / "model" / f"{model}.json"
    run = run_flow(source="file", file=log, sqlite_path=store, model=file)
    assert run.returncode == 0, run.stderr
    return store


@pytest.fixture(scope="module")
def by_default(world):
    return streamed(world, "default")


def model_named(name):
    return Model.from_json((ROOT / "model" / f"{name}.json").read_bytes())


def passed(store, asked):
    """The grades of a pass over a store."""
    with closing(SqliteReader(store)) as reader:
        return grade_store(reader, asked).grades


def test_grades_of_a_stream_are_those_of_its_log(world, by_default):
    """The same rows, labels and measures that training's own code has of the log, over all and day by day."""
    model, log = model_named("default"), read_log(str(world))
    last = int(log.replay.timestamps.max()) - to_milliseconds(model.horizon)
    moments, at_event = draw(log, (last // DAY - DAYS + 1) * DAY, last)
    rows = Rows(moments, at_event, label(log, moments, to_milliseconds(model.horizon)))
    expected = score(log, rows, model)
    found = passed(by_default, plan(model))
    assert len(found) == 2 * (DAYS + 1)
    for each in found:
        assert (each.model_id, each.role, each.graded_until) == ("default", MODEL, last)
        chosen = at_event == (each.kind == EVENT)
        if each.day != ALL:
            chosen &= moments.times // DAY == int(np.datetime64(each.day, "D").astype(int))
        of_log = grade(expected.take(chosen), resamples=1)
        assert (each.rows, each.positives) == (of_log.rows, of_log.positive)
        assert each.users == len(np.unique(moments.users[chosen]))
        for name in ("auc", "log_loss", "information", "observed_over_expected", "brier"):
            assert getattr(each, name) == pytest.approx(getattr(of_log, name).value, rel=1e-9)


def test_what_evaluate_grades_is_graded_the_same(world, by_default):
    """On the users and times of evaluate's test, the stored scores and the clock times' have the very same bits."""
    model, log = model_named("default"), read_log(str(world))
    with closing(SqliteReader(by_default)) as reader:
        stored = Stored.of(reader, reader.user_ids())
    look_back = timedelta(days=20)
    found = []
    for each in (log, stored.log):
        split = Split.of(each, WEEK, look_back)
        rows = split.parts[TEST]
        own = score(each, rows, model)
        if each is stored.log:
            told = np.where(rows.at_event, stored.propensities[stored.last_events(rows.moments)], own.propensities)
            assert np.array_equal(told, own.propensities)
        order = np.lexsort((rows.at_event, rows.moments.times, each.replay.hashes[rows.moments.users]))
        found.append(Scored(each.replay.hashes[rows.moments.users][order], own.labels[order], own.propensities[order]))
    of_log, of_store = found
    assert len(of_log.users) > 1_000
    for name in ("users", "labels", "propensities"):
        assert np.array_equal(getattr(of_log, name), getattr(of_store, name)), name
    assert grade(of_log) == grade(of_store)


def test_a_challenger_is_graded_as_if_its_scores_had_been_stored(world, by_default):
    """To the last bit: what it would have said in the stream, at events and at clock times; and it stores nothing."""
    challenger = model_named("decay")
    beside = [each for each in passed(by_default, plan(model_named("default"), challenger)) if each.role == CHALLENGER]
    alone = passed(streamed(world, "decay"), plan(challenger))
    assert len(beside) == 2 * (DAYS + 1)
    assert [replace(each, role=MODEL) for each in beside] == alone
    with closing(SqliteReader(by_default)) as reader:
        assert {point.model_id for point in reader.curve(reader.user_ids()[0])} == {"default"}
