"""`time_between`: ln(1 + hours between the two newest matching events), or `never` where there are fewer."""

from __future__ import annotations

import math
from typing import Literal

from model.features.arithmetic import HOUR
from model.features.newest import forget_place, is_gone, newest_before, no_sum, shift_place
from model.features.recency import Recency
from model.features.structures import NOBODY, PLACE
from model.features.template import Kind, Template
from schemas.compiled.compiling import inlined


class TimeBetween(Template):
    """Time between the two newest matching events; `never` is the value where there are fewer.

    >>> TimeBetween(aggregation="time_between", weight=0.1, campaign="spring", never=5.0).name
    'time_between(any, spring)'
    """

    aggregation: Literal["time_between"]
    never: float


@inlined
def reset(plan, feature, running):
    """No event yet."""
    forget_place(plan, feature, running)
    running.marks[plan.features[feature, PLACE] + 1] = NOBODY


@inlined
def enter(held, plan, feature, running, place):
    """It is the newest; the one that was is the one before."""
    at = plan.features[feature, PLACE]
    running.marks[at + 1] = running.marks[at]
    running.marks[at] = place


@inlined
def shift(plan, feature, running, evicted):
    """Mend both places."""
    shift_place(plan, feature, running, evicted)
    at = plan.features[feature, PLACE] + 1
    running.marks[at] = max(running.marks[at] - evicted, NOBODY)


@inlined
def value(held, plan, feature, running, time):
    """ln(1 + hours between the two)."""
    at = plan.features[feature, PLACE]
    if is_gone(running, at + 1):
        return plan.never[feature]
    newest, before = held.entries[held.first + running.marks[at]], held.entries[held.first + running.marks[at + 1]]
    return math.log(1.0 + (newest.timestamp - before.timestamp) / HOUR)


@inlined
def blend(view, plan, feature, resting):
    """The value by the two newest events that count, and the place of the newest."""
    newest = newest_before(view, plan, feature, view.high, resting)
    if newest == NOBODY:
        return plan.never[feature], newest
    before = newest_before(view, plan, feature, newest, resting)
    if before == NOBODY:
        return plan.never[feature], newest
    return math.log1p((view.entries[newest].timestamp - view.entries[before].timestamp) / HOUR), newest


@inlined
def gain(before, beside, is_match):
    """It becomes what `recency` is now."""
    return beside - before


def beside_of(feature: TimeBetween, campaign: str | None) -> Recency:
    """The time since the newest matching event."""
    return Recency(aggregation="recency", weight=0.0, type=feature.type, campaign=feature.campaign, never=feature.never)


TIME_BETWEEN = Kind(
    TimeBetween,
    value=value,
    enter=enter,
    gain=gain,
    marks=2,
    reset=reset,
    shift=shift,
    begin=no_sum,
    blend=blend,
    beside_of=beside_of,
)
