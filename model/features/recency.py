"""`recency`: ln(1 + hours since the newest matching event), or `never` where there is none."""

from __future__ import annotations

import math
from typing import Literal

from model.features.arithmetic import HOUR
from model.features.newest_match import forget_place, is_gone, newest_before, no_sum, shift_place
from model.features.structures import NOBODY
from model.features.template import Kind, Template
from schemas.compiled.compiling import inlined


class Recency(Template):
    """Time since the newest matching event; `never` is the value where there is none.

    >>> Recency(aggregation="recency", weight=-0.1, type="PS", never=9.0).name
    'recency(PS)'
    """

    aggregation: Literal["recency"]
    never: float


@inlined
def enter(feature, at, entries, marks, decays, growths):
    """It is the newest."""
    marks[feature.place] = at.place


@inlined
def value(feature, at, entries, marks, decays, growths):
    """ln(1 + hours since the newest)."""
    newest = marks[feature.place]
    if is_gone(newest, marks):
        return feature.never
    return math.log(1.0 + (at.time - entries[at.first + newest].timestamp) / HOUR)


@inlined
def blend(feature, span, entries, fading, resting):
    """The value by the newest event that counts, and its place."""
    newest = newest_before(feature, span, span.high, entries, fading, resting)
    if newest == NOBODY:
        return feature.never, newest
    return math.log1p((span.time - entries[newest].timestamp) / HOUR), newest


@inlined
def gain(before, beside, is_match):
    """It becomes 0."""
    return 0.0 - before


RECENCY = Kind(
    Recency,
    value=value,
    enter=enter,
    gain=gain,
    marks=1,
    reset=forget_place,
    shift=shift_place,
    begin=no_sum,
    blend=blend,
)
