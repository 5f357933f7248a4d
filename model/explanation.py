"""One user's conversions explained: which touches the model credits with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.attribution import CONVERSION, LOOK_BACK, short_term
from model.credit import ALPHAS, WEIGHTS, shares
from model.curve import Sequence, entries_of
from model.plan import FeaturePlan
from model.propensity import Model


class Explainer:
    """Explains one user's sequence under one model, exactly as `model.attribution` credits in a bucket.

    Args:
        model: the model.
        length: L, the number of newest events that count.
        look_back: how long before a conversion a touch may be, in ms.
    """

    def __init__(self, model: Model, length: int, look_back: int = LOOK_BACK) -> None:
        self._plan, (self._weights, self._intercept) = FeaturePlan.of(model.features), short_term(model)
        self._length, self._look_back = length, look_back

    def credit(self, sequence: Sequence, place: int) -> NDArray[np.float64]:
        """The credit of each event before the conversion at `place` (place), NaN for those that are no touches.

        What is missing to 1 is the baseline's.
        """
        low, time = max(place - self._length, 0), int(sequence.timestamps[place])
        types, ages = sequence.types[low:place], time - sequence.timestamps[low:place]
        fading = (types != CONVERSION) & (ages <= self._look_back)
        of_event, of_feature = np.empty(place - low), np.empty(len(self._weights))
        plan = (self._plan.features, self._plan.windows, self._plan.half_lives, self._plan.never)
        _, whole = shares(
            entries_of(sequence, self._plan), low, place, time, fading, plan, self._weights, self._intercept,
            ALPHAS, WEIGHTS, np.empty((place - low, len(self._weights))), of_event, of_feature,
        )  # fmt: skip
        credit = np.full(place, np.nan)
        credit[low:] = np.where(fading, of_event / whole, np.nan)
        return credit
