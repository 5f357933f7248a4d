"""`python -m jobs evaluate`: models side by side, on rows that none of them was trained on."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from jobs.grading.grade_tables import interval
from jobs.grading.measures import Scored, bin_of_hours, draw_again, draw_both, grade, names_of_hours, ratios, verdict
from jobs.training.evaluate import boosted
from jobs.training.logs import read_log
from jobs.training.training import Split, score
from jobs.training.training_rows import TEST, look_back_for
from model.scoring.propensity import Model
from schemas.logs.log_writer import LogWriter
from tests.flow.running import ROOT
from tests.jobs.running import complaint, jobs
from tests.jobs.worlds import batches_of

DEFAULT, SEED = ROOT / "model" / "default.json", ROOT / "model" / "seed.json"
WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A simulated log, and the truth about it."""
    path = tmp_path_factory.mktemp("world") / "log.parquet"
    batches, truth = batches_of(3_000, 80, 22)
    with LogWriter(path) as log:
        for batch in batches:
            log.write(batch)
    return path, truth


@pytest.fixture(scope="module")
def split(world):
    log = read_log(str(world[0]))
    return Split.of(log, WEEK, look_back_for(log, WEEK))


def test_the_default_model_is_near_the_truth_and_the_originals_is_not(world, split):
    """On users that it never saw: ranks nearly as the oracle, and says how many orders come; the original does not."""
    rows = split.parts[TEST]
    truth = world[1].propensities(split.log, rows.moments, 7.0)
    default, seed = (score(split.log, rows, Model.from_json(path.read_bytes())) for path in (DEFAULT, SEED))
    for at in (rows.at_event, ~rows.at_event):
        best = roc_auc_score(rows.labels[at], truth[at])
        assert roc_auc_score(rows.labels[at], default.propensities[at]) > best - 0.03
        assert default.propensities[at].mean() == pytest.approx(truth[at].mean(), rel=0.2)
        assert seed.propensities[at].mean() > 3 * truth[at].mean()


def test_the_command_prints_models_side_by_side(world, tmp_path):
    """With the original's weights and a gradient boosting, by hours since the last event and by segment."""
    other = tmp_path / "other.json"
    other.write_text(json.dumps(json.loads(SEED.read_text()) | {"id": "other"}))
    run = jobs("evaluate", DEFAULT, other, world[0], "--report", tmp_path / "report.html")
    assert run.returncode == 0, run.stderr
    for expected in ("default", "other", "original", "gradient boosting", "0 to 1 h", "168 h and more", "Younger"):
        assert expected in run.stdout
    verdicts = [line for line in run.stdout.splitlines() if " at events: " in line or " at clock times: " in line]
    assert len(verdicts) == 8
    assert verdicts[0].startswith(("default at events: better than", "default at events: ranks better than"))
    assert any(
        line.startswith("original at events: ") and ("no better than" in line or "worse than" in line)
        for line in verdicts
    )
    report = (tmp_path / "report.html").read_text()
    assert report.startswith("<!DOCTYPE html>")
    titles = [
        "Observed over expected by hours since the last event, at clock times",
        "Observed over expected by segment, at events",
        "Observed over expected by segment, at clock times",
    ]
    for title in titles:
        assert [line.strip() for line in run.stdout.splitlines()].count(title) == 1
        assert report.count(f"<h2>{title}</h2>") == 1
    assert "Grades, on users and times that training on this log would not see" in run.stdout
    assert "168 h and more" in report


def test_the_ceiling_ranks_better_than_chance(split):
    rows = split.parts[TEST]
    assert roc_auc_score(rows.labels, boosted(split)) > 0.65


def rows_with(seed, users=300, per_user=10):
    rng = np.random.default_rng(seed)
    chances = np.repeat(rng.beta(1, 6, users), per_user)
    return Scored(np.repeat(np.arange(users), per_user), rng.random(len(chances)) < chances, chances)


def test_grades_are_scikit_learns_measures():
    scored = rows_with(1)
    grades = grade(scored)
    assert (grades.rows, grades.positive) == (3_000, scored.labels.sum())
    assert grades.auc.value == pytest.approx(roc_auc_score(scored.labels, scored.propensities))
    assert grades.log_loss.value == pytest.approx(log_loss(scored.labels, scored.propensities))
    base = log_loss(scored.labels, np.full(3_000, scored.labels.mean()))
    assert grades.base_log_loss == pytest.approx(base)
    assert grades.information.value == pytest.approx(1 - grades.log_loss.value / base)
    assert verdict(grades) == "better than the base rate, and calibrated within the error"


def test_intervals_are_over_users_not_rows():
    """A row that is there a hundred times, of one user, tells no more: the interval stays as wide."""
    scored = rows_with(2, per_user=2)
    again = Scored(*(np.repeat(each, 100) for each in (scored.users, scored.labels, scored.propensities)))
    one, many = grade(scored, 100).auc, grade(again, 100).auc
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.01)


def test_intervals_hold_the_truth_mostly():
    """Of 95% intervals of observed over expected, which is 1, nearly all have it."""
    inside = 0
    for seed in range(200):
        ratio = grade(rows_with(100 + seed)).observed_over_expected
        inside += ratio.low <= 1 <= ratio.high
    assert inside >= 180


@pytest.mark.parametrize(("positive", "others", "said"), [(1, 0, False), (9, 300, False), (10, 300, True)])
def test_of_few_users_nothing_is_said(positive, others, said):
    """Of so many who convert and as many again who do not; one user alone has rows of both labels, all told right."""
    users = np.repeat(np.arange(positive + others), 40)
    labels = (np.arange(len(users)) % 40 < 10) & (users < positive)
    grades = grade(Scored(users, labels, np.where(labels, 0.9, 0.01)))
    assert grades.auc.value == 1
    assert (verdict(grades) != "no better than the base rate, as far as so few users can tell") == said
    assert (grades.auc.low, grades.auc.high) == ((1, 1) if said else (0, 1))


