"""An event in a user's sequence, and the order in which sequences are kept.

A sequence holds one entry per distinct (identity, body). Of several bodies of one identity the greatest by
(type, campaign, body) is live; the others are ghosts: they have no effect but for the version of later rows, and let
a repeat be told from a conflict.
"""

from __future__ import annotations

import numpy as np

from schemas.compiling import compiled, inlined

ENTRY = np.dtype([("timestamp", np.int64), ("key", np.int64), ("tag", np.uint32), ("body", np.uint32)], align=True)
"""24 bytes an event: time (ms), event key, tag (ghost 1 bit, type 2 bits, campaign 29 bits), hash of the body."""

GHOST = np.uint32(1 << 31)
_TYPE_SHIFT = np.uint32(29)
_CAMPAIGN = np.uint32((1 << 29) - 1)


@inlined
def make_tag(type_, campaign):
    """The tag of a live entry."""
    return (np.uint32(type_) << _TYPE_SHIFT) | np.uint32(campaign)


@inlined
def is_ghost(tag):
    """Whether the entry lost against another body of its identity."""
    return tag & GHOST != 0


@inlined
def type_of(tag):
    """The event's type, an index into `TYPES`."""
    return np.int64((tag >> _TYPE_SHIFT) & np.uint32(3))


@inlined
def campaign_of(tag):
    """The bucket's number of the event's campaign."""
    return np.int64(tag & _CAMPAIGN)


@compiled
def first_not_before(entries, low, high, timestamp, type_, key):
    """The first place in `entries[low:high]` that is not before (timestamp, type, key)."""
    while low < high:
        middle = (low + high) >> 1
        entry = entries[middle]
        before = entry.timestamp < timestamp
        if entry.timestamp == timestamp:
            held = type_of(entry.tag)
            before = held < type_ or (held == type_ and entry.key < key)
        if before:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def pack_tags(types, campaigns):
    """The tags (n) of live entries of types (n) and campaigns' numbers (n)."""
    tags = np.empty(len(types), np.uint32)
    for at in range(len(types)):
        tags[at] = make_tag(types[at], campaigns[at])
    return tags


@compiled
def unpack_tags(tags):
    """The types (n) and the campaigns' numbers (n) of tags (n)."""
    types, campaigns = np.empty(len(tags), np.int64), np.empty(len(tags), np.int64)
    for at in range(len(tags)):
        types[at], campaigns[at] = type_of(tags[at]), campaign_of(tags[at])
    return types, campaigns
