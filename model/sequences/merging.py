"""Users' sequences of events in one block of memory: merging a batch into them, in event order.

Each user owns a stretch of the entries with a little room behind. Rows of a batch are taken user by user in the order
(timestamp, type, event key); each is a repeat, too late, a conflict or a new event, and finds its place.
"""

from __future__ import annotations

import numpy as np

from model.sequences.entries import (
    GHOST,
    OWN,
    REFUND,
    campaign_of,
    first_not_before,
    is_ghost,
    is_refund,
    make_tag,
    type_of,
)
from model.sequences.orders import mark_items
from model.sequences.texts import intern_text, is_greater_text
from schemas.compiled.compiling import compiled, inlined
from schemas.compiled.hashing import xxh3
from schemas.event_types import IS_CONVERSION, TYPES
from schemas.events import CAMPAIGN, USER_ID

USER = np.dtype(
    [
        ("first", np.int64),  # the stretch's first entry
        ("size", np.int32),  # entries held
        ("room", np.int32),  # entries that fit
        ("ghosts", np.int32),  # entries held that are ghosts
        ("evicted", np.int32),  # entries dropped at the front
        ("evicted_live", np.int32),  # those of them that were live
        ("raised", np.int32),  # what is added to the versions of the user's rows
    ],
    align=True,
)

SPARSE = 64
"""Users of a bucket for a row of a batch from which on counting them takes longer than sorting."""
NEAR, NEAR_TIME = 16, 24 * 3_600_000
"""How many of the entries before and behind a new event, and how far from it (ms), are looked at for its id."""
NEVER = np.int64(np.iinfo(np.int64).min)
FATES = 5
NEW, REPEAT, CONFLICT, TOO_LATE, DISPUTED = range(FATES)
"""What became of a row: a conflict is a repeat whose body differs, disputed is one that came after L conflicts."""

GROUP = np.dtype(
    [("slot", np.int64), ("start", np.int64), ("stop", np.int64), ("dirty", np.int64), ("known", np.int64)]
)
"""Rows of one user in a batch: `order[start:stop]`; entries from `dirty` on changed; `known` were there before."""


@compiled
def intern_rows(rows, data, users, campaigns, user_of, campaign_of_row):
    """Number the users and campaigns of a batch's rows."""
    for row in range(len(rows)):
        record = rows[row]
        user_of[row] = intern_text(users, data, record.start[USER_ID], record.stop[USER_ID], record.user_hash)
        start, stop = record.start[CAMPAIGN], record.stop[CAMPAIGN]
        campaign_of_row[row] = intern_text(campaigns, data, start, stop, xxh3(data, start, stop))


@compiled
def text_sizes(rows):
    """Bytes of the user ids and of the campaigns of a batch's rows."""
    users, campaigns = 0, 0
    for row in range(len(rows)):
        record = rows[row]
        users += record.stop[USER_ID] - record.start[USER_ID]
        campaigns += record.stop[CAMPAIGN] - record.start[CAMPAIGN]
    return users, campaigns


@inlined
def _after(left, right):
    if left.timestamp != right.timestamp:
        return left.timestamp > right.timestamp
    if left.type != right.type:
        return left.type > right.type
    return left.event_key > right.event_key


@compiled
def _sort(rows, order):
    """Sort row numbers by (timestamp, type, event key); nothing to do where they are in order."""
    unsorted = 1
    while unsorted < len(order) and not _after(rows[order[unsorted - 1]], rows[order[unsorted]]):
        unsorted += 1
    if len(order) <= 32:
        for place in range(unsorted, len(order)):
            row, at = order[place], place
            while at > 0 and _after(rows[order[at - 1]], rows[row]):
                order[at] = order[at - 1]
                at -= 1
            order[at] = row
    elif unsorted < len(order):
        values = np.empty(len(order), np.int64)
        for field in range(3):  # least significant first; each sort is stable
            for place in range(len(order)):
                record = rows[order[place]]
                values[place] = record.event_key if field == 0 else (record.type if field == 1 else record.timestamp)
            order[:] = order[np.argsort(values, kind="mergesort")]


