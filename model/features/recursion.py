"""The recursion over a sequence: running counts, decays and marks, advanced event by event.

All of it is derived from the sequence: nothing here is in a snapshot. An in-order event costs the same whatever the
length of its sequence: windows move a tail, decays are rescaled. What an event does to a feature is its kind's
(`model.features.kinds`).
"""

from __future__ import annotations

import numpy as np

from model.features.arithmetic import growth
from model.features.kinds import enter, for_each_kind, halve, has_window, is_decayed, leave, reset, shift, value
from model.features.structures import COUNTED, FIRST_TAIL, HEAD, LIVE, NUMBER, At, matches
from model.sequences.entries import is_counted, is_ghost, is_silent
from schemas.compiled.compiling import compiled


@compiled
def grow(time, plan, running):
    """Write 2^(r / h) of a time (ms) into the growths, for every half-life."""
    half_lives, growths = plan.half_lives, running.growths
    for scale in range(len(half_lives)):
        growths[scale] = growth(time, half_lives[scale])


@compiled
@for_each_kind
def forget(plan, running):
    """Set one user's running values to those of an empty sequence."""
    features, marks = plan.features, running.marks
    marks[:] = 0
    running.decays[:] = 0
    for number in range(len(features)):
        reset(features[number].kind, features[number], marks)


@compiled
def restart(plan, running, place):
    """Set one user's running values to those before the entry at `place`, as if nothing had been before it."""
    forget(plan, running)
    running.marks[HEAD] = place
    for window in range(len(plan.windows)):
        running.marks[FIRST_TAIL + window] = place


@compiled
@for_each_kind
def advance(held, plan, running, end, time, since):
    """Move one user's running values on to `time` (ms), from `since`, the time that they stand at.

    The sequence ends before the place `end` so far.
    """
    features, windows, half_lives = plan.features, plan.windows, plan.half_lives
    entries, first = held.entries, held.first
    marks, decays, growths = running.marks, running.decays, running.growths
    for scale in range(len(half_lives)):
        halvings = time // half_lives[scale] - since // half_lives[scale]
        if halvings > 0:
            for number in range(len(features)):
                feature = features[number]
                if is_decayed(feature.kind) and feature.scale == scale:
                    halve(feature.kind, feature, decays, halvings)
    for window in range(len(windows)):
        tail = np.int64(marks[FIRST_TAIL + window])
        oldest = time - windows[window]
        while tail < end and entries[first + tail].timestamp < oldest:
            tag = entries[first + tail].tag
            if is_counted(tag):
                at = At(first, tail, end, time, held.bits)
                for number in range(len(features)):
                    feature = features[number]
                    if has_window(feature.kind) and feature.scale == window and matches(feature, tag):
                        leave(feature.kind, feature, at, entries, marks, decays, growths)
            tail += 1
        marks[FIRST_TAIL + window] = tail


@compiled
@for_each_kind
def _drop_oldest(held, plan, running, place, time):
    """Take the oldest live event out of the newest L, as that at `place` comes at a time (ms)."""
    features, entries, first = plan.features, held.entries, held.first
    marks, decays, growths = running.marks, running.decays, running.growths
    head = np.int64(marks[HEAD])
    while is_ghost(entries[first + head].tag):
        head += 1
    tag = entries[first + head].tag
    counted = not is_silent(tag)
    marks[COUNTED] -= counted
    at = At(first, head, place, time, held.bits)
    for number in range(len(features) if counted else 0):
        feature = features[number]
        if has_window(feature.kind) and head < marks[FIRST_TAIL + feature.scale]:
            continue
        if matches(feature, tag):
            leave(feature.kind, feature, at, entries, marks, decays, growths)
    marks[HEAD] = head + 1
    marks[LIVE] -= 1
    for window in range(len(plan.windows)):
        marks[FIRST_TAIL + window] = max(marks[FIRST_TAIL + window], head + 1)


@compiled
@for_each_kind
def observe(held, plan, running, place):
    """Take the live entry at `place` into one user's running values, which stand at the entry before it."""
    features, entries, first = plan.features, held.entries, held.first
    marks, decays, growths = running.marks, running.decays, running.growths
    entry = entries[first + place]
    time = entry.timestamp
    last = place - 1
    while last >= 0 and is_ghost(entries[first + last].tag):
        last -= 1
    since = entries[first + last].timestamp if last >= 0 else time
    advance(held, plan, running, place, time, since)
    grow(time, plan, running)
    marks[LIVE] += 1
    if marks[LIVE] > held.length:
        _drop_oldest(held, plan, running, place, time)
    if is_silent(entry.tag):
        return
    marks[COUNTED] += 1
    marks[NUMBER] += 1
    at = At(first, place, place + 1, time, held.bits)
    for number in range(len(features)):
        feature = features[number]
        if matches(feature, entry.tag):
            enter(feature.kind, feature, at, entries, marks, decays, growths)


@compiled
@for_each_kind
def compute(held, plan, running, time, out):
    """Write the features (n) at `time` (ms), at which the running values stand, into `out`."""
    features, entries = plan.features, held.entries
    marks, decays, growths = running.marks, running.decays, running.growths
    at = At(held.first, 0, 0, time, held.bits)
    for number in range(len(features)):
        feature = features[number]
        out[number] = value(feature.kind, feature, at, entries, marks, decays, growths)


@compiled
@for_each_kind
def shift_marks(plan, marks, evicted):
    """Mend one user's marks after `evicted` entries were dropped at the front."""
    features = plan.features
    marks[HEAD] -= evicted
    for window in range(len(plan.windows)):
        marks[FIRST_TAIL + window] -= evicted
    for number in range(len(features)):
        shift(features[number].kind, features[number], marks, evicted)
