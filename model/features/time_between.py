"""`time_between`: ln(1 + hours between the two newest matching events), or `never` where there are fewer."""

from __future__ import annotations

import math
from typing import Literal

from model.features.arithmetic import HOUR
from model.features.newest_match import is_gone, newest_before, no_sum, shift_place
from model.features.recency import Recency
from model.features.structures import NOBODY
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
def reset(feature, marks):
    """No event yet."""
    marks[feature.place] = marks[feature.place + 1] = NOBODY


@inlined
def enter(feature, at, entries, marks, decays, growths):
    """It is the newest; the one that was is the one before."""
    marks[feature.place + 1] = marks[feature.place]
    marks[feature.place] = at.place


@inlined
def shift(feature, marks, evicted):
    """Mend both places."""
    shift_place(feature, marks, evicted)
    marks[feature.place + 1] = max(marks[feature.place + 1] - evicted, NOBODY)


@inlined
def value(feature, at, entries, marks, decays, growths):
    """ln(1 + hours between the two)."""
    newest, before = marks[feature.place], marks[feature.place + 1]
    if is_gone(before, marks):
        return feature.never
    gap = entries[at.first + newest].timestamp - entries[at.first + before].timestamp
    return math.log(1.0 + gap / HOUR)


@inlined
def blend(feature, span, entries, fading, resting):
    """The value by the two newest events that count, and the place of the newest."""
    newest = newest_before(feature, span, span.high, entries, fading, resting)
    before = newest_before(feature, span, newest, entries, fading, resting)
    if newest == NOBODY or before == NOBODY:
        return feature.never, newest
    return math.log1p((entries[newest].timestamp - entries[before].timestamp) / HOUR), newest


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
