"""The model: a logistic regression over features, read from a JSON file and checked."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.durations import Duration
from model.features import Feature
from schemas.compiling import compiled


class ModelFileError(ValueError):
    """A model file that is not a model; the message names the field."""


class Model(BaseModel):
    """What a model file holds.

    propensity = 1 / (1 + exp(-(intercept + sum of weight x feature))): the probability that the user converts within
    `horizon`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    id: Annotated[str, Field(min_length=1, max_length=100)]
    intercept: float
    horizon: Annotated[Duration, Field(ge=timedelta(minutes=1))]
    features: Annotated[tuple[Feature, ...], Field(min_length=1, max_length=256)]

    @classmethod
    def from_json(cls, text: str | bytes) -> Model:
        """A model from the text of its file.

        Raises:
            ModelFileError: one line that names the first field that is wrong.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "file"
            raise ModelFileError(f"{place}: {first['msg']}") from None

    @property
    def weights(self) -> NDArray[np.float64]:
        """The features' weights, in their order."""
        return np.array([feature.weight for feature in self.features], np.float64)


@compiled
def _logistic(features, weights, intercept):
    propensity = np.empty(len(features), np.float64)
    for row in range(len(features)):
        logit = intercept
        for feature in range(len(weights)):
            logit += weights[feature] * features[row, feature]
        propensity[row] = 1.0 / (1.0 + np.exp(-logit))
    return propensity


class Scorer:
    """Scores rows of features.

    Each row is summed in the features' order, so that a row's score does not depend on the rows beside it (a matrix
    product's does, in the last bit).
    """

    def __init__(self, model: Model) -> None:
        self.model_id = model.id
        self._weights, self._intercept = model.weights, model.intercept

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Propensities (n) of features (n, number of features)."""
        scores: NDArray[np.float64] = _logistic(features, self._weights, self._intercept)
        return scores
