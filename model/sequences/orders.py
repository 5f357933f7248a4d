"""Orders: conversions of a user that are less than a minute after the one before are one, the first one's.

The others are its items. They stay events of the sequence, and have rows, but no feature counts them, no label is made
of them, and no credit is given for them but that of the order's first.
"""

from __future__ import annotations

import numpy as np

from model.sequences.entries import ITEM, REFUND, is_live_conversion, is_sale
from schemas.compiled.compiling import compiled, inlined

ORDER_GAP = 60_000
"""Conversions of a user closer than this (ms) to the one before belong to its order."""
NOBODY = -1
_NO_ITEM = np.uint32(~ITEM)


@compiled
def mark_items(entries, first, begin, end):
    """Mark which of `entries[begin:end]` are items, as those from `first` on before them are marked already."""
    before = begin - 1
    oldest = entries[begin].timestamp - ORDER_GAP if begin < end else 0
    while before >= first and entries[before].timestamp > oldest and not is_sale(entries[before].tag):
        before -= 1
    known = before >= first and is_sale(entries[before].tag)
    last = entries[before].timestamp if known else 0
    for place in range(begin, end):
        entry = entries[place]
        entry.tag &= _NO_ITEM
        if is_sale(entry.tag):
            if known and entry.timestamp - last < ORDER_GAP:
                entry.tag |= ITEM
            known, last = True, entry.timestamp


@compiled
def order_of(entries, first, place, end):
    """Where the newest order of a user's `entries[first:end]` begins that the item or refund at `place` belongs to.

    `NOBODY` where there is none. Of the conversions of one instant refunds are the last, whatever their ids are: a
    discount that is a row of an order is taken from that order.
    """
    last = place
    if entries[place].tag & REFUND != 0:
        while last + 1 < end and entries[last + 1].timestamp == entries[place].timestamp:
            last += 1
    for before in range(last, first - 1, -1):
        if is_sale(entries[before].tag) and entries[before].tag & ITEM == 0:
            return before
    return NOBODY


@inlined
def _is_alike(tag, other):
    """Whether two live conversions are both refunds, or neither is."""
    return (tag ^ other) & REFUND == 0


@compiled
def is_sent_again(entries, first, place):
    """Whether the conversion at `place` has the id of an earlier one of its order; a refund, of an earlier refund.

    Refunds that are less than a minute after the one before are looked at as an order's conversions are.
    """
    last = entries[place].timestamp
    for before in range(place - 1, first - 1, -1):
        entry = entries[before]
        if last - entry.timestamp >= ORDER_GAP:
            return False
        if is_live_conversion(entry.tag) and _is_alike(entry.tag, entries[place].tag):
            if entry.key == entries[place].key:
                return True
            last = entry.timestamp
    return False


@compiled
def orders_of(entries):
    """For each event (n) the first conversion of the order that its revenue belongs to; `NOBODY` for all others.

    That is the order's own, of a further item and of a refund; and none for an id that is sent again.
    """
    orders = np.full(len(entries), NOBODY)
    for place in range(len(entries)):
        tag = entries[place].tag
        if is_live_conversion(tag):
            if tag & (REFUND | ITEM) == 0:
                orders[place] = place
            elif not is_sent_again(entries, 0, place):
                orders[place] = order_of(entries, 0, place, len(entries))
    return orders
