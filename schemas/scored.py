"""Rows on their way to the stores: each event's place in its sequence, and its propensity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.advice import Advice
from schemas.credits import NO_CREDITS, Credits
from schemas.erasures import Erasure
from schemas.events import EventBatch

COMPUTED_AGAIN = -1

OUTCOME = np.dtype(
    [
        ("timestamp", np.int64),  # event time, ms
        ("event_key", np.int64),
        ("seen", np.int64),  # the user's distinct events up to and including this one
        ("version", np.int64),  # of two rows with one key the higher version wins
        ("user_row", np.int32),  # a row of the batch that has the user's id
        ("body_row", np.int32),  # the row of the batch that has the event, or COMPUTED_AGAIN
        ("type", np.uint8),
        ("newest", np.bool_),  # the user's newest event
    ],
    align=True,
)
"""One event's place in its sequence. Rows of one user are in the sequence's order."""


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Rows to write: the batch they came with, the outcomes (n), and their propensities (n).

    Each row's `model` (n) is the place among the ids `models` of the model that scored it. An outcome whose `body_row`
    is `COMPUTED_AGAIN` is of an event that came earlier: only its propensity, `seen` and `version` are new. `rivals`
    are the rows of the batch that no outcome names although their bodies are new: they lost against another body of
    their identity, and are written for the fields in which they are the greater. `advice` (n) is what to do next
    after each outcome, `credits` are those of all conversions among them. All rows up to the erasures in `forgotten` go
    before these come.
    """

    events: EventBatch
    outcomes: NDArray[np.void]
    propensities: NDArray[np.float64]
    models: tuple[str, ...]
    model: NDArray[np.uint8]
    rivals: NDArray[np.int64]
    advice: Advice
    credits: Credits = NO_CREDITS
    forgotten: tuple[Erasure, ...] = ()

    def __len__(self) -> int:
        return len(self.outcomes)

    def __reduce__(self) -> tuple[Any, ...]:
        arrays = (self.outcomes, self.propensities, self.model, self.rivals)
        packed = (array.tobytes() for array in arrays)
        return _unpack, (self.events, self.models, *packed, self.advice, self.credits, self.forgotten)

    @property
    def model_ids(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The UTF-8 bytes of all `models`, and their edges (number of models + 1) in them."""
        ids = [text.encode() for text in self.models]
        return np.frombuffer(b"".join(ids), np.uint8), np.cumsum([0, *map(len, ids)], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Propensity:
    """One row, for a person, in the fields of `schemas/propensity.avsc`.

    `timestamp` is the event's time in ms since 1970 (UTC), `type` a code of `schemas.event_types`; `event_id` is None
    where the row was computed again for an event that came earlier. `best_action`, its `gain` and its `net` are None
    where nothing is worth doing; nothing may be tried where the user is in the `hold_out`.
    """

    user_id: str
    timestamp: int
    event_key: int
    event_id: str | None
    type: str
    propensity: float
    seen: int
    version: int
    model_id: str
    best_action: str | None = None
    gain: float | None = None
    net: float | None = None
    hold_out: bool = False


def _unpack(
    events: EventBatch,
    models: tuple[str, ...],
    outcomes: bytes,
    propensities: bytes,
    model: bytes,
    rivals: bytes,
    advice: Advice,
    credits: Credits,
    forgotten: tuple[Erasure, ...],
) -> ScoredRows:
    return ScoredRows(
        events,
        np.frombuffer(outcomes, OUTCOME),
        np.frombuffer(propensities),
        models,
        np.frombuffer(model, np.uint8),
        np.frombuffer(rivals, np.int64),
        advice,
        credits,
        forgotten,
    )
