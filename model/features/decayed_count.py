"""`decayed_count`: ln(1 + d), d = sum over matching events of 2^(-age / half_life)."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Literal

import numpy as np

from model.features.arithmetic import growth, shifted, term
from model.features.count import begin, gain
from model.features.structures import matches
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
def enter(feature, at, entries, marks, decays, growths):
    """Add the event's term; the growths are those of its time."""
    decays[feature.place] += term(growths[feature.scale], at.bits)


@inlined
def leave(feature, at, entries, marks, decays, growths):
    """Take the event's term away, as it is at `at.time`."""
    then = entries[at.first + at.place].timestamp
    halvings = at.time // feature.span - then // feature.span
    gone = shifted(term(growth(then, feature.span), at.bits), halvings)
    decays[feature.place] = max(decays[feature.place] - gone, np.int64(0))


@inlined
def halve(feature, decays, halvings):
    """Shift the sum."""
    decays[feature.place] = shifted(decays[feature.place], halvings)


@inlined
def value(feature, at, entries, marks, decays, growths):
    """ln(1 + d).

    log(1 + x) is as exact here as log1p(x) and takes half of its time: x is at least 0, and the result is compared in
    absolute terms.
    """
    sum_ = decays[feature.place]
    if sum_ <= 0:
        return 0.0
    return math.log(1.0 + sum_ * (1.0 / (np.int64(1) << at.bits)) / growths[feature.scale])


@inlined
def share(feature, span, entries, fading, place, halves):
    """2^(-age / half_life)."""
    entry, scale = entries[place], feature.scale
    if not matches(feature, entry.tag):
        return 0.0
    if halves[scale] == 0.0:
        halves[scale] = np.exp2(-(span.time - entry.timestamp) / feature.span)
    return halves[scale]


DECAYED_COUNT = Kind(
    DecayedCount, value=value, enter=enter, gain=gain, decays=1, leave=leave, halve=halve, begin=begin, share=share
)
