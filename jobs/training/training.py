"""Rows -> a model: features and regularisation chosen, fitted, calibrated, drawn again, graded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from jobs.grading.measures import Scored, draw_both, grade
from jobs.training.candidates import Candidate, candidates, groups_of
from jobs.training.fitting import Floats, Platt, Weights, fit, log_odds
from jobs.training.logs import Log
from jobs.training.training_rows import (
    CALIBRATE,
    FIT,
    TEST,
    VALIDATE,
    Rows,
    Span,
    is_part,
    label,
    mixed,
    parts_of,
    rows_of,
)
from model.durations import to_milliseconds
from model.features.kinds import Feature
from model.scoring.propensity import Model, Scorer, ShortTerm, Vector
from model.scoring.training_record import Metrics, Part, TrainedOn, from_milliseconds
from schemas.errors import JobError

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""C of scikit-learn's logistic regression, strongest regularisation first."""
USUAL = 1.0
"""The C under which sets of features are compared."""
CHOOSING = 150_000
"""Training rows that sets of features are compared on at the most."""
ENOUGH, TURNS = 1_000, 4
"""With fewer positive rows to validate with, all training users take turns at it, in so many folds."""
VECTORS = 20
"""Bootstrap vectors."""
SHORT = timedelta(days=1)
"""Horizon of attribution."""
LEAST = 10
"""Rows of each label that each part needs."""
PARTS = {FIT: "fit", VALIDATE: "validate", CALIBRATE: "calibrate", TEST: "test"}

Step = Callable[[str], None]
"""Told what comes next."""


@dataclass(frozen=True, eq=False)
class Split:
    """A log's rows by part, each row in at most one; `learning` are those to fit and those to validate with."""

    log: Log
    span: Span
    look_back: timedelta
    parts: dict[int, Rows]
    learning: Rows

    @classmethod
    def of(cls, log: Log, horizon: timedelta, look_back: timedelta, most: int | None = None) -> Split:
        """The split of a log; `most` limits the rows drawn.

        Raises:
            JobError: the log is too short, or a part has too few rows of a label.
        """
        span = Span.of(log, horizon, look_back)
        rows = rows_of(log, span, most)
        parts = parts_of(log, rows, span)
        by_part = {part: rows.take(parts == part) for part in PARTS}
        split = cls(log, span, look_back, by_part, rows.take((parts == FIT) | (parts == VALIDATE)))
        for part, name in PARTS.items():
            labels = split.parts[part].labels
            positive, negative = int(labels.sum()), int((~labels).sum())
            if min(positive, negative) < LEAST:
                raise JobError(
                    f"{log.name}: {log.counts} give {positive:,} rows with an order within the horizon and "
                    f"{negative:,} without in the part to {name} with; each needs {LEAST}; events are {log.period}"
                )
        return split

    def features(self, part: int, features: Sequence[Feature]) -> Floats:
        """Features of a part's rows."""
        return self.log.features(features, self.parts[part].moments)


@dataclass(frozen=True, slots=True)
class Choice:
    """A set of features and a regularisation, and the log loss on the rows to validate with."""

    candidate: Candidate
    strength: float
    loss: float


def train(split: Split, name: str, horizon: timedelta, step: Step, vectors: int = VECTORS) -> Model:
    """The model of a split log, graded on rows that it never saw.

    1. Sets of features are compared under one regularisation, then regularisations, by log loss on other users.
    2. Fitted on all training users, calibrated on others after T1, folded into the weights.
    3. The same features for the short horizon, and for users drawn again, to fit and to calibrate with.

    Raises:
        JobError: the rows of a label are of too few users.
    """
    choice = choose(split, step)
    features = choice.candidate.features
    groups = groups_of(features)
    learning = split.learning
    x = split.log.features(features, learning.moments)
    calibrating = split.features(CALIBRATE, features)
    step("fitting")
    raw = fit(x, learning.labels, groups, choice.strength)
    labels = split.parts[CALIBRATE].labels
    logits = raw.logits(calibrating)
    platt = Platt.of(logits, labels)
    short, final = min(SHORT, horizon), platt.fold(raw)
    near = final
    if short < horizon:
        step("fitting attribution's horizon")
        near = _short_term(split, learning, x, calibrating, groups, choice.strength, to_milliseconds(short))
    again = []
    rng = np.random.default_rng(1)
    owner, other = (_owners(rows) for rows in (learning, split.parts[CALIBRATE]))
    for number in range(vectors):
        step(f"users drawn again: {number + 1} of {vectors}")
        drawn = fit(x, learning.labels, groups, choice.strength, draw_both(rng, owner, learning.labels), raw)
        # The model's own calibration, of other users: one of the drawn weights would take back what is noise in them,
        # and gains would lie beyond their intervals.
        again.append(Platt.of(logits, labels, draw_both(rng, other, labels)).fold(drawn))
    step("grading")
    kept = np.flatnonzero((raw.weights != 0) | (near.weights != 0))
    if not len(kept):
        kept = np.arange(1)
    model = Model(
        id=name,
        intercept=final.intercept,
        horizon=horizon,
        features=tuple(features[at].model_copy(update={"weight": float(final.weights[at])}) for at in kept),
        attribution=ShortTerm(horizon=short, **_vector(near, kept).model_dump()),
        bootstrap=tuple(_vector(weights, kept) for weights in again),
        trained_on=_record(split, choice),
    )
    return model.model_copy(update={"metrics": measure(split, model)})


