"""The propensity of one user at any time: the same recursion, asked between events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.features.kinds import Feature
from model.features.plan import DEFAULT_LENGTH, FeaturePlan
from model.features.recursion import advance, compute, forget, grow, observe
from model.scoring.propensity import Model, Scorer
from model.sequences.entries import ENTRY, make_tag
from model.sequences.orders import mark_items, orders_of
from schemas.compiled.compiling import compiled


@dataclass(frozen=True, slots=True)
class Sequence:
    """One user's distinct events in the sequence's order (timestamp, type, event key).

    Shapes: `timestamps` (n) int64 ms, `types` (n) indexes into `TYPES`, `campaigns` (n) names, `refunds` (n) whether an
    event is a conversion that takes revenue back; without it none is. `before` is how many distinct events the user had
    before the first of these.
    """

    timestamps: NDArray[np.int64]
    types: NDArray[np.integer]
    campaigns: tuple[str, ...]
    before: int = 0
    refunds: NDArray[np.bool_] | None = None

    @property
    def is_refund(self) -> NDArray[np.bool_]:
        """Which of the events (n) are refunds."""
        return np.zeros(len(self.types), np.bool_) if self.refunds is None else self.refunds

    def orders(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each event the first conversion of the order that its revenue belongs to, -1 for all others.

        `keys` (n) are the events' own. The first conversion of an order is its own.
        """
        entries = entries_of(self, _NOTHING)
        entries["key"] = keys
        found: NDArray[np.int64] = orders_of(entries)
        return found


def entries_of(sequence: Sequence, plan: FeaturePlan) -> NDArray[np.void]:
    """A sequence as a bucket keeps it, with the plan's numbers for campaigns and one for all others."""
    names = {name: number for number, name in enumerate(plan.campaigns)}
    entries = np.zeros(len(sequence.timestamps), ENTRY)
    entries["timestamp"] = sequence.timestamps
    entries["tag"] = [
        make_tag(kind, names.get(campaign, len(names)), refund)
        for kind, campaign, refund in zip(
            sequence.types.tolist(), sequence.campaigns, sequence.is_refund.tolist(), strict=True
        )
    ]
    mark_items(entries, 0, 0, len(entries))
    return entries


_NOTHING = FeaturePlan.of(())


@compiled
def walk(entries, times, counts, length, marks, decays, plan, features):
    """Features at each of the ascending `times`, from as many of the entries as its one of the ascending `counts`."""
    forget(marks, decays, plan)
    taken, growths = 0, np.empty(len(plan[2]), np.float64)
    for at in range(len(times)):
        time = times[at]
        while taken < counts[at]:
            observe(entries, 0, taken, length, marks, decays, plan, growths)
            taken += 1
        later_marks, later_decays = marks.copy(), decays.copy()
        if taken > 0:
            since = entries[taken - 1].timestamp
            advance(entries, 0, taken, time, since, later_marks, later_decays, plan)
        grow(time, plan, growths)
        compute(entries, 0, time, length, later_marks, later_decays, plan, growths, features[at])


class Curve:
    """Computes a user's propensity over time under one model, exactly as the stream does at events.

    Args:
        model: the model.
        length: L, the number of newest events that count.
        features: what `features` computes; without them the model's. The propensity is then to be asked elsewhere.
    """

    def __init__(self, model: Model, length: int = DEFAULT_LENGTH, features: tuple[Feature, ...] = ()) -> None:
        self._plan, self._length = FeaturePlan.of(features or model.features), length
        self._scorer = Scorer(model)

    def features(self, sequence: Sequence, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Features (m, number of features) at the ascending `times` (m) in ms; events of that very time count."""
        entries = entries_of(sequence, self._plan)
        features = self._plan.features.copy()
        out = np.empty((len(times), len(features)))
        marks, decays = np.empty(self._plan.marks, np.int32), np.empty(self._plan.decays, np.int64)
        plan = (features, self._plan.windows, self._plan.half_lives, self._plan.never)
        walk(
            entries,
            np.ascontiguousarray(times, np.int64),
            np.searchsorted(sequence.timestamps, times, "right"),
            self._length,
            marks,
            decays,
            plan,
            out,
        )
        return out

    def propensity(self, sequence: Sequence, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Propensities (m) at the ascending `times` (m) in ms."""
        return self._scorer(self.features(sequence, times))
