"""`python -m jobs train`: a model near the truth that says how good it is, and that the dataflow's settings read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jobs.training import training
from jobs.training.candidates import MARKETING
from jobs.training.logs import read_log
from jobs.training.training import Split, choose, score
from jobs.training.training_rows import TEST, look_back_for
from model.scoring.propensity import Model, Scorer
from schemas.errors import JobError
from schemas.logs.log_writer import LogWriter
from settings import Settings
from tests.jobs.running import complaint, jobs
from tests.jobs.worlds import batches_of
from tests.model.driving import DAY, HOUR, batch_of, event

WEEK = timedelta(days=7)
USERS, DAYS = 2_500, 80


def write(path: Path, batches) -> Path:
    with LogWriter(path) as log:
        for batch in batches:
            log.write(batch)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A simulated log, its truth, the model's file, and what the command said."""
    folder = tmp_path_factory.mktemp("trained")
    batches, truth = batches_of(USERS, DAYS, 21)
    log = write(folder / "log.parquet", batches)
    run = jobs("train", log, "--to", folder / "mine.json")
    assert run.returncode == 0, run.stderr
    return log, truth, folder / "mine.json", run.stdout


@pytest.fixture(scope="module")
def model(trained):
    return Model.from_json(trained[2].read_bytes())


@pytest.fixture(scope="module")
def split(trained):
    log = read_log(str(trained[0]))
    return Split.of(log, WEEK, look_back_for(log, WEEK))


def test_users_that_training_never_saw_are_ranked_nearly_as_the_truth_ranks_them(trained, split, model):
    """At events and at clock times; far better than by chance, and with the right number of orders."""
    rows = split.parts[TEST]
    scored = score(split.log, rows, model)
    truth = trained[1].propensities(split.log, rows.moments, 7.0)
    for place in (rows.at_event, ~rows.at_event):
        found = roc_auc_score(rows.labels[place], scored.propensities[place])
        best = roc_auc_score(rows.labels[place], truth[place])
        assert found > best - 0.05
        assert found > 0.65
        assert scored.propensities[place].mean() == pytest.approx(truth[place].mean(), rel=0.35)


def test_the_file_tells_what_it_was_made_of(trained, split, model):
    record = model.trained_on
    assert (record.log, record.users, record.look_back) == (
        "log.parquet",
        len(split.log.replay.hashes),
        split.look_back,
    )
    assert record.events == len(split.log.replay.users)
    assert record.parts["test"].rows == len(split.parts[TEST])
    assert record.parts["test"].positive == split.parts[TEST].labels.sum()
    assert model.id == "mine"
    assert model.horizon == WEEK
    assert model.attribution.horizon == timedelta(days=1)
    assert len(model.bootstrap) == 20
    assert (trained[2].with_suffix(".html")).read_text().startswith("<!DOCTYPE html>")


def test_one_touch_more_never_lowers_a_propensity(model):
    """No weight of an impression, click or search is negative, in any vector; and there is no recency."""
    marketing = [feature.type in MARKETING for feature in model.features]
    for weights in (model.weights, *(np.array(v.weights) for v in (*model.bootstrap, model.attribution))):
        assert weights[marketing].min() >= 0
    assert {feature.aggregation for feature in model.features} == {"decayed_count"}


def test_sets_of_features_are_compared_on_some_users_and_regularisations_on_all(split, monkeypatch):
    """So many rows as it says, also of users that were drawn from more; and the C of a few rows is not that of many."""
    tried = []
    most = len(split.learning) // 8
    monkeypatch.setattr(training, "CHOOSING", most)
    monkeypatch.setattr(training, "STRENGTHS", (1.0, 10.0))

    def attempt(candidate, strength, rows, x, folds):
        tried.append((strength, [int(fold.fits.sum()) for fold in folds]))
        return training.Choice(candidate, strength, float(len(tried)))

    monkeypatch.setattr(training, "_try", attempt)
    drawn = Split.of(split.log, WEEK, split.look_back, len(split.learning))
    for some in (split, drawn):
        tried.clear()
        choose(some, lambda _: None)
        *compared, weak, strong = tried
        assert (weak[0], strong[0]) == (1.0, 10.0)
        assert weak[1] == strong[1]
        for _, sizes in compared:
            assert sum(sizes) == pytest.approx(most * (len(sizes) - 1), rel=0.2)
            assert sum(sizes) < 0.6 * sum(weak[1])


def test_bootstrap_vectors_lie_around_the_model(split, model):
    """Their mean propensities are near the model's, and none is the model's itself."""
    features = split.features(TEST, model.features)
    mean = Scorer(model)(features).mean()
    means = [
        (1 / (1 + np.exp(-(vector.intercept + features @ np.array(vector.weights))))).mean()
        for vector in model.bootstrap
    ]
    assert min(means) < mean < max(means)
    assert len(set(means)) == len(means)
    assert np.std(means) < 0.2 * mean


def test_a_day_is_shorter_than_a_week(split, model):
    """The vector for attribution predicts fewer orders."""
    features = split.features(TEST, model.features)
    day = 1 / (1 + np.exp(-(model.attribution.intercept + features @ np.array(model.attribution.weights))))
    assert 0.05 < day.mean() / Scorer(model)(features).mean() < 0.5


