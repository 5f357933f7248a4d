"""`count`: ln(1 + n), n = matching events of age <= look_back."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Literal

from model.features.arithmetic import log1p_of_count
from model.features.structures import PLACE, SCALE, matches
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
def enter(held, plan, feature, running, place):
    """One more."""
    running.marks[plan.features[feature, PLACE]] += 1


@inlined
def leave(held, plan, feature, running, place, end):
    """One less."""
    running.marks[plan.features[feature, PLACE]] -= 1


@inlined
def value(held, plan, feature, running, time):
    """ln(1 + n)."""
    return log1p_of_count(running.marks[plan.features[feature, PLACE]])


@inlined
def begin(view, plan, feature):
    """From the first event on."""
    return view.low


@inlined
def share(view, plan, feature, place, halves):
    """1 within the window."""
    entry = view.entries[place]
    inside = view.time - entry.timestamp <= plan.windows[plan.features[feature, SCALE]]
    return 1.0 if inside and matches(plan, feature, entry.tag) else 0.0


@inlined
def gain(before, beside, is_match):
    """ln(1 + n) becomes ln(2 + n)."""
    return _LN2 if before == 0.0 else math.log1p(math.exp(-before))


COUNT = Kind(Count, value=value, enter=enter, gain=gain, marks=1, leave=leave, begin=begin, share=share)
