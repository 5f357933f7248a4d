"""The default model beside the truth, on simulated users that its training never saw."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jobs.grading.measures import bin_of_hours, entropy, names_of_hours
from jobs.training.logs import Log
from jobs.training.training import score
from jobs.training.training_rows import DAY, Rows, Span, rows_of
from model.scoring.propensity import Model
from tests.flow.running import ROOT
from tests.jobs.worlds import START, world_log

USERS, DAYS, SEED, HORIZON = 5_000, 75, 4711, 7


@pytest.fixture(scope="module")
def world() -> tuple[Log, Rows, np.ndarray]:
    """A log, rows of it, and their true propensities."""
    log, truth = world_log(USERS, DAYS, SEED)
    rows = rows_of(log, Span(START + 30 * DAY, 0, START + (DAYS - HORIZON) * DAY, HORIZON * DAY))
    return log, rows, truth.propensities(log, rows.moments, HORIZON)


def loss(truth: np.ndarray, said: np.ndarray) -> float:
    """The log loss that is to be expected of what is said, where the truth is known: without the luck of labels."""
    return float(-(truth * np.log(said) + (1 - truth) * np.log1p(-said)).mean())


def test_it_is_nearly_as_good_as_the_truth(world: tuple[Log, Rows, np.ndarray]) -> None:
    """The goals: AUC within .01, information .85 at clock times and .80 at events, calibrated to .1 and .2 to .25.

    Judged by the true propensities, so that few users are enough; what is left to luck, which users there are, has a
    margin. `benchmarks.training` prints the figures of many.
    """
    log, rows, truth = world
    said = score(log, rows, Model.from_json((ROOT / "model" / "default.json").read_bytes())).propensities
    hours = (rows.moments.times - log.replay.last_before(rows.moments)) / 3_600_000
    for at, least in ((rows.at_event, 0.80), (~rows.at_event, 0.85)):
        base = entropy(truth[at].mean())
        best, own = (base - loss(truth[at], each[at]) for each in (truth, said))
        assert own / best > least
        assert truth[at].sum() / said[at].sum() == pytest.approx(1, abs=0.12)
        gap = roc_auc_score(rows.labels[at], truth[at]) - roc_auc_score(rows.labels[at], said[at])
        assert gap < 0.015, (own / best, gap)
    clock = ~rows.at_event
    parts = bin_of_hours(hours[clock])
    for number, name in enumerate(names_of_hours()):
        own = parts == number
        assert 0.78 < truth[clock][own].sum() / said[clock][own].sum() < 1.25, name
