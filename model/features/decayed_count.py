"""`decayed_count`: ln(1 + d), d = sum over matching events of 2^(-age / half_life)."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Literal

import numpy as np

from model.features.arithmetic import growth, shifted, term
from model.features.count import gain
from model.features.structures import PLACE, SCALE, matches
from model.features.template import Kind, Template, TimeScale
from schemas.compiled.compiling import inlined


class DecayedCount(Template):
    """Matching events, each worth half after every `half_life`.

    >>> DecayedCount(aggregation="decayed_count", weight=0.1, half_life="12h").name
    'decayed_count(any, 12h)'
    """

    aggregation: Literal["decayed_count"]
    half_life: TimeScale

    @property
    def decay(self) -> timedelta:
        """The half-life."""
        return self.half_life


@inlined
def enter(held, plan, feature, running, place):
    """Add the event's term; `running.growths` are those of its time."""
    growth_now = running.growths[plan.features[feature, SCALE]]
    running.decays[plan.features[feature, PLACE]] += term(growth_now, held.bits)


@inlined
def leave(held, plan, feature, running, place, end):
    """Take the event's term away, as it is at the time of the event at `end`."""
    half_life, at = plan.half_lives[plan.features[feature, SCALE]], plan.features[feature, PLACE]
    then, now = held.entries[held.first + place].timestamp, held.entries[held.first + end].timestamp
    halvings = now // half_life - then // half_life
    gone = shifted(term(growth(then, half_life), held.bits), halvings)
    running.decays[at] = max(running.decays[at] - gone, np.int64(0))


@inlined
def halve(plan, feature, running, halvings):
    """Shift the sum."""
    at = plan.features[feature, PLACE]
    running.decays[at] = shifted(running.decays[at], halvings)


@inlined
def value(held, plan, feature, running, time):
    """ln(1 + d).

    log(1 + x) is as exact here as log1p(x) and takes half of its time: x is at least 0, and the result is compared in
    absolute terms.
    """
    sum_ = running.decays[plan.features[feature, PLACE]]
    if sum_ <= 0:
        return 0.0
    unit = 1.0 / (np.int64(1) << held.bits)
    return math.log(1.0 + sum_ * unit / running.growths[plan.features[feature, SCALE]])


@inlined
def begin(view, plan, feature):
    """From the first event on."""
    return view.low


@inlined
def share(view, plan, feature, place, halves):
    """2^(-age / half_life)."""
    entry, scale = view.entries[place], plan.features[feature, SCALE]
    if not matches(plan, feature, entry.tag):
        return 0.0
    if halves[scale] == 0.0:
        halves[scale] = np.exp2(-(view.time - entry.timestamp) / plan.half_lives[scale])
    return halves[scale]


DECAYED_COUNT = Kind(
    DecayedCount, value=value, enter=enter, gain=gain, decays=1, leave=leave, halve=halve, begin=begin, share=share
)
