"""From changed sequences to outcomes and features: the recursion, run over what a batch changed."""

from __future__ import annotations

import numpy as np

from model.features.arithmetic import fraction_bits
from model.features.recursion import compute, forget, observe, restart, shift_marks
from model.features.structures import Held, Running
from model.sequences.entries import campaign_of, is_ghost, type_of
from model.sequences.merging import CONFLICT, NEW, evict, live_from
from schemas.compiled.compiling import compiled, inlined
from schemas.scored import COMPUTED_AGAIN


@inlined
def _is_before(record, entry):
    if record.timestamp != entry.timestamp:
        return record.timestamp < entry.timestamp
    if record.type != type_of(entry.tag):
        return record.type < type_of(entry.tag)
    return record.event_key < entry.key


@compiled
def _row_of(entry, rows, order, at, stop, campaign_of_row, fates):
    """The row that brought an entry, looked for from `order[at]` on; `COMPUTED_AGAIN` if it came earlier."""
    while at < stop:
        row = order[at]
        record = rows[row]
        if record.timestamp != entry.timestamp or record.event_key != entry.key or record.type != type_of(entry.tag):
            break
        brought = fates[row] == NEW or fates[row] == CONFLICT
        if brought and record.body == entry.body and campaign_of_row[row] == campaign_of(entry.tag):
            return row
        at += 1
    return COMPUTED_AGAIN


@compiled
def emit(
    rows,
    order,
    groups,
    users,
    entries,
    campaign_of_row,
    values,
    plan,
    length,
    fates,
    outcomes,
    features,
):
    """Run the recursion over what changed, and write an outcome and its features for every live entry of it."""
    out, growths, bits = 0, np.empty(len(plan.half_lives), np.float64), fraction_bits(length)
    for group in groups:
        if group.dirty == group.known and users[group.slot].size == group.known:
            continue
        slot, user = group.slot, users[group.slot]
        first, size, begin = user.first, user.size, group.dirty
        held = Held(entries, first, length, bits)
        running = Running(values.marks[slot], values.decays[slot], growths)
        if group.known == 0:
            forget(plan, running)
        elif group.dirty < group.known:
            live = 0
            while begin > 0 and live < length:
                begin -= 1
                if not is_ghost(entries[first + begin].tag):
                    live += 1
            restart(plan, running, begin)
        seen = user.evicted_live + size - user.ghosts - live_from(user, entries, begin)
        row_at, last_of_instant = group.start, -1
        for place in range(begin, size):
            entry = entries[first + place]
            if is_ghost(entry.tag):
                continue
            seen += 1
            observe(held, plan, running, place)
            if place < group.dirty:
                continue
            if place > last_of_instant:
                last_of_instant = place
                while last_of_instant + 1 < size and entries[first + last_of_instant + 1].timestamp == entry.timestamp:
                    last_of_instant += 1
            compute(held, plan, running, entry.timestamp, features[out])
            outcome = outcomes[out]
            outcome.timestamp, outcome.event_key, outcome.seen = entry.timestamp, entry.key, seen
            outcome.version = entry.timestamp * 1000 + user.raised + user.evicted + last_of_instant + 1
            outcome.type = type_of(entry.tag)
            outcome.user_row = order[group.start]
            outcome.newest = False
            while row_at < group.stop and _is_before(rows[order[row_at]], entry):
                row_at += 1
            outcome.body_row = _row_of(entry, rows, order, row_at, group.stop, campaign_of_row, fates)
            out += 1
        outcomes[out - 1].newest = True


@compiled
def let_go(groups, users, entries, marks, plan, length):
    """Drop what is too old of the users of a batch."""
    for group in groups:
        gone = evict(users[group.slot], entries, length, length // 8)
        if gone > 0:
            shift_marks(plan, marks[group.slot], gone)


@compiled
def derive_all(users, entries, values, plan, length):
    """Run the recursion over every user's sequence, from nothing."""
    growths, bits = np.empty(len(plan.half_lives), np.float64), fraction_bits(length)
    for slot in range(len(users)):
        user = users[slot]
        running = Running(values.marks[slot], values.decays[slot], growths)
        held = Held(entries, user.first, length, bits)
        forget(plan, running)
        for place in range(user.size):
            if not is_ghost(entries[user.first + place].tag):
                observe(held, plan, running, place)