@compiled
def _by_slot(slots):
    """Row numbers ordered by slot, those of one slot as they came."""
    highest = np.int64(-1)
    for slot in slots:
        highest = max(highest, slot)
    if highest > SPARSE * len(slots):
        return np.argsort(slots, kind="mergesort")
    edges, order = np.zeros(highest + 2, np.int64), np.empty(len(slots), np.int64)
    for slot in slots:
        edges[slot + 1] += 1
    for slot in range(highest + 1):
        edges[slot + 1] += edges[slot]
    for row in range(len(slots)):
        order[edges[slots[row]]] = row
        edges[slots[row]] += 1
    return order


@compiled
def group_rows(rows, slots):
    """Row numbers user by user in event order, and a `GROUP` for each user."""
    order = _by_slot(slots)
    groups = np.empty(len(rows), GROUP)
    count, start = 0, 0
    while start < len(order):
        slot, stop = slots[order[start]], start + 1
        while stop < len(order) and slots[order[stop]] == slot:
            stop += 1
        if stop - start > 1:
            _sort(rows, order[start:stop])
        groups[count].slot, groups[count].start, groups[count].stop = slot, start, stop
        count += 1
        start = stop
    return order, groups[:count]


@inlined
def _room_for(size):
    return size + size // 4 + 2


@compiled
def entries_needed(users, groups, packed):
    """Entries that a batch's users may need beyond those in use, as things stand or once all are `packed`."""
    needed = 0
    for group in groups:
        user = users[group.slot]
        size = user.size + group.stop - group.start
        if packed or size > user.room:
            needed += _room_for(size)
    return needed


@compiled
def repack(users, entries, packed):
    """Copy all stretches one behind the other; returns the entries in use."""
    at = 0
    for slot in range(len(users)):
        user = users[slot]
        room = min(user.room, _room_for(user.size))
        packed[at : at + user.size] = entries[user.first : user.first + user.size]
        user.first, user.room = at, room
        at += room
    return at


@compiled
def packed_size(users):
    """Entries in use after `repack`."""
    total = 0
    for slot in range(len(users)):
        total += min(users[slot].room, _room_for(users[slot].size))
    return total


@compiled
def _make_room(user, more, entries, used):
    size = user.size + more
    if size > user.room:
        entries[used : used + user.size] = entries[user.first : user.first + user.size]
        user.first, user.room = used, _room_for(size)
        used += user.room
    return used


@compiled
def live_from(user, entries, place):
    """How many live entries a user has from `place` on."""
    live = user.size - place
    if user.ghosts > 0:
        for at in range(user.first + place, user.first + user.size):
            if is_ghost(entries[at].tag):
                live -= 1
    return live


@compiled
def _insert(record, campaign, user, entries, campaigns, length):
    """Put one row into its user's sequence, which has room; returns what became of it and the first entry changed."""
    first, size = user.first, user.size
    high = first + size
    tag = make_tag(record.type, campaign, is_refund(record.type, record.revenue))
    place, rival, low = high, -1, high
    if size > 0 and record.timestamp <= entries[high - 1].timestamp:
        low = first_not_before(entries, first, high, record.timestamp, 0, np.iinfo(np.int64).min)
        for type_ in range(len(TYPES)):
            at = first_not_before(entries, low, high, record.timestamp, type_, record.event_key)
            while (
                at < high
                and entries[at].timestamp == record.timestamp
                and entries[at].key == record.event_key
                and type_of(entries[at].tag) == type_
            ):
                held = entries[at]
                if held.tag & OWN == tag and held.body == record.body:
                    return REPEAT, 0
                if not is_ghost(held.tag):
                    rival = at
                at += 1
            if type_ == record.type:
                place = at
        evicted = user.evicted > 0 or size - user.ghosts > 2 * length
        if evicted and live_from(user, entries, place - first) >= length:
            return TOO_LATE, 0
        if rival >= 0 and user.ghosts >= length:
            return DISPUTED, 0
    for at in range(high, place, -1):
        entries[at] = entries[at - 1]
    entry = entries[place]
    entry.timestamp, entry.key, entry.tag, entry.body = record.timestamp, record.event_key, tag, record.body
    user.size += 1
    if rival < 0:
        return NEW, low - first
    rival += 1 if rival >= place else 0
    user.ghosts += 1
    held = entries[rival]
    wins = type_of(tag) > type_of(held.tag)
    if type_of(tag) == type_of(held.tag):
        if (tag ^ held.tag) & REFUND != 0:
            wins = tag & REFUND != 0
        elif campaign == campaign_of(held.tag):
            wins = record.body > held.body
        else:
            wins = is_greater_text(campaigns, campaign, campaign_of(held.tag))
    if wins:
        held.tag |= GHOST
    else:
        entry.tag |= GHOST
    return CONFLICT, low - first


