"""Logistic regressions whose marketing weights are not negative, their calibration and their bootstrap."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
EXACT, ROUGH = 1e-8, 1e-4
"""Greatest gradient of the mean loss at which a fit ends: of what is kept, and while features are dropped."""
WORTH = 0.01
"""Log-likelihood that a feature must add to be taken back."""


@dataclass(frozen=True, eq=False)
class Weights:
    """An intercept and the weights of features (n); one of 0 has no part."""

    intercept: float
    weights: Floats

    def logits(self, features: Floats) -> Floats:
        """ln(p / (1 - p)) of rows of features (m, n)."""
        used = np.flatnonzero(self.weights)
        logits: Floats = self.intercept + features[:, used] @ self.weights[used]
        return logits

    def propensities(self, features: Floats) -> Floats:
        """Propensities of rows of features (m, n)."""
        return 1.0 / (1.0 + np.exp(-self.logits(features)))


def log_odds(share: float | np.floating) -> float:
    """ln(p / (1 - p)) of a share between 0 and 1."""
    return float(np.log(share / (1 - share)))


def regression(strength: float, tolerance: float = EXACT) -> LogisticRegression:
    """What is fitted: L2 with `strength` as the C of scikit-learn; few features and many rows suit Newton's method."""
    return LogisticRegression(C=strength, solver="newton-cholesky", max_iter=1_000, tol=tolerance, warm_start=True)


def fit(
    features: Floats,
    labels: Flags,
    groups: NDArray[np.int64],
    strength: float,
    weight: Floats | None = None,
    start: Weights | None = None,
) -> Weights:
    """The best fit in which no feature is negative that must not be.

    Fit, drop the most negative feature, and fit again, until none is left to drop; then take back the one that would
    help most, as long as one would (Lawson and Hanson, "Solving Least Squares Problems", 1974: the conditions of Kuhn
    and Tucker hold in the end). `groups` (n) numbers sets of features that go together, such as the half-lives of one
    type and campaign: one is dropped of each set at a time, because what a feature loses there another one gains.
    Features of the set -1 may have any sign. The result is scikit-learn's on the features that are left. `weight` is by
    row; features without a part in `start` are left out for good.
    """
    allowed = np.arange(features.shape[1]) if start is None else np.flatnonzero(start.weights)
    found = start or Weights(0.0, np.zeros(features.shape[1]))
    kept, tried, model = allowed, set[bytes](), regression(strength, ROUGH)
    while True:
        found = _refit(model, features, labels, weight, kept, found)
        gone = _most_negative(found.weights, groups)
        if len(gone):
            kept = np.setdiff1d(kept, gone)
        elif model.tol != EXACT:
            model.tol = EXACT
        else:
            wanted = _most_wanted(found, features, labels, weight, np.setdiff1d(allowed, kept), strength)
            if wanted is None or kept.tobytes() in tried:
                return found
            tried.add(kept.tobytes())
            kept = np.union1d(kept, wanted)


def _refit(
    model: LogisticRegression,
    features: Floats,
    labels: Flags,
    weight: Floats | None,
    kept: NDArray[np.int64],
    before: Weights,
) -> Weights:
    """The fit of the features that are kept, begun where the one before ended."""
    weights = np.zeros(features.shape[1])
    if not len(kept):
        return Weights(log_odds(np.average(labels, weights=weight)), weights)
    model.coef_, model.intercept_ = before.weights[None, kept].copy(), np.array([before.intercept])
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # it then goes on with L-BFGS
        model.fit(features if len(kept) == features.shape[1] else features[:, kept], labels, weight)
    weights[kept] = model.coef_[0]
    return Weights(float(model.intercept_[0]), weights)


def _most_wanted(
    found: Weights,
    features: Floats,
    labels: Flags,
    weight: Floats | None,
    others: NDArray[np.int64],
    strength: float,
) -> np.int64 | None:
    """Of the features that have no part the one that would add most, with a positive weight, by a step of Newton's."""
    if not len(others):
        return None
    said, x = found.propensities(features), features[:, others]
    by_row = np.ones(len(labels)) if weight is None else weight
    slopes = x.T @ (by_row * (labels - said))
    curves = (x * x).T @ (by_row * said * (1 - said)) + 1 / strength
    gains = np.where(slopes > 0, slopes**2 / curves / 2, 0.0)
    best = int(gains.argmax())
    return others[best] if gains[best] > WORTH else None


def _most_negative(found: Floats, groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of the most negative weight of each group.

    >>> _most_negative(np.array([-1.0, -2.0, 3.0, -1.0, -9.0]), np.array([0, 0, 1, 2, -1])).tolist()
    [1, 3]
    """
    places = np.flatnonzero((found < 0) & (groups >= 0))
    order = places[np.lexsort((found[places], groups[places]))]
    first = np.ones(len(order), np.bool_)
    first[1:] = np.diff(groups[order]) > 0
    return order[first]


@dataclass(frozen=True, slots=True)
class Platt:
    """Calibration: logit' = slope · logit + shift (Platt, "Probabilities for SV machines", 1999)."""

    slope: float
    shift: float

    @classmethod
    def of(cls, logits: Floats, labels: Flags, weight: Floats | None = None) -> Platt:
        """The one that fits logits (n) to labels (n), `weight` (n) by row.

        Labels are drawn in from 0 and 1 as if one row more of each label had been seen, as there, so that logits that
        tell the labels apart are not sure of it. The slope is at least 0, so that no weight changes its sign.
        """
        by_row = np.ones(len(labels)) if weight is None else weight
        positive = float(by_row @ labels)
        negative = float(by_row.sum()) - positive
        share = np.where(labels, (positive + 1) / (positive + 2), 1 / (negative + 2))
        if np.ptp(logits[by_row > 0]):
            model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8).fit(
                np.tile(logits, 2)[:, None],
                np.repeat([True, False], len(logits)),
                np.concatenate((by_row * share, by_row * (1 - share))),
            )
            if model.coef_[0, 0] > 0:
                return cls(float(model.coef_[0, 0]), float(model.intercept_[0]))
        return cls(0.0, log_odds(np.average(share, weights=by_row)))

    def fold(self, weights: Weights) -> Weights:
        """The weights whose logits are calibrated."""
        return Weights(self.slope * weights.intercept + self.shift, self.slope * weights.weights)
