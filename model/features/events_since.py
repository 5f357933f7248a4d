"""`events_since`: ln(1 + events after the newest matching event), all L where there is none."""

from __future__ import annotations

import math
from typing import Literal

from model.features.arithmetic import log1p_of_count
from model.features.count import gain as one_more
from model.features.newest_match import forget_place, is_gone, newest_before, shift_place
from model.features.structures import COUNTED, NOBODY, NUMBER
from model.features.template import Kind, Template
from model.sequences.entries import is_counted
from schemas.compiled.compiling import inlined


class EventsSince(Template):
    """Events after the newest matching event.

    >>> EventsSince(aggregation="events_since", weight=0.1, type="CN").name
    'events_since(CN)'
    """

    aggregation: Literal["events_since"]


@inlined
def enter(feature, at, entries, marks, decays, growths):
    """It is the newest; its number is kept beside its place."""
    marks[feature.place] = at.place
    marks[feature.place + 1] = marks[NUMBER]


@inlined
def value(feature, at, entries, marks, decays, growths):
    """ln(1 + events after the newest)."""
    known = not is_gone(marks[feature.place], marks)
    return log1p_of_count(marks[NUMBER] - marks[feature.place + 1] if known else marks[COUNTED])


@inlined
def begin(feature, span, entries, fading):
    """Behind the newest matching event; if that fades in, the feature is no sum."""
    newest = newest_before(feature, span, span.high, entries, fading, False)
    if newest == NOBODY:
        return span.low
    return NOBODY if fading[newest - span.low] else newest + 1


@inlined
def share(feature, span, entries, fading, place, halves):
    """1, of any event."""
    return 1.0


@inlined
def blend(feature, span, entries, fading, resting):
    """The value by the newest event that counts, and its place."""
    newest = newest_before(feature, span, span.high, entries, fading, resting)
    count = 0
    for place in range(span.low if newest == NOBODY else newest + 1, span.high):
        count += is_counted(entries[place].tag) and not (resting and fading[place - span.low])
    return math.log1p(count), newest


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