def test_draws_without_an_order_count_for_what_has_a_value_there():
    """In a third of draws the one user who converted is not: as many orders as none may come."""
    users = np.repeat(np.arange(40), 5)
    grades = grade(Scored(users, users == 0, np.full(200, 0.025)))
    assert grades.observed_over_expected.low == 0
    assert grades.log_loss.low < 0.03 < grades.log_loss.value
    assert grades.information.low <= grades.information.value
    (part,) = ratios(Scored(users, users == 0, np.full(200, 0.025)), np.zeros(200, int), ("all",))
    assert part.observed_over_expected == grades.observed_over_expected


def test_a_draw_that_needs_both_labels_has_them():
    """Where one of forty users converted, who is not in a third of the draws; of others it is the first."""
    rng, users = np.random.default_rng(1), np.repeat(np.arange(40), 5)
    for _ in range(50):
        weights = draw_both(rng, users, users == 0)
        assert 0 < weights[users == 0].sum() < weights.sum() == 200
    all_kinds = np.arange(200) % 5 == 0
    first = draw_again(np.random.default_rng(2), users)
    assert draw_both(np.random.default_rng(2), users, all_kinds).tolist() == first.tolist()


def test_too_much_and_too_little_are_told_apart():
    scored = rows_with(3)
    twice = Scored(scored.users, scored.labels, np.minimum(scored.propensities * 2, 0.999))
    half = Scored(scored.users, scored.labels, scored.propensities / 1.5)
    assert verdict(grade(half)) == "better than the base rate, but says too little"
    assert grade(twice).observed_over_expected.value < 0.7
    noise = Scored(scored.users, np.random.default_rng(1).permutation(scored.labels), scored.propensities)
    assert verdict(grade(noise)) == "worse than the base rate"
    assert grade(Scored(scored.users, scored.labels & False, scored.propensities)) is None


def test_a_model_that_is_sure_that_nobody_converts_is_graded():
    """Each of its propensities counts as 1e-15: all measures are numbers."""
    scored = rows_with(4)
    sure = Scored(scored.users, scored.labels, np.zeros(len(scored.labels)))
    grades = grade(sure)
    assert grades.auc.value == 0.5
    assert grades.observed_over_expected.value == pytest.approx(scored.labels.mean() * 1e15)
    assert verdict(grades) == "worse than the base rate"
    (part,) = ratios(sure, np.zeros(len(sure.users), int), ("all",))
    assert part.observed_over_expected == grades.observed_over_expected


def test_observed_over_expected_by_part():
    scored = Scored(np.arange(8), np.array([1, 1, 0, 0, 0, 0, 0, 0], bool), np.full(8, 0.25))
    found = ratios(scored, np.array([0, 0, 0, 0, 2, 2, 2, 2]), ("a", "b", "c"))
    assert [(each.part, each.rows, each.positive) for each in found] == [("a", 4, 2), ("c", 4, 0)]
    assert found[0].observed_over_expected.value == 2.0
    assert found[1].observed_over_expected is None


@pytest.mark.parametrize("users", [1, 2, 9, 10])
def test_a_group_of_few_users_has_no_interval(users):
    """One of width 0, as of a single user who is drawn again and again, would say that all is certain."""
    owner = np.repeat(np.arange(users), 30)
    scored = Scored(owner, np.arange(len(owner)) % 3 == 0, np.full(len(owner), 0.2))
    (part,) = ratios(scored, np.zeros(len(owner), int), ("all",))
    ratio, grades = part.observed_over_expected, grade(scored)
    assert ratio.value == pytest.approx(1 / 3 / 0.2)
    assert (ratio.low is None) == (ratio.high is None) == (users < 10)
    assert (grades.information.low is None) == (grades.log_loss.high is None) == (users < 10)
    assert ("too few users" in interval(ratio)) == (users < 10)


def test_hours_fall_into_their_bins():
    hours = np.array([0, 0.99, 1, 5.9, 6, 23, 24, 71, 72, 167, 168, 9_999.0])
    assert bin_of_hours(hours).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert len(names_of_hours()) == 6


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("log.csv",), "evaluate: give at least one model file, and then the log"),
        (("none.json", "log.csv"), "none.json: No such file or directory"),
        (("bad.json", "log.csv"), "bad.json: intercept: Field required"),
        ((SEED, "day.json", "log.csv"), "day.json: a horizon of 1d, "),
        ((SEED, "log.csv", "--look-back", "5min"), "--look-back: must be 15min to 3650d, got 5min"),
        ((SEED, "log.csv"), "log.csv: no such file"),
        (("log.csv", "day.json"), "evaluate: day.json is given as the log: the log comes last, after the model files"),
        ((SEED, "log.csv", "--report", "none/report.html"), "--report: none/report.html: no such directory"),
        ((SEED, "log.csv", "--report", "report.pdf"), "--report: report.pdf: must end with .html"),
        ((SEED, "log.csv", "--report", "folder.html"), "--report: folder.html: is a directory"),
        ((SEED, "log.csv", "--report", f"{'r' * 300}.html"), "File name too long"),
    ],
)
def test_what_cannot_be_graded_is_told_in_one_line(tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    document = json.loads(SEED.read_text())
    (tmp_path / "day.json").write_text(json.dumps(document | {"horizon": "1d"}))
    (tmp_path / "bad.json").write_text(json.dumps({name: document[name] for name in document if name != "intercept"}))
    assert expected in complaint("evaluate", *arguments)
