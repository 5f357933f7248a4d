"""The propensity of one user at any time: the same recursion, asked between events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.features.arithmetic import fraction_bits
from model.features.kinds import Feature
from model.features.plan import DEFAULT_LENGTH, FeaturePlan
from model.features.recursion import advance, compute, forget, grow, observe
from model.features.structures import Held, Running
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
    """A sequence as a bucket keeps it, with the plan's numbers for campaigns, and numbers of its own for others."""
    names = {name: number for number, name in enumerate(plan.campaigns)}
    entries = np.zeros(len(sequence.timestamps), ENTRY)
    entries["timestamp"] = sequence.timestamps
    entries["tag"] = [
        make_tag(kind, names.setdefault(campaign, len(names)), refund)
        for kind, campaign, refund in zip(
            sequence.types.tolist(), sequence.campaigns, sequence.is_refund.tolist(), strict=True
        )
    ]
    mark_items(entries, 0, 0, len(entries))
    return entries


_NOTHING = FeaturePlan.of(())


@compiled
def walk(entries, times, counts, length, plan, running, features):
    """Features (m, n) at each of the ascending `times` (m) in ms, from as many of the entries as `counts` (m) say.

    `counts` ascend. `running` is one user's, and is left as it stands after the last of the times.
    """
    held, taken = Held(entries, 0, length, fraction_bits(length)), 0
    forget(plan, running)
    for at in range(len(times)):
        time = times[at]
        while taken < counts[at]:
            observe(held, plan, running, taken)
            taken += 1
        later = Running(running.marks.copy(), running.decays.copy(), running.growths)
        if taken > 0:
            advance(held, plan, later, taken, time, entries[taken - 1].timestamp)
        grow(time, plan, later)
        compute(held, plan, later, time, features[at])


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
        out = np.empty((len(times), len(self._plan.arrays.features)))
        counts = np.searchsorted(sequence.timestamps, times, "right")
        times = np.ascontiguousarray(times, np.int64)
        walk(entries, times, counts, self._length, self._plan.arrays, self._plan.one_user(), out)
        return out

    def propensity(self, sequence: Sequence, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Propensities (m) at the ascending `times` (m) in ms."""
        return self._scorer(self.features(sequence, times))
