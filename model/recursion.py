"""The recursion over a sequence: running counts, decays and marks, advanced event by event.

All of it is derived from the sequence: nothing here is in a snapshot. An in-order event costs the same whatever the
length of its sequence: windows move a tail, decays multiply. Places are relative to the sequence's first entry.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from model.entries import campaign_of, is_ghost, type_of
from model.plan import (
    BETWEEN,
    CAMPAIGN,
    COUNT,
    DECAYED,
    FIRST_TAIL,
    HEAD,
    KIND,
    LIVE,
    PLACE,
    RECENCY,
    SCALE,
    SINCE,
    TYPE,
)

HOUR = 3_600_000.0
_LOG1P = np.array([math.log1p(n) for n in range(2_048)])


@nb.njit(cache=True, inline="always")
def _matches(features, feature, tag):
    type_, campaign = features[feature, TYPE], features[feature, CAMPAIGN]
    return (type_ < 0 or type_ == type_of(tag)) and (campaign < 0 or campaign == campaign_of(tag))


@nb.njit(cache=True)
def forget(marks, decays, plan):
    """Set one user's running values to those of an empty sequence."""
    features = plan[0]
    marks[:] = 0
    decays[:] = 0.0
    for feature in range(len(features)):
        kind, place = features[feature, KIND], features[feature, PLACE]
        if kind in (RECENCY, SINCE, BETWEEN):
            marks[place] = -1
        if kind == BETWEEN:
            marks[place + 1] = -1


@nb.njit(cache=True)
def restart(marks, decays, plan, place):
    """Set one user's running values to those before the entry at `place`, as if nothing had been before it."""
    forget(marks, decays, plan)
    marks[HEAD] = place
    for window in range(len(plan[1])):
        marks[FIRST_TAIL + window] = place


@nb.njit(cache=True)
def advance(entries, first, end, time, since, marks, decays, plan, factors):
    """Move one user's running values on to `time`, from `since`, the time that they stand at.

    The sequence is `entries[first:first + end]` so far. `factors` is scratch of the length of `half_lives`.
    """
    features, windows, half_lives = plan[0], plan[1], plan[2]
    if time > since:
        for scale in range(len(half_lives)):
            factors[scale] = 2.0 ** ((since - time) / half_lives[scale])
        for feature in range(len(features)):
            if features[feature, KIND] == DECAYED:
                decays[features[feature, PLACE]] *= factors[features[feature, SCALE]]
    for window in range(len(windows)):
        tail = marks[FIRST_TAIL + window]
        oldest = time - windows[window]
        while tail < end and entries[first + tail].timestamp < oldest:
            tag = entries[first + tail].tag
            if not is_ghost(tag):
                for feature in range(len(features)):
                    if (
                        features[feature, KIND] == COUNT
                        and features[feature, SCALE] == window
                        and _matches(features, feature, tag)
                    ):
                        marks[features[feature, PLACE]] -= 1
            tail += 1
        marks[FIRST_TAIL + window] = tail


@nb.njit(cache=True)
def _drop_oldest(entries, first, time, marks, decays, plan):
    """Take the oldest live event out of the newest L."""
    features, windows, half_lives = plan[0], plan[1], plan[2]
    head = marks[HEAD]
    while is_ghost(entries[first + head].tag):
        head += 1
    entry = entries[first + head]
    for feature in range(len(features)):
        kind, place, scale = features[feature, KIND], features[feature, PLACE], features[feature, SCALE]
        if kind > DECAYED or not _matches(features, feature, entry.tag):
            continue
        if kind == COUNT:
            if head >= marks[FIRST_TAIL + scale]:
                marks[place] -= 1
        else:
            decays[place] = max(decays[place] - 2.0 ** ((entry.timestamp - time) / half_lives[scale]), 0.0)
    marks[HEAD] = head + 1
    marks[LIVE] -= 1
    for window in range(len(windows)):
        marks[FIRST_TAIL + window] = max(marks[FIRST_TAIL + window], head + 1)


@nb.njit(cache=True)
def observe(entries, first, place, seen, length, marks, decays, plan, factors):
    """Take the live entry at `place` into one user's running values, which stand at the entry before it.

    `seen` is the number of the user's distinct events up to and including this one, `length` is L.
    """
    features = plan[0]
    entry = entries[first + place]
    time = entry.timestamp
    last = place - 1
    while last >= 0 and is_ghost(entries[first + last].tag):
        last -= 1
    since = entries[first + last].timestamp if last >= 0 else time
    advance(entries, first, place, time, since, marks, decays, plan, factors)
    marks[LIVE] += 1
    if marks[LIVE] > length:
        _drop_oldest(entries, first, time, marks, decays, plan)
    for feature in range(len(features)):
        if not _matches(features, feature, entry.tag):
            continue
        kind, at = features[feature, KIND], features[feature, PLACE]
        if kind == COUNT:
            marks[at] += 1
        elif kind == DECAYED:
            decays[at] += 1.0
        elif kind == BETWEEN:
            marks[at + 1] = marks[at]
            marks[at] = place
        else:
            marks[at] = place
            if kind == SINCE:
                marks[at + 1] = seen


@nb.njit(cache=True, inline="always")
def _log1p_of_count(count):
    return _LOG1P[count] if count < len(_LOG1P) else math.log1p(count)


@nb.njit(cache=True)
def compute(entries, first, time, seen, marks, decays, plan, out):
    """Write the features at `time`, at which the running values stand, into `out`."""
    features, never = plan[0], plan[3]
    for feature in range(len(features)):
        kind, at = features[feature, KIND], features[feature, PLACE]
        if kind == COUNT:
            out[feature] = _log1p_of_count(marks[at])
        elif kind == DECAYED:
            out[feature] = math.log1p(decays[at]) if decays[at] > 0.0 else 0.0
        elif kind == SINCE:
            known = marks[at] >= marks[HEAD]
            out[feature] = _log1p_of_count(seen - marks[at + 1] if known else marks[LIVE])
        else:
            oldest = marks[at] if kind == RECENCY else marks[at + 1]
            if oldest < marks[HEAD]:
                out[feature] = never[feature]
            elif kind == RECENCY:
                out[feature] = math.log1p((time - entries[first + marks[at]].timestamp) / HOUR)
            else:
                gap = entries[first + marks[at]].timestamp - entries[first + oldest].timestamp
                out[feature] = math.log1p(gap / HOUR)


@nb.njit(cache=True)
def shift_marks(marks, plan, evicted):
    """Mend one user's places after `evicted` entries were dropped at the front."""
    features, windows = plan[0], plan[1]
    marks[HEAD] -= evicted
    for window in range(len(windows)):
        marks[FIRST_TAIL + window] -= evicted
    for feature in range(len(features)):
        kind, at = features[feature, KIND], features[feature, PLACE]
        if kind > DECAYED:
            marks[at] = max(marks[at] - evicted, -1)
        if kind == BETWEEN:
            marks[at + 1] = max(marks[at + 1] - evicted, -1)
