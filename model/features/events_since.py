"""`events_since`: ln(1 + events after the newest matching event), all L where there is none."""

from __future__ import annotations

import math
from typing import Literal

from model.features.arithmetic import log1p_of_count
from model.features.count import gain as one_more
from model.features.newest import forget_place, is_gone, newest_before, shift_place
from model.features.structures import COUNTED, NOBODY, NUMBER, PLACE
from model.features.template import Kind, Template
from model.sequences.entries import is_counted
from schemas.compiled.compiling import compiled, inlined


class EventsSince(Template):
    """Events after the newest matching event.

    >>> EventsSince(aggregation="events_since", weight=0.1, type="CN").name
    'events_since(CN)'
    """

    aggregation: Literal["events_since"]


@inlined
def enter(held, plan, feature, running, place):
    """It is the newest; its number is kept beside its place."""
    at = plan.features[feature, PLACE]
    running.marks[at] = place
    running.marks[at + 1] = running.marks[NUMBER]


@inlined
def value(held, plan, feature, running, time):
    """ln(1 + events after the newest)."""
    at = plan.features[feature, PLACE]
    if is_gone(running, at):
        return log1p_of_count(running.marks[COUNTED])
    return log1p_of_count(running.marks[NUMBER] - running.marks[at + 1])


@inlined
def begin(view, plan, feature):
    """Behind the newest matching event; if that fades in, the feature is no sum."""
    newest = newest_before(view, plan, feature, view.high, False)
    if newest == NOBODY:
        return view.low
    return NOBODY if view.fading[newest - view.low] else newest + 1


@inlined
def share(view, plan, feature, place, halves):
    """1, of any event."""
    return 1.0


@compiled
def _count(view, begin, resting):
    """How many events from `begin` on count, of those that do not fade in where `resting`."""
    count = 0
    for place in range(begin, view.high):
        count += is_counted(view.entries[place].tag) and not (resting and view.fading[place - view.low])
    return count


@inlined
def blend(view, plan, feature, resting):
    """The value by the newest event that counts, and its place."""
    newest = newest_before(view, plan, feature, view.high, resting)
    after = view.low if newest == NOBODY else newest + 1
    return math.log1p(_count(view, after, resting)), newest


@inlined
def gain(before, beside, is_match):
    """It becomes 0; without a match ln(1 + n) becomes ln(2 + n)."""
    return 0.0 - before if is_match else one_more(before, beside, is_match)


EVENTS_SINCE = Kind(
    EventsSince,
    value=value,
    enter=enter,
    gain=gain,
    marks=2,
    counts_others=True,
    reset=forget_place,
    shift=shift_place,
    begin=begin,
    share=share,
    blend=blend,
)
