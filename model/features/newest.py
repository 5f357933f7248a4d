"""Finding the newest matching event, for kinds of features that are no sums."""

from __future__ import annotations

from model.features.structures import HEAD, NOBODY, PLACE, matches
from model.sequences.entries import is_counted
from schemas.compiled.compiling import compiled, inlined


@compiled
def newest_before(view, plan, feature, end, resting):
    """The place of the newest matching event before `end` that counts, of those that do not fade in where `resting`."""
    for place in range(end - 1, view.low - 1, -1):
        counts = is_counted(view.entries[place].tag) and not (resting and view.fading[place - view.low])
        if counts and matches(plan, feature, view.entries[place].tag):
            return place
    return NOBODY


@inlined
def is_gone(running, mark):
    """Whether the event whose place a mark holds is not among the newest L, or never was."""
    return running.marks[mark] < running.marks[HEAD]


@inlined
def forget_place(plan, feature, running):
    """No event yet."""
    running.marks[plan.features[feature, PLACE]] = NOBODY


@inlined
def shift_place(plan, feature, running, evicted):
    """Mend the place of the newest event."""
    at = plan.features[feature, PLACE]
    running.marks[at] = max(running.marks[at] - evicted, NOBODY)


@inlined
def no_sum(view, plan, feature):
    """The feature is no sum."""
    return NOBODY