def test_the_metrics_in_the_file_are_those_of_the_test_part(split, model):
    rows = split.parts[TEST]
    scored = score(split.log, rows, model)
    at_events = model.metrics.at_events
    labels, propensities = rows.labels[rows.at_event], scored.propensities[rows.at_event]
    assert at_events.rows == rows.at_event.sum()
    assert at_events.auc.value == pytest.approx(roc_auc_score(labels, propensities))
    assert at_events.observed_over_expected.value == pytest.approx(labels.sum() / propensities.sum())
    assert at_events.brier.value == pytest.approx(((propensities - labels) ** 2).mean())
    assert at_events.auc.low < at_events.auc.value < at_events.auc.high


def test_the_settings_take_the_file(trained, monkeypatch):
    monkeypatch.setenv("ADSTREAMS_MODEL", str(trained[2]))
    assert Settings().loaded_model.id == "mine"


def test_a_model_file_is_read_as_it_was_written(trained, model):
    assert Model.from_json(model.model_dump_json()) == model
    document = json.loads(trained[2].read_text())
    document["bootstrap"][0]["weights"].pop()
    with pytest.raises(ValueError, match=r"a vector has \d+ weights for \d+ features"):
        Model.from_json(json.dumps(document))


def test_the_command_says_how_good_the_model_is(trained):
    """Counts of each part, and a verdict in words."""
    assert "rows: fit " in trained[3]
    said = trained[3].splitlines()[-2]
    assert "at events better than the base rate" in said or "at events ranks better than chance" in said
    assert "at clock times better than the base rate" in said or "at clock times ranks better than chance" in said


def visits(count, days, conversions):
    """Impressions of users at random, with so many conversions that nothing leads to."""
    rng = np.random.default_rng(1)
    times = rng.integers(0, days * DAY, count)
    kinds = np.where(rng.permutation(count) < conversions, "CN", "IM")
    return [event(f"e{n}", int(times[n]), str(kinds[n]), user=f"u{n % 400}") for n in range(count)]


def test_conversions_that_nothing_leads_to_are_told(tmp_path):
    """The verdict on a log of noise is that the model is no better than the base rate, or worse."""
    log = write(tmp_path / "noise.csv", [batch_of(visits(12_000, 30, 1_200))])
    run = jobs("train", log, "--to", tmp_path / "noise.json", "--horizon", "1d")
    assert run.returncode == 0, run.stderr
    assert any(f"at events {words} than the base rate" in run.stdout for words in ("no better", "worse"))
    metrics = Model.from_json((tmp_path / "noise.json").read_bytes()).metrics
    assert metrics.at_events.auc.low <= 0.5 <= metrics.at_events.auc.high


@pytest.mark.parametrize(
    ("conversions", "expected"),
    [
        (0, "3,000 events, 0 orders, 400 users give 0 rows with an order within the horizon and "),
        (3, "3,000 events, 3 orders, 400 users give "),
    ],
)
def test_a_log_with_too_few_conversions_is_told_in_one_line(tmp_path, conversions, expected):
    log = write(tmp_path / "log.csv", [batch_of(visits(3_000, 60, conversions))])
    assert expected in complaint("train", log, "--to", tmp_path / "model.json")
    assert not (tmp_path / "model.json").exists()


def test_a_log_of_nothing_but_conversions_is_told_in_one_line(tmp_path):
    """Where an order always follows, nothing tells users apart."""
    world = [event(f"{user} {n}", n * 12 * HOUR, "CN", user=f"u{user}") for user in range(60) for n in range(160)]
    log = write(tmp_path / "log.csv", [batch_of(world)])
    line = complaint("train", log, "--to", tmp_path / "model.json")
    assert "and 0 without in the part to fit with" in line


def test_where_the_rows_to_fit_have_one_label_the_counts_are_told(split):
    rows = split.learning
    alone = replace(split, learning=replace(rows, labels=rows.moments.users < 0))
    with pytest.raises(JobError, match=r"rows to fit with, 0 of them with an order within the horizon, of too few"):
        choose(alone, lambda _: None)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("log.csv", "--to", "m.txt"), "--to: m.txt: must end with .json"),
        (("log.csv", "--to", "nowhere/m.json"), "--to: nowhere/m.json: no such directory"),
        (("log.csv", "--to", ""), "--to: .: must end with .json"),
        (("log.csv", "--to", "m.json", "--horizon", "week"), "--horizon: 'week' is not a duration"),
        (("log.csv", "--to", "m.json", "--look-back", "1s"), "--look-back: must be 15min to 3650d, got 1s"),
        (("log.csv", "--to", "m.json", "--look-back", "14min"), "--look-back: must be 15min to 3650d, got 14min"),
        (("nowhere.csv", "--to", "m.json"), "nowhere.csv: no such file"),
        (("log.txt", "--to", "m.json"), "log.txt: no such file"),
        (("log.csv", "--to", "m.json"), "log.csv: no events, 1 rejected"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text("event_id,user_id,timestamp,type\na,u,when,IM\n")
    assert expected in complaint("train", *arguments)
