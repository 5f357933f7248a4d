"""The models of a store, one after another in event time: each row is scored by the one that is valid at its time."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.actions.catalogue import Actions
from model.actions.next_best import Advisor, hold_out
from model.features.kinds import Feature
from model.features.plan import FeaturePlan
from model.scoring.propensity import Model, Scorer
from model.scoring.training_record import at_milliseconds
from schemas.advice import ADVICE, NO_ACTION, Advice
from schemas.errors import ModelFileError
from schemas.events import EventBatch
from schemas.stored_models import FROM_THE_BEGINNING, StoredModel

MOST = 256
"""Models that there may be: a row carries the number of its own in a byte."""
_NO_ACTIONS = Actions.none()


class Models:
    """The first model and those that follow it; never changed, but exchanged for another one.

    The first is valid from the beginning of time, whatever its file says, and each of the others from its `valid_from`
    until the next one's. A row's model follows from its timestamp alone: a replay scores it the same, and it does not
    matter when a program learns of a model, so long as it does before the first row of it.

    `plan` has the features of all, and what advice needs besides: those that differ in nothing but the weight share a
    column. `action_names` are those of all actions, as the models know them.

    Args:
        first: the first model.
        later: others, in any order; each has a `valid_from` of its own.
        actions: what can be done next.
        most: events within 24 hours above which a user is set apart, and nothing is recommended; 0 sets nobody apart.
    """

    def __init__(
        self, first: Model, later: Iterable[Model] = (), actions: Actions = _NO_ACTIONS, most: int = 0
    ) -> None:
        self.models = (first, *sorted(later, key=lambda model: model.start))
        self.ids = tuple(model.id for model in self.models)
        self._starts = np.array([model.start for model in self.models[1:]], np.int64)
        columns = dict[Feature, int]()
        self.actions, self._advisors = actions, [Advisor(model, actions, columns, most) for model in self.models]
        self._scorers = [Scorer(*pair) for pair in zip(self.models, self.columns, strict=True)]
        self.plan = FeaturePlan.of(list(columns))
        self.action_names = tuple(dict.fromkeys(each.name for advisor in self._advisors for each in advisor.actions))
        self._places = [
            np.array([*(self.action_names.index(each.name) for each in advisor.actions), NO_ACTION])
            for advisor in self._advisors
        ]
        self._silent = frozenset[str]()

    def withholding(self, ids: Iterable[str]) -> Self:
        """The same models and the same plan; those with these ids recommend nothing."""
        found = copy(self)
        found._silent = frozenset(ids)
        return found

    @classmethod
    def of_store(cls, stored: Iterable[StoredModel], model: Model, actions: Actions = _NO_ACTIONS) -> Models:
        """The models of a store's table, in their order; this `model` where it has none yet.

        Raises:
            ModelFileError: one line that names the model that is none.
        """
        first, *later = read_models(stored) or [model]
        return cls(first, later, actions)

    @property
    def starts(self) -> NDArray[np.int64]:
        """From when on each of the models but the first is valid, in ms since 1970."""
        return self._starts

    @property
    def columns(self) -> list[NDArray[np.int64]]:
        """For each of the models, the columns of the plan that are its features, in their order."""
        return [advisor.columns for advisor in self._advisors]

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

    def advise(
        self,
        features: NDArray[np.float64],
        scores: NDArray[np.float64],
        which: NDArray[np.uint8],
        events: EventBatch,
        users: NDArray[np.int32],
    ) -> Advice:
        """What to do next after rows (n) that `score` has scored, each by its own model.

        `users` (n) are rows of the batch that have the users' ids.
        """
        numbers = np.unique(which).tolist() if len(self._starts) else [0]
        advice = np.empty(len(features), ADVICE)
        for number in numbers:
            rows = slice(None) if len(numbers) == 1 else which == number
            advice[rows] = self._advisors[number].recommend(features[rows], scores[rows])
            if self.ids[number] in self._silent:  # who is set apart is so by any model
                advice["action"][rows], advice["gain"][rows], advice["net"][rows] = NO_ACTION, 0.0, 0.0
            else:
                advice["action"][rows] = self._places[number][advice["action"][rows]]
        hold_out(advice, events, users)
        return Advice(advice, self.action_names)


def read_models(stored: Iterable[StoredModel]) -> list[Model]:
    """The models of a store's table, each `valid_from` when the table says; of the first one its file does.

    Raises:
        ModelFileError: one line that names the model that is none.
    """
    models = []
    for each in stored:
        try:
            model = Model.from_json(each.file)
        except ModelFileError as error:
            raise ModelFileError(f"model {each.model_id}: {error}") from None
        start = model.valid_from if each.valid_from == FROM_THE_BEGINNING else at_milliseconds(each.valid_from)
        models.append(model.model_copy(update={"valid_from": start}))
    return models
