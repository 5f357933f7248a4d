"""`recency`: ln(1 + hours since the newest matching event), or `never` where there is none."""

from __future__ import annotations

import math
from typing import Literal

from model.features.arithmetic import HOUR
from model.features.newest import forget_place, is_gone, newest_before, no_sum, shift_place
from model.features.structures import NOBODY, PLACE
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
def enter(held, plan, feature, running, place):
    """It is the newest."""
    running.marks[plan.features[feature, PLACE]] = place


@inlined
def value(held, plan, feature, running, time):
    """ln(1 + hours since the newest)."""
    at = plan.features[feature, PLACE]
    if is_gone(running, at):
        return plan.never[feature]
    return math.log(1.0 + (time - held.entries[held.first + running.marks[at]].timestamp) / HOUR)


@inlined
def blend(view, plan, feature, resting):
    """The value by the newest event that counts, and its place."""
    newest = newest_before(view, plan, feature, view.high, resting)
    if newest == NOBODY:
        return plan.never[feature], newest
    return math.log1p((view.time - view.entries[newest].timestamp) / HOUR), newest


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
