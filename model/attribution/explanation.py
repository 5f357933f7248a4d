"""One user explained: what each event and feature adds to the propensity, and who is credited with a conversion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.attribution.aumann_shapley import Fading, Vector, shares
from model.attribution.rules import ATTRIBUTION_WINDOW, short_term
from model.features.curve import Sequence, entries_of
from model.features.plan import FeaturePlan
from model.scoring.propensity import Model
from schemas.event_types import IS_TOUCH


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a propensity is made of: `baseline`, which the same user would have without events, and what is added to it.

    Shapes: `of_event` (n) for the n events up to that time, oldest first, 0 for those that no longer count;
    `of_feature` (m) for the model's features, in their order. The baseline and either of them sum up to `propensity`.
    """

    propensity: float
    baseline: float
    of_event: NDArray[np.float64]
    of_feature: NDArray[np.float64]


class Explainer:
    """Explains one user's sequence under one model, exactly as `model.attribution.rules` credits in a bucket.

    Args:
        model: the model.
        length: L, the number of newest events that count.
        attribution_window: how long before a conversion a touch may be, in ms.
    """

    def __init__(self, model: Model, length: int, attribution_window: int = ATTRIBUTION_WINDOW) -> None:
        self._plan, self._long_term = FeaturePlan.of(model.features), (model.weights, model.intercept)
        self._short_term, self._length, self._look_back = short_term(model), length, attribution_window

    def explain(self, sequence: Sequence, time: int) -> Explanation:
        """The parts of the propensity at a time (ms): all events up to then fade in together (`aumann_shapley`)."""
        count = int(np.searchsorted(sequence.timestamps, time, "right"))
        low = max(count - self._length, 0)
        of_event = np.zeros(count)
        baseline, whole, of_event[low:], of_feature = self._shares(
            sequence, low, count, time, np.ones(count - low, np.bool_), self._long_term
        )
        return Explanation(whole, baseline, of_event, of_feature)

    def credit(self, sequence: Sequence, place: int) -> NDArray[np.float64]:
        """The credit of each event before the order that begins at `place` (place), NaN for those that are no touches.

        What is missing to 1 is the baseline's.
        """
        low, time = max(place - self._length, 0), int(sequence.timestamps[place])
        types, ages = sequence.types[low:place], time - sequence.timestamps[low:place]
        fading = IS_TOUCH[types] & (ages <= self._look_back)
        _, whole, of_event, _ = self._shares(sequence, low, place, time, fading, self._short_term)
        credit = np.full(place, np.nan)
        credit[low:] = np.where(fading, of_event / whole if whole > 0 else 0.0, np.nan)
        return credit

    def _shares(
        self,
        sequence: Sequence,
        low: int,
        high: int,
        time: int,
        fading: NDArray[np.bool_],
        vector: tuple[NDArray[np.float64], float],
    ) -> tuple[float, float, NDArray[np.float64], NDArray[np.float64]]:
        """v(0), v(1), and what each of the events from `low` to `high` and each feature adds."""
        weights, intercept = vector
        of_event, of_feature, terms = np.empty(high - low), np.empty(len(weights)), np.empty((high - low, len(weights)))
        view = Fading(entries_of(sequence, self._plan), low, high, time, fading)
        start, whole = shares(view, self._plan.arrays, Vector(weights, intercept), terms, of_event, of_feature)
        return start, whole, of_event, of_feature
