"""How good propensities are: measures with bootstrap intervals over users, by part of the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from model.training_record import Estimate, Grades, judge

RESAMPLES = 200
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
    """The measures of rows; None where all have one label."""
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
        return (
            auc_of(weight),
            float(loss),
            float(1 - loss / entropy(hits / total)),
            float(hits / (weight @ expected)),
            float(weight @ (p - labels) ** 2 / total),
        )

    auc, log_loss, information, ratio, brier = estimates(scored.users, scored.labels, measure, resamples)
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
    users: NDArray[np.int64],
    labels: NDArray[np.bool_],
    measure: Callable[[Floats], tuple[float, ...]],
    resamples: int,
) -> list[Estimate]:
    """Measures of weighted rows, with the 2.5 and 97.5 percentiles over users drawn again, always the same way."""
    values = measure(np.ones(len(users)))
    _, owner = np.unique(users, return_inverse=True)
    rng, drawn = np.random.default_rng(1), []
    for _ in range(resamples):
        weight = draw_again(rng, owner)
        if 0 < weight @ labels < weight.sum():
            drawn.append(measure(weight))
    if not drawn:
        return [Estimate(value=value, low=value, high=value) for value in values]
    low, high = np.percentile(np.array(drawn), (2.5, 97.5), axis=0)
    return [Estimate(value=v, low=a, high=b) for v, a, b in zip(values, low.tolist(), high.tolist(), strict=True)]


def draw_again(rng: np.random.Generator, owner: NDArray[np.int64]) -> Floats:
    """How often each row (n) is there when its owners (0, 1, …) are drawn again with replacement."""
    count = int(owner.max(initial=0)) + 1
    weights: Floats = np.bincount(rng.integers(count, size=count), minlength=count)[owner].astype(np.float64)
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
        (ratio,) = estimates(own.users, own.labels, measure, resamples) if positive else (None,)
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
    ratio = grades.observed_over_expected
    return judge(grades.auc.low, grades.information.low, ratio.low, ratio.high)
