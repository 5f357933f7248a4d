"""An event in a user's sequence, and the order in which sequences are kept.

A sequence holds one entry per distinct (identity, body). Of several bodies of one identity the greatest by
(type, refund or not, campaign, body) is live; the others are ghosts: they have no effect but for the version of later
rows, and let a repeat be told from a conflict.

Two kinds of conversion are events of the sequence that no feature counts: a refund, whose revenue is below 0, and an
item, one more conversion of the order that the one before it belongs to (`model.sequences.orders`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.compiled.compiling import compiled, inlined
from schemas.event_types import EVENT_TYPES, INDEXES, IS_CONVERSION, IS_TOUCH, MOST_TYPES, NUMBERS, TYPES

ENTRY = np.dtype([("timestamp", np.int64), ("key", np.int64), ("tag", np.uint32), ("body", np.uint32)], align=True)
"""24 bytes an event: time (ms), event key, tag, body.

A tag has, from the highest bit: ghost (1 bit), the lower half of the type's number (2), refund (1), item (1), the upper
half of the type's number (2), campaign (25). While there were four types campaigns had the upper half's bits as well:
the tags in recovery directories of that time are the same tags now.
"""

GHOST = np.uint32(1 << 31)
_TYPE_SHIFT, _UPPER_SHIFT = np.uint32(29), np.uint32(25)
_TYPE_BITS, _HALF = 4, np.uint32(2)
_HALF_MASK = np.uint32(3)
REFUND = np.uint32(1 << 28)
ITEM = np.uint32(1 << 27)
MOST_CAMPAIGNS = 1 << 25
"""Campaigns that a bucket has numbers for."""
_CAMPAIGN = np.uint32(MOST_CAMPAIGNS - 1)
OWN = np.uint32(~(GHOST | ITEM))
"""The bits of a tag that do not depend on other entries."""
assert len(TYPES) <= MOST_TYPES <= 1 << _TYPE_BITS, "the tag has no bits for so many types"
_LOWER, _UPPER = _HALF_MASK << _TYPE_SHIFT, _HALF_MASK << _UPPER_SHIFT
_PARTS = (GHOST, _LOWER, REFUND, ITEM, _UPPER, _CAMPAIGN)
assert sum(map(int, _PARTS)) == (1 << 32) - 1, "the parts of a tag overlap, or leave bits out"
_ARE_NUMBERS = tuple(each.number for each in EVENT_TYPES) == tuple(range(len(TYPES)))
"""Whether the types' numbers are their indexes: nothing is to be looked up."""


@inlined
def is_refund(type_, revenue):
    """Whether an event takes revenue back."""
    return revenue < 0.0 and IS_CONVERSION[type_]


@inlined
def make_tag(type_, campaign, refund):
    """The tag of a live entry."""
    number = np.uint32(type_ if _ARE_NUMBERS else NUMBERS[type_])
    halves = ((number & _HALF_MASK) << _TYPE_SHIFT) | ((number >> _HALF) << _UPPER_SHIFT)
    return halves | (REFUND if refund else np.uint32(0)) | np.uint32(campaign)


@inlined
def is_ghost(tag):
    """Whether the entry lost against another body of its identity."""
    return tag & GHOST != 0


@inlined
def is_silent(tag):
    """Whether no feature counts the entry: a refund, or one more item of an order."""
    return tag & (REFUND | ITEM) != 0


@inlined
def is_counted(tag):
    """Whether features count the entry: it is neither a ghost nor silent."""
    return tag & (GHOST | REFUND | ITEM) == 0


@inlined
def type_of(tag):
    """The event's type, an index into `TYPES`."""
    number = np.int64(((tag >> _TYPE_SHIFT) & _HALF_MASK) | (((tag >> _UPPER_SHIFT) & _HALF_MASK) << _HALF))
    return number if _ARE_NUMBERS else INDEXES[number]


@inlined
def is_sale(tag):
    """Whether the entry is live, a conversion and no refund: an order's first, or one more item of it."""
    return tag & (GHOST | REFUND) == 0 and IS_CONVERSION[type_of(tag)]


@inlined
def is_live_conversion(tag):
    """Whether the entry is live and a conversion, a refund too."""
    return tag & GHOST == 0 and IS_CONVERSION[type_of(tag)]


@inlined
def is_live_touch(tag):
    """Whether the entry is live and a touch, which is credited with conversions."""
    return tag & GHOST == 0 and IS_TOUCH[type_of(tag)]


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
def pack_tags(types, campaigns, refunds):
    """The tags (n) of live entries of types (n), campaigns' numbers (n) and whether they are refunds (n)."""
    tags = np.empty(len(types), np.uint32)
    for at in range(len(types)):
        tags[at] = make_tag(types[at], campaigns[at], refunds[at])
    return tags


@compiled
def unpack_tags(tags):
    """The types (n) and the campaigns' numbers (n) of tags (n)."""
    types, campaigns = np.empty(len(tags), np.int64), np.empty(len(tags), np.int64)
    for at in range(len(tags)):
        types[at], campaigns[at] = type_of(tags[at]), campaign_of(tags[at])
    return types, campaigns


def knows_types_of(tags: NDArray[np.uint32]) -> bool:
    """Whether all of the tags (n) are of types that the table has."""
    if len(TYPES) == MOST_TYPES or not len(tags):
        return True
    if len(TYPES) > _HALF_MASK and not np.bitwise_or.reduce(tags) & _UPPER:  # one look at each tag is mostly enough
        return True
    numbers = ((tags >> _TYPE_SHIFT) & _HALF_MASK) | (((tags >> _UPPER_SHIFT) & _HALF_MASK) << _HALF)
    return bool(numbers.max() < len(TYPES))
