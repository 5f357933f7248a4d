"""The model: a logistic regression over features, read from a JSON file and checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.durations import Duration
from model.features.kinds import Feature
from model.features.template import Weight
from model.scoring.training_record import Metrics, TrainedOn
from schemas.compiled.compiling import compiled
from schemas.errors import ModelFileError, first_problem

Horizon = Annotated[Duration, Field(ge=timedelta(minutes=1))]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Vector(BaseModel):
    """Another intercept and other weights for a model's features, in their order."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    intercept: Weight
    weights: tuple[Weight, ...]


class ShortTerm(Vector):
    """The vector of another, short horizon: what conversions are attributed with."""

    horizon: Horizon


class Model(BaseModel):
    """What a model file holds.

    propensity = 1 / (1 + exp(-(intercept + sum of weight x feature))): the probability that the user converts within
    `horizon`. A trained model also has `bootstrap`, vectors of as many trainings on users drawn again, for intervals;
    `attribution`, the vector of a short horizon; and what it was trained on and how it did. The propensity needs none
    of them. A model that follows another one is `valid_from` a time on (see `model.timeline`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    id: Annotated[str, Field(min_length=1, max_length=100)]
    intercept: Weight
    horizon: Horizon
    valid_from: Annotated[AwareDatetime | None, Field(exclude_if=lambda time: time is None)] = None
    features: Annotated[tuple[Feature, ...], Field(min_length=1, max_length=256)]
    attribution: ShortTerm | None = None
    bootstrap: Annotated[tuple[Vector, ...], Field(max_length=1_000, exclude_if=lambda vectors: not vectors)] = ()
    trained_on: TrainedOn | None = None
    metrics: Metrics | None = None

    @model_validator(mode="after")
    def _vectors_fit(self) -> Self:
        for vector in (*self.bootstrap, *((self.attribution,) if self.attribution else ())):
            if len(vector.weights) != len(self.features):
                raise ValueError(f"a vector has {len(vector.weights)} weights for {len(self.features)} features")
        return self

    @classmethod
    def from_json(cls, text: str | bytes) -> Model:
        """A model from the text of its file.

        Raises:
            ModelFileError: one line that names the first field that is wrong.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ModelFileError(first_problem(error)) from None

    @property
    def start(self) -> int:
        """The first ms since 1970 (UTC) at which a model that follows another one is valid."""
        assert self.valid_from is not None, "only a first model goes without"
        return -((_EPOCH - self.valid_from) // timedelta(milliseconds=1))

    @property
    def weights(self) -> NDArray[np.float64]:
        """The features' weights, in their order."""
        return np.array([feature.weight for feature in self.features], np.float64)


@compiled
def _logistic(features, columns, weights, intercept):
    propensity = np.empty(len(features), np.float64)
    for row in range(len(features)):
        logit = intercept
        for feature in range(len(weights)):
            logit += weights[feature] * features[row, columns[feature]]
        propensity[row] = 1.0 / (1.0 + np.exp(-logit))
    return propensity


class Scorer:
    """Scores rows of features.

    Each row is summed in the features' order, so that a row's score does not depend on the rows beside it (a matrix
    product's does, in the last bit).

    Args:
        model: the model.
        columns: where its features are in the rows, in their order; they are the rows where nothing is said.
    """

    def __init__(self, model: Model, columns: NDArray[np.int64] | None = None) -> None:
        self.model_id = model.id
        self._weights, self._intercept = model.weights, model.intercept
        self._columns = np.arange(len(model.features)) if columns is None else columns

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Propensities (n) of features (n, number of columns)."""
        scores: NDArray[np.float64] = _logistic(features, self._columns, self._weights, self._intercept)
        return scores
