"""How good propensities are: measures with bootstrap intervals over users, by part of the rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from model.scoring.judgement import Ends, judge
from model.scoring.training_record import Estimate, Grades

RESAMPLES = 200
LEAST_USERS = 10
"""With rows of a label from fewer users a bootstrap over users knows nothing of ranks: they may be anything."""
HOURS = (0, 1, 6, 24, 72, 168)
"""Edges of the bins of hours since the last event; the last one is open."""
_LEAST = 1e-15
"""Propensities are kept that far from 0 where they are divided by, and from 0 and 1 where their logarithm is taken."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows with propensities: `users`, `labels` and `propensities` (n)."""

    users: NDArray[np.int64]
    labels: NDArray[np.bool_]
    propensities: Floats

    def take(self, chosen: NDArray[np.bool_]) -> Scored:
        """The chosen rows."""
        return Scored(self.users[chosen], self.labels[chosen], self.propensities[chosen])


def _losses(scored: Scored) -> Floats:
    """The log loss of each row."""
    p = np.clip(scored.propensities, _LEAST, 1 - _LEAST)
    return np.where(scored.labels, -np.log(p), -np.log1p(-p))


def entropy(share: float) -> float:
    """The log loss of the base rate: of saying the share of positive rows for each.

    >>> round(entropy(0.5), 3)
    0.693
    """
    return float(-(share * np.log(share) + (1 - share) * np.log1p(-share)))


def grade(scored: Scored, resamples: int = RESAMPLES) -> Grades | None:
    """The measures of rows; None where all have one label.

    Where the rows of a label are of fewer than `LEAST_USERS` users the interval of the AUC is all that it can be.
    """
    positive = int(scored.labels.sum())
    if not 0 < positive < len(scored.labels):
        return None
    base = entropy(positive / len(scored.labels))
    losses, labels, p = _losses(scored), scored.labels.astype(np.float64), scored.propensities
    distinct, level = np.unique(p, return_inverse=True)
    expected = np.maximum(p, _LEAST)

    def auc_of(weight: Floats) -> float:
        """The share of pairs, one positive and one not, of which the positive one has the greater propensity."""
        above = np.bincount(level, weight * labels, len(distinct))
        others = np.bincount(level, weight, len(distinct)) - above
        return float(above @ (np.cumsum(others) - others / 2) / (above.sum() * others.sum()))

    def measure(weight: Floats) -> tuple[float, ...]:
        total, hits = weight.sum(), weight @ labels
        loss = weight @ losses / total
        both = 0 < hits < total
        return (
            auc_of(weight) if both else math.nan,
            float(loss),
            float(1 - loss / entropy(hits / total)) if both else math.nan,
            float(hits / (weight @ expected)),
            float(weight @ (p - labels) ** 2 / total),
        )

    auc, log_loss, information, ratio, brier = estimates(scored.users, measure, resamples)
    if min(len(np.unique(scored.users[own])) for own in (scored.labels, ~scored.labels)) < LEAST_USERS:
        auc = auc.model_copy(update={"low": 0.0, "high": 1.0})
    return Grades(
        rows=len(labels),
        positive=positive,
        auc=auc,
        log_loss=log_loss,
        base_log_loss=base,
        information=information,
        observed_over_expected=ratio,
        brier=brier,
    )


def estimates(
    users: NDArray[np.int64], measure: Callable[[Floats], tuple[float, ...]], resamples: int
) -> list[Estimate]:
    """Measures of weighted rows, with the 2.5 and 97.5 percentiles over users drawn again, always the same way.

    A measure that is not a number of some draw, as the AUC of rows of one label, has its percentiles without it. Fewer
    than `LEAST_USERS` users have no interval: a single one, drawn again, is always the same.
    """
    values = measure(np.ones(len(users)))
    _, owner = np.unique(users, return_inverse=True)
    if owner.max(initial=-1) + 1 < LEAST_USERS:
        return [Estimate(value=value) for value in values]
    rng, found = np.random.default_rng(1), list[Estimate]()
    drawn = np.array([measure(draw_again(rng, owner)) for _ in range(resamples)])
    for value, column in zip(values, drawn.T, strict=True):
        numbers = column[~np.isnan(column)]
        low, high = np.percentile(numbers, (2.5, 97.5)).tolist() if len(numbers) else (value, value)
        found.append(Estimate(value=value, low=low, high=high))
    return found


def draw_again(rng: np.random.Generator, owner: NDArray[np.int64]) -> Floats:
    """How often each row (n) is there when its owners (0, 1, …) are drawn again with replacement."""
    count = int(owner.max(initial=0)) + 1
    weights: Floats = np.bincount(rng.integers(count, size=count), minlength=count)[owner].astype(np.float64)
    return weights


def draw_both(rng: np.random.Generator, owner: NDArray[np.int64], labels: NDArray[np.bool_]) -> Floats:
    """The first draw in which rows of both labels (n) are there; the rows must have both."""
    weights = draw_again(rng, owner)
    while not 0 < weights @ labels < weights.sum():
        weights = draw_again(rng, owner)
    return weights


@dataclass(frozen=True, slots=True)
class Ratio:
    """Observed over expected of a part of the rows."""

    part: str
    rows: int
    positive: int
    observed_over_expected: Estimate | None


def ratios(
    scored: Scored, parts: NDArray[np.integer], names: tuple[str, ...], resamples: int = RESAMPLES
) -> list[Ratio]:
    """Observed over expected by part: `parts` (n) are indexes into `names`."""
    found = []
    for place, name in enumerate(names):
        own = scored.take(parts == place)
        if not len(own.labels):
            continue
        labels, expected = own.labels.astype(np.float64), np.maximum(own.propensities, _LEAST)

        def measure(weight: Floats, labels: Floats = labels, expected: Floats = expected) -> tuple[float, ...]:
            return (float(weight @ labels / (weight @ expected)),)

        positive = int(own.labels.sum())
        (ratio,) = estimates(own.users, measure, resamples) if positive else (None,)
        found.append(Ratio(name, len(own.labels), positive, ratio))
    return found


def bin_of_hours(hours: Floats) -> NDArray[np.int64]:
    """The bin of hours since the last event (n)."""
    return np.searchsorted(np.array(HOURS[1:]), hours, side="right")


def names_of_hours() -> tuple[str, ...]:
    """The bins' names.

    >>> names_of_hours()[0], names_of_hours()[-1]
    ('0 to 1 h', '168 h and more')
    """
    closed = [f"{low} to {high} h" for low, high in pairwise(HOURS)]
    return (*closed, f"{HOURS[-1]} h and more")


def verdict(grades: Grades | None) -> str:
    """What the measures say about the model, in words."""
    if grades is None:
        return "not graded: the test rows have one label only"
    return judge(Ends.of(grades)).words