def _owners(rows: Rows) -> NDArray[np.int64]:
    """The users of rows (n), numbered from 0 without a gap."""
    return np.unique(rows.moments.users, return_inverse=True)[1]


def choose(split: Split, step: Step) -> Choice:
    """The set of features, then the regularisation, with the least log loss on users that were not fitted.

    Sets of features are compared on a share of a large log. A regularisation is not: fewer rows want a stronger one.

    Raises:
        JobError: the rows of a label are of too few users.
    """
    rows, some = split.learning, _folds(split, CHOOSING)
    choices, best = list[Choice](), np.empty((0, 0))
    for candidate in candidates(split.log, split.look_back):
        step(f"trying {candidate.name}")
        x = split.log.features(candidate.features, rows.moments)
        choices.append(_try(candidate, USUAL, rows, x, some))
        if min(choices, key=_loss) is choices[-1]:
            best = x
    found, folds = min(choices, key=_loss).candidate, _folds(split)
    choices.clear()
    for strength in STRENGTHS:
        step(f"trying C = {strength:g}")
        choices.append(_try(found, strength, rows, best, folds))
    return min(choices, key=_loss)


@dataclass(frozen=True, eq=False)
class Fold:
    """Which rows fit and which validate."""

    fits: NDArray[np.bool_]
    validates: NDArray[np.bool_]


def _folds(split: Split, most: float = np.inf) -> list[Fold]:
    """The part to validate with; where it has few positive rows, all users take turns. No more than `most` rows fit.

    Raises:
        JobError: whoever validates, the rows that fit have one label.
    """
    rows, hashes = split.learning, split.log.replay.hashes
    share = min(1.0, most / len(rows))
    chosen = (mixed(hashes, "choose") >> np.uint64(1) <= np.uint64(share * 2.0**63))[rows.moments.users]
    validates = is_part(split.log, rows.moments.users, VALIDATE)
    if rows.labels[validates].sum() >= ENOUGH:
        return [Fold(chosen & ~validates, validates)]
    turn = (mixed(hashes, "turn") % np.uint64(TURNS))[rows.moments.users]
    folds = [Fold(chosen & (turn != number), turn == number) for number in range(TURNS)]
    usable = [fold for fold in folds if 0 < rows.labels[fold.fits].sum() < fold.fits.sum() and fold.validates.any()]
    if not usable:
        raise JobError(
            f"{split.log.name}: {split.log.counts} give {len(rows):,} rows to fit with, {int(rows.labels.sum()):,} of "
            f"them with an order within the horizon, of too few users to choose features with"
        )
    return usable


def _loss(choice: Choice) -> float:
    return choice.loss


def _try(candidate: Candidate, strength: float, rows: Rows, x: Floats, folds: Sequence[Fold]) -> Choice:
    groups, losses = groups_of(candidate.features), []
    for fold in folds:
        weights = fit(x[fold.fits], rows.labels[fold.fits], groups, strength)
        propensities = weights.propensities(x[fold.validates])
        said = np.where(rows.labels[fold.validates], propensities, 1 - propensities)
        losses.append(-np.log(np.maximum(said, 1e-15)))
    return Choice(candidate, strength, float(np.concatenate(losses).mean()))


def _short_term(
    split: Split,
    learning: Rows,
    x: Floats,
    calibrating: Floats,
    groups: NDArray[np.int64],
    strength: float,
    horizon: int,
) -> Weights:
    """The calibrated vector of a short horizon; where it has too few orders, the base rate's."""
    labels = label(split.log, learning.moments, horizon)
    others = label(split.log, split.parts[CALIBRATE].moments, horizon)
    if min(labels.sum(), others.sum()) < LEAST:
        return Weights(log_odds((labels.sum() + 1) / (len(labels) + 2)), np.zeros(x.shape[1]))
    raw = fit(x, labels, groups, strength)
    return Platt.of(raw.logits(calibrating), others).fold(raw)


def measure(split: Split, model: Model) -> Metrics | None:
    """The model's grades on the test rows; None where those at events or at clock times have one label only."""
    test = split.parts[TEST]
    scored = score(split.log, test, model)
    at_events, at_clock_times = grade(scored.take(test.at_event)), grade(scored.take(~test.at_event))
    if at_events is None or at_clock_times is None:
        return None
    return Metrics(at_events=at_events, at_clock_times=at_clock_times)


def score(log: Log, rows: Rows, model: Model) -> Scored:
    """Rows with a model's propensities."""
    propensities = Scorer(model)(log.features(model.features, rows.moments))
    return Scored(rows.moments.users, rows.labels, propensities)


def _vector(weights: Weights, kept: np.ndarray) -> Vector:
    return Vector(intercept=weights.intercept, weights=tuple(weights.weights[kept].tolist()))


def _record(split: Split, choice: Choice) -> TrainedOn:
    log, replay = split.log, split.log.replay
    return TrainedOn.model_validate(
        {
            "log": log.name,
            "events": len(replay.users),
            "orders": len(log.orders),
            "users": len(replay.hashes),
            "first": from_milliseconds(int(replay.timestamps.min())),
            "known": from_milliseconds(split.span.known),
            "last": from_milliseconds(int(replay.timestamps.max())),
            "look_back": split.look_back,
            "parts": {
                name: Part(rows=len(split.parts[part]), positive=int(split.parts[part].labels.sum()))
                for part, name in PARTS.items()
            },
            "feature_set": choice.candidate.name,
            "regularisation": choice.strength,
        }
    )
