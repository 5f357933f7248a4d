"""Finding the newest matching event, for kinds of features that are no sums."""

from __future__ import annotations

from model.features.structures import HEAD, NOBODY, matches
from model.sequences.entries import is_counted
from schemas.compiled.compiling import inlined


@inlined
def newest_before(feature, span, end, entries, fading, resting):
    """The place of the newest matching event before `end` that counts, of those that do not fade in where `resting`."""
    found = NOBODY
    for place in range(end - 1, span.low - 1, -1):
        counts = is_counted(entries[place].tag) and not (resting and fading[place - span.low])
        if counts and matches(feature, entries[place].tag):
            found = place
            break
    return found


@inlined
def is_gone(place, marks):
    """Whether the event at a place is not among the newest L, or never was."""
    return place < marks[HEAD]


@inlined
def forget_place(feature, marks):
    """No event yet."""
    marks[feature.place] = NOBODY


@inlined
def shift_place(feature, marks, evicted):
    """Mend the place of the newest event."""
    marks[feature.place] = max(marks[feature.place] - evicted, NOBODY)


@inlined
def no_sum(feature, span, entries, fading):
    """The feature is no sum."""
    return NOBODY
