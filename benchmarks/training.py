"""How near trained models come to the truth, and how they do on somebody else's logs.

`python -m benchmarks.training` prints, for a model file (`model/default.json`, or those given): AUC, observed over
expected and information beside the oracle's on simulated users that training never saw, in the world as it is and in
the confounded one; then models trained on the shared logs, fold by fold. It takes a few minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from jobs.import_log import import_log
from jobs.training.grading import Scored, bin_of_hours, grade, names_of_hours
from jobs.training.logs import Log, read_log
from jobs.training.rows import CALIBRATE, DAY, FIT, TEST, VALIDATE, Rows, Span, look_back_for, mixed, rows_of
from jobs.training.tables import print_grades
from jobs.training.training import Split, score, train
from model.propensity import Model
from model.training_record import Grades
from tests.jobs.worlds import START, world_log

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
SEED, USERS, DAYS, ROWS = 4711, 20_000, 75, 400_000
FOLDS = 5
TOUCHPOINTS = """
  SELECT customer_id AS user_id, time AS timestamp,
    CASE WHEN conversion = 1 THEN 'CN' WHEN channel = 'Paid Search' THEN 'PS' ELSE 'IM' END AS type,
    channel AS campaign, conversion_value AS revenue
  FROM log"""
CLICKSTREAM = "SELECT * REPLACE ({} AS campaign) FROM log"


def simulated(models: Sequence[Model], gamma: float) -> None:
    """Print how models do beside the oracle, on users of another seed than any model's."""
    log, truth = world_log(USERS, DAYS, SEED, gamma)
    days = 7
    span = Span(START + 30 * DAY, 0, START + (DAYS - days) * DAY, days * DAY)
    rows = rows_of(log, span, ROWS)
    true = truth.propensities(log, rows.moments, days)
    hours = (rows.moments.times - log.replay.last_before(rows.moments)) / 3_600_000
    print(f"\nsimulated, γ = {gamma:g}: {log.counts}")
    oracle = Scored(rows.moments.users, rows.labels, true)
    for place, at in (("events", rows.at_event), ("clock times", ~rows.at_event)):
        best = grade(oracle.take(at))
        assert best is not None
        print_grades([("oracle", place, best)])
        for model in models:
            scored = score(log, rows, model).take(at)
            grades = grade(scored)
            assert grades is not None
            print_grades([(model.id, place, grades)])
            share = grades.information.value / best.information.value
            gap = best.auc.value - grades.auc.value
            off = true[at].sum() / scored.propensities.sum()
            line = f"AUC {gap:.4f} below the oracle's, {share:.3f} of its information, truth/said {off:.3f}"
            print(f"{model.id}, {place}: {line}")
            if place == "clock times":
                parts = bin_of_hours(hours[at])
                for number, name in enumerate(names_of_hours()):
                    own = parts == number
                    observed, said = scored.labels[own].sum(), scored.propensities[own].sum()
                    truly = true[at][own].sum()
                    line = f"observed/expected {observed / said:.3f}, truth/said {truly / said:.3f}"
                    print(f"  {name}: {own.sum():,} rows, {line}")


def folded(log: Log, horizon: timedelta) -> tuple[Rows, Scored]:
    """The rows of a log, with the propensities of models that were trained on four fifths of the other users."""
    look_back = look_back_for(log, horizon)
    span = Span.of(log, horizon, look_back)
    rows = rows_of(log, span)
    turn = (mixed(log.replay.hashes, "part") % np.uint64(FOLDS))[rows.moments.users]
    spare = (mixed(log.replay.hashes, "sample") % np.uint64(5))[rows.moments.users] == 0
    said = np.empty(len(rows))
    for fold in range(FOLDS):
        parts = {
            FIT: rows.take((turn != fold) & ~spare),
            VALIDATE: rows.take(np.zeros(len(rows), np.bool_)),
            CALIBRATE: rows.take((turn != fold) & spare),
            TEST: rows.take(turn == fold),
        }
        split = Split(log, span, look_back, parts, parts[FIT])
        model = train(split, "fold", horizon, lambda _: None, vectors=0)
        record = model.trained_on
        assert record is not None
        print(f"  fold {fold}: {record.feature_set}, C = {record.regularisation:g}")
        said[turn == fold] = score(log, parts[TEST], model).propensities
    return rows, Scored(rows.moments.users, rows.labels, said)


def shared(name: str, sql: str, horizon: timedelta) -> list[Grades | None]:
    """Print how models do on a shared log, mapped with SQL; the grades at all rows, at events and at clock times."""
    with TemporaryDirectory() as folder:
        mapped = Path(folder) / "log.parquet"
        import_log(DATA / name, sql, mapped)
        rows, scored = folded(read_log(str(mapped)), horizon)
    places = {"all": np.ones(len(rows), np.bool_), "events": rows.at_event, "clock times": ~rows.at_event}
    grades = [grade(scored.take(at), 200) for at in places.values()]
    print_grades([(name, place, each) for place, each in zip(places, grades, strict=True)])
    return grades


def main(files: Sequence[str]) -> None:
    """All of it."""
    models = [Model.from_json(Path(file).read_bytes()) for file in files]
    for gamma in (0.0, 0.7):
        simulated(models, gamma)
    for campaign in ("'NA'", "campaign", "creative", "campaign || ' ' || creative"):
        print(f"\nclickstream within 24 h, campaign = {campaign}")
        shared("clickstream.csv.gz", CLICKSTREAM.format(campaign), timedelta(days=1))
    print("\ntouchpoints within 24 h")
    shared("touchpoints.csv.gz", TOUCHPOINTS, timedelta(days=1))


if __name__ == "__main__":
    main(sys.argv[1:] or ["model/default.json", "model/seed.json"])
