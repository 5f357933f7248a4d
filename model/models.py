"""The models of a store, one after another in event time: each row is scored by the one that is valid at its time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from model.features import Feature
from model.plan import FeaturePlan
from model.propensity import Model, Scorer

MOST = 256
"""Models that there may be: a row carries the number of its own in a byte."""


class Models:
    """The first model and those that follow it; never changed, but exchanged for another one.

    The first is valid from the beginning of time, whatever its file says, and each of the others from its `valid_from`
    until the next one's. A row's model follows from its timestamp alone: a replay scores it the same, and it does not
    matter when a program learns of a model, so long as it does before the first row of it.

    `plan` has the features of all: those that differ in nothing but the weight share a column.

    Args:
        first: the first model.
        later: others, in any order; each has a `valid_from` of its own.
    """

    def __init__(self, first: Model, later: Iterable[Model] = ()) -> None:
        self.models = (first, *sorted(later, key=lambda model: model.start))
        self.ids = tuple(model.id for model in self.models)
        self._starts = np.array([model.start for model in self.models[1:]], np.int64)
        features = dict[Feature, int]()
        columns = [
            np.array(
                [features.setdefault(each.model_copy(update={"weight": 0.0}), len(features)) for each in model.features]
            )
            for model in self.models
        ]
        self.plan = FeaturePlan.of(list(features))
        self._scorers = [Scorer(*pair) for pair in zip(self.models, columns, strict=True)]

    @property
    def first(self) -> Model:
        """The model that is valid from the beginning of time."""
        return self.models[0]

    def at(self, time: int) -> Model:
        """The model that is valid at a time (ms)."""
        return self.models[np.searchsorted(self._starts, time, side="right")]

    def which(self, times: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The number of the model that is valid at each of the times (n) in ms."""
        return np.searchsorted(self._starts, times, side="right").astype(np.uint8)

    def score(
        self, features: NDArray[np.float64], times: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Propensities (n) of features (n, columns of the plan) at times (n) in ms, and the numbers (n) of the models.

        A row's propensity has the bits that its model alone would give.
        """
        which = self.which(times)
        numbers = np.unique(which).tolist() if len(self._starts) else [0]
        if len(numbers) == 1:
            return self._scorers[numbers[0]](features), which
        scores = np.empty(len(features))
        for number in numbers:
            rows = which == number
            scores[rows] = self._scorers[number](features[rows])
        return scores, which