@compiled
def _has_near(entries, low, high, record):
    """Whether an event's id is that of an entry at another time, of those of `entries[low:high]` that are near it."""
    place = high if high <= low or record.timestamp >= entries[high - 1].timestamp else -1
    if place < 0:
        place = first_not_before(entries, low, high, record.timestamp, 0, np.iinfo(np.int64).min)
        for at in range(place, min(place + NEAR, high)):
            if entries[at].timestamp - record.timestamp > NEAR_TIME:
                break
            if entries[at].key == record.event_key and entries[at].timestamp != record.timestamp:
                return True
    for at in range(place - 1, max(place - 1 - NEAR, low - 1), -1):
        if record.timestamp - entries[at].timestamp > NEAR_TIME:
            break
        if entries[at].key == record.event_key and entries[at].timestamp != record.timestamp:
            return True
    return False


@compiled
def _first_computable(user, entries, length):
    """The first place whose newest L events are all there, of a user whose older events were dropped."""
    if user.ghosts == 0:
        return length - 1
    place, live = 0, 0
    while live < length - 1:
        live += not is_ghost(entries[user.first + place].tag)
        place += 1
    return place


@compiled
def merge(rows, campaign_of_row, order, groups, users, entries, used, campaigns, length, fates):
    """Merge a batch into the sequences.

    Fills `fates` (what became of each row) and each group's `dirty` and `known`; returns the entries in use, the number
    of live entries from every group's `dirty` on, how many of the new events came after a later one of their user, and
    of how many the user had the id at another time within a day, among the `NEAR` events on either side.
    """
    changed, late, retimed = 0, 0, 0
    for group in groups:
        user = users[group.slot]
        group.known = user.size
        group.dirty = user.size
        last_known = entries[user.first + user.size - 1].timestamp if user.size > 0 else NEVER
        used = _make_room(user, group.stop - group.start, entries, used)
        touched, converted = False, False
        for at in range(group.start, group.stop):
            row = order[at]
            fates[row], dirty = _insert(rows[row], campaign_of_row[row], user, entries, campaigns, length)
            if fates[row] == NEW or fates[row] == CONFLICT:
                if fates[row] == NEW:
                    retimed += _has_near(entries, user.first, user.first + user.size, rows[row])
                late += fates[row] == NEW and rows[row].timestamp <= last_known
                group.dirty = min(group.dirty, dirty)
                touched, converted = True, converted or IS_CONVERSION[rows[row].type]
        if touched:
            if converted:
                mark_items(entries, user.first, user.first + group.dirty, user.first + user.size)
            if user.evicted > 0 and group.dirty < group.known:
                group.dirty = max(group.dirty, _first_computable(user, entries, length))
            changed += live_from(user, entries, group.dirty)
    return used, changed, late, retimed


@compiled
def evict(user, entries, length, slack):
    """Drop a user's oldest entries once more than 2L + slack are live; returns how many entries went."""
    live = user.size - user.ghosts
    if live <= 2 * length + slack:
        return 0
    gone, gone_live = 0, 0
    while live - gone_live > 2 * length or is_ghost(entries[user.first + gone].tag):
        if is_ghost(entries[user.first + gone].tag):
            user.ghosts -= 1
        else:
            gone_live += 1
        gone += 1
    for at in range(user.first, user.first + user.size - gone):
        entries[at] = entries[at + gone]
    user.size -= gone
    user.evicted += gone
    user.evicted_live += gone_live
    return gone
