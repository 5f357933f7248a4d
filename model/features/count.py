"""`count`: ln(1 + n), n = matching events of age <= look_back."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Literal

from model.features.arithmetic import log1p_of_count
from model.features.structures import matches
from model.features.template import Kind, Template, TimeScale
from schemas.compiled.compiling import inlined

_LN2 = math.log(2.0)


class Count(Template):
    """Matching events whose age is at most `look_back`.

    >>> Count(aggregation="count", weight=0.1, type="CL", look_back="7d").name
    'count(CL, 7d)'
    """

    aggregation: Literal["count"]
    look_back: TimeScale

    @property
    def window(self) -> timedelta:
        """The look-back window."""
        return self.look_back


@inlined
def enter(feature, at, entries, marks, decays, growths):
    """One more."""
    marks[feature.place] += 1


@inlined
def leave(feature, at, entries, marks, decays, growths):
    """One less."""
    marks[feature.place] -= 1


@inlined
def value(feature, at, entries, marks, decays, growths):
    """ln(1 + n)."""
    return log1p_of_count(marks[feature.place])


@inlined
def begin(feature, span, entries, fading):
    """From the first event on."""
    return span.low


@inlined
def share(feature, span, entries, fading, place, halves):
    """1 within the window."""
    entry = entries[place]
    return 1.0 if span.time - entry.timestamp <= feature.span and matches(feature, entry.tag) else 0.0


@inlined
def gain(before, beside, is_match):
    """ln(1 + n) becomes ln(2 + n)."""
    return _LN2 if before == 0.0 else math.log1p(math.exp(-before))


COUNT = Kind(Count, value=value, enter=enter, gain=gain, marks=1, leave=leave, begin=begin, share=share)
