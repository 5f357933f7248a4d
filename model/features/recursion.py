"""The recursion over a sequence: running counts, decays and marks, advanced event by event.

All of it is derived from the sequence: nothing here is in a snapshot. An in-order event costs the same whatever the
length of its sequence: windows move a tail, decays are rescaled. What an event does to a feature is its kind's
(`model.features.registry`).
"""

from __future__ import annotations

from model.features.arithmetic import growth
from model.features.registry import enter, halve, has_window, is_decayed, leave, reset, shift, value
from model.features.structures import COUNTED, FIRST_TAIL, HEAD, KIND, LIVE, NUMBER, SCALE, matches
from model.sequences.entries import is_counted, is_ghost, is_silent
from schemas.compiled.compiling import compiled


@compiled
def grow(time, plan, running):
    """Write 2^(r / h) of a time (ms) into the growths, for every half-life."""
    for scale in range(len(plan.half_lives)):
        running.growths[scale] = growth(time, plan.half_lives[scale])


@compiled
def forget(plan, running):
    """Set one user's running values to those of an empty sequence."""
    running.marks[:] = 0
    running.decays[:] = 0
    for feature in range(len(plan.features)):
        reset(plan.features[feature, KIND], plan, feature, running)


@compiled
def restart(plan, running, place):
    """Set one user's running values to those before the entry at `place`, as if nothing had been before it."""
    forget(plan, running)
    running.marks[HEAD] = place
    for window in range(len(plan.windows)):
        running.marks[FIRST_TAIL + window] = place


@compiled
def advance(held, plan, running, end, time, since):
    """Move one user's running values on to `time` (ms), from `since`, the time that they stand at.

    The sequence ends before the place `end` so far.
    """
    features = plan.features
    for scale in range(len(plan.half_lives)):
        halvings = time // plan.half_lives[scale] - since // plan.half_lives[scale]
        if halvings > 0:
            for feature in range(len(features)):
                if is_decayed(features[feature, KIND]) and features[feature, SCALE] == scale:
                    halve(features[feature, KIND], plan, feature, running, halvings)
    for window in range(len(plan.windows)):
        tail = running.marks[FIRST_TAIL + window]
        oldest = time - plan.windows[window]
        while tail < end and held.entries[held.first + tail].timestamp < oldest:
            tag = held.entries[held.first + tail].tag
            if is_counted(tag):
                for feature in range(len(features)):
                    if (
                        has_window(features[feature, KIND])
                        and features[feature, SCALE] == window
                        and matches(plan, feature, tag)
                    ):
                        leave(features[feature, KIND], held, plan, feature, running, tail, end)
            tail += 1
        running.marks[FIRST_TAIL + window] = tail


@compiled
def _drop_oldest(held, plan, running, place):
    """Take the oldest live event out of the newest L, as that at `place` comes."""
    features, marks = plan.features, running.marks
    head = marks[HEAD]
    while is_ghost(held.entries[held.first + head].tag):
        head += 1
    tag = held.entries[held.first + head].tag
    counted = not is_silent(tag)
    marks[COUNTED] -= counted
    for feature in range(len(features) if counted else 0):
        kind = features[feature, KIND]
        if not matches(plan, feature, tag):
            continue
        if not has_window(kind) or head >= marks[FIRST_TAIL + features[feature, SCALE]]:
            leave(kind, held, plan, feature, running, head, place)
    marks[HEAD] = head + 1
    marks[LIVE] -= 1
    for window in range(len(plan.windows)):
        marks[FIRST_TAIL + window] = max(marks[FIRST_TAIL + window], head + 1)


@compiled
def observe(held, plan, running, place):
    """Take the live entry at `place` into one user's running values, which stand at the entry before it."""
    entry = held.entries[held.first + place]
    last = place - 1
    while last >= 0 and is_ghost(held.entries[held.first + last].tag):
        last -= 1
    since = held.entries[held.first + last].timestamp if last >= 0 else entry.timestamp
    advance(held, plan, running, place, entry.timestamp, since)
    grow(entry.timestamp, plan, running)
    running.marks[LIVE] += 1
    if running.marks[LIVE] > held.length:
        _drop_oldest(held, plan, running, place)
    if is_silent(entry.tag):
        return
    running.marks[COUNTED] += 1
    running.marks[NUMBER] += 1
    for feature in range(len(plan.features)):
        if matches(plan, feature, entry.tag):
            enter(plan.features[feature, KIND], held, plan, feature, running, place)


@compiled
def compute(held, plan, running, time, out):
    """Write the features (n) at `time` (ms), at which the running values stand, into `out`."""
    for feature in range(len(plan.features)):
        out[feature] = value(plan.features[feature, KIND], held, plan, feature, running, time)


@compiled
def shift_marks(plan, running, evicted):
    """Mend one user's places after `evicted` entries were dropped at the front."""
    running.marks[HEAD] -= evicted
    for window in range(len(plan.windows)):
        running.marks[FIRST_TAIL + window] -= evicted
    for feature in range(len(plan.features)):
        shift(plan.features[feature, KIND], plan, feature, running, evicted)
