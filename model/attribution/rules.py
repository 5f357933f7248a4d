"""Credit for conversions: what every touch before one has to do with it, by six rules.

A touch is an event of a type that is one (`schemas.event_types`), at most `attribution_window` before the conversion,
among the newest L events of the user. `credit` is by the model: the part phi_i / v(N) of the touch in v(N), the
propensity just before the conversion (`model.attribution.aumann_shapley`), for a short horizon where the model has a
vector for one; what is left, v(0) / v(N), is the baseline's. v(0) is what the model predicts for the same user without
touches; it is no experiment. The other rules know nothing of the model: the last touch, the first, all alike, half as
much for every seven days before, and 40% to the first, 40% to the last and the rest to those between; where there is no
touch all is the baseline's.

Conversions of one order are one, the first (`model.sequences.orders`): what comes later of it, and the refund that
takes it back, have its touches, as far as they are among the newest L events before the item or the refund. A refund
takes back from the user's newest order up to its instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.attribution.aumann_shapley import Fading, Vector, shares
from model.scoring.propensity import Model
from model.sequences.entries import (
    ITEM,
    REFUND,
    campaign_of,
    is_ghost,
    is_live_conversion,
    is_live_touch,
    type_of,
)
from model.sequences.orders import NOBODY, is_sent_again, order_of
from schemas import credits as parts
from schemas.compiled.compiling import compiled
from schemas.credits import BASELINE

if TYPE_CHECKING:
    from model.timeline import Models

HALF_LIFE = 7 * 24 * 3_600_000.0
"""Of `time_decay`, in ms."""
ATTRIBUTION_WINDOW = 30 * 24 * 3_600_000
"""In ms, where nobody says another."""
FIRST, LAST = 0.4, 0.4
"""Shares of the first and the last touch in `position`."""


class Vectors(NamedTuple):
    """The vectors of models (m) that credit with the features (n) of a plan.

    Attributes:
        starts: from when on each of the models but the first is valid (m - 1), in ms since 1970.
        weights: (m, n).
        intercepts: (m).
        attribution_window: how long before a conversion a touch may be, in ms.
    """

    starts: NDArray[np.int64]
    weights: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    attribution_window: int


class Attribution:
    """What crediting needs of the models of a store: each conversion is credited by the one that is valid at its time.

    Args:
        models: the models.
        attribution_window: how long before a conversion a touch may be, in ms.

    Attributes:
        vectors: the same for compiled code.
    """

    def __init__(self, models: Models, attribution_window: int = ATTRIBUTION_WINDOW) -> None:
        weights, intercepts = np.zeros((len(models.models), models.plan.count)), np.empty(len(models.models))
        for number, (model, columns) in enumerate(zip(models.models, models.columns, strict=True)):
            own, intercepts[number] = short_term(model)
            np.add.at(weights[number], columns, own)
        self.vectors = Vectors(models.starts, weights, intercepts, attribution_window)


def short_term(model: Model) -> tuple[NDArray[np.float64], float]:
    """The weights and the intercept that conversions are credited with: those of a short horizon, if it has some."""
    if model.attribution is None:
        return model.weights, model.intercept
    return np.array(model.attribution.weights), model.attribution.intercept


@compiled
def _oldest(entries, first, place, length):
    """Where the newest L live events before `place` begin."""
    low, live = place, 0
    while low > first and live < length:
        low -= 1
        live += not is_ghost(entries[low].tag)
    return low


@compiled
def _part_of(entries, low, place, end):
    """What a conversion is to its order, of those in `entries[low:end]`, and where that begins, or `NOBODY`."""
    tag = entries[place].tag
    if tag & (REFUND | ITEM) == 0:
        return parts.ORDER, place
    if is_sent_again(entries, low, place):
        return parts.REPEAT, NOBODY
    return parts.REFUND if tag & REFUND != 0 else parts.ITEM, order_of(entries, low, place, end)


@compiled
def count_credits(groups, users, entries, length, attribution_window):
    """How many credits `fill_credits` gives: of each changed conversion one a touch, and one for the baseline."""
    count = 0
    for group in groups:
        user = users[group.slot]
        for place in range(user.first + group.dirty, user.first + user.size):
            entry = entries[place]
            if not is_live_conversion(entry.tag):
                continue
            count += 1
            low = _oldest(entries, user.first, place, length)
            _, order = _part_of(entries, low, place, user.first + user.size)
            for touch in range(low, order):
                count += _is_touch(entries[touch], entries[order].timestamp, attribution_window)
    return count


@compiled
def _is_touch(entry, time, attribution_window):
    """Whether an entry is a touch of a conversion at a time (ms)."""
    return is_live_touch(entry.tag) and time - entry.timestamp <= attribution_window


@compiled
def fill_credits(groups, users, entries, plan, length, vectors, credits):
    """Write the credits of every conversion that a batch brought or changed, in the order in which `emit` has them.

    `groups` are what the batch did to which of the `users`, whose sequences lie in `entries`
    (`model.sequences.merging`); of each the newest `length` events count. `plan` has the features of the `vectors`
    (`Vectors`). As many `credits` are filled in as `count_credits` finds.
    """
    at, outcome, of_feature, longest = 0, -1, np.empty(vectors.weights.shape[1]), 0
    for group in groups:
        longest = max(longest, users[group.slot].size)
    of_event_, fading_ = np.empty(longest), np.empty(longest, np.bool_)
    terms = np.empty((longest, vectors.weights.shape[1]))
    for group in groups:
        user = users[group.slot]
        for place in range(user.first + group.dirty, user.first + user.size):
            entry = entries[place]
            outcome += not is_ghost(entry.tag)
            if not is_live_conversion(entry.tag):
                continue
            low = _oldest(entries, user.first, place, length)
            part, order = _part_of(entries, low, place, user.first + user.size)
            begin, order_time = at, entry.timestamp
            if order != NOBODY:
                order_time = entries[order].timestamp
                of_event, fading = of_event_[: order - low], fading_[: order - low]
                model = np.searchsorted(vectors.starts, order_time, side="right")
                for touch in range(low, order):
                    fading[touch - low] = _is_touch(entries[touch], order_time, vectors.attribution_window)
                view = Fading(entries, low, order, order_time, fading)
                vector = Vector(vectors.weights[model], vectors.intercepts[model])
                _, whole = shares(view, plan, vector, terms, of_event, of_feature)
                for touch in range(low, order):
                    if fading[touch - low]:
                        credit = credits[at]
                        credit.touch_time, credit.touch_key = entries[touch].timestamp, entries[touch].key
                        credit.type, credit.campaign = type_of(entries[touch].tag), campaign_of(entries[touch].tag)
                        credit.credit = of_event[touch - low] / whole if whole > 0.0 else 0.0
                        at += 1
            _by_rule(credits, begin, at)
            rest = credits[at]
            rest.touch_time = rest.touch_key = rest.campaign = 0
            rest.type, rest.credit = BASELINE, 1.0
            for touch in range(begin, at):
                rest.credit -= credits[touch].credit
            rest.last = rest.first = rest.linear = rest.time_decay = rest.position = 0.0 if at > begin else 1.0
            at += 1
            for row in range(begin, at):
                credits[row].outcome, credits[row].part, credits[row].order_time = outcome, part, order_time


@compiled
def _by_rule(credits, begin, end):
    """Share a conversion among its touches, oldest first, by the rules that need no model."""
    count, total = end - begin, 0.0
    for row in range(begin, end):
        credits[row].time_decay = np.exp2((credits[row].touch_time - credits[end - 1].touch_time) / HALF_LIFE)
        total += credits[row].time_decay
    for row in range(begin, end):
        credit = credits[row]
        credit.first, credit.last, credit.linear = row == begin, row == end - 1, 1.0 / count
        credit.time_decay /= total
        if count <= 2:
            credit.position = 1.0 / count
        else:
            credit.position = (1.0 - FIRST - LAST) / (count - 2)
            if row == begin:
                credit.position = FIRST
            elif row == end - 1:
                credit.position = LAST
