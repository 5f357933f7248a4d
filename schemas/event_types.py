"""The types of events: the one table from which everything that lists, orders or counts types is made.

A new type takes one row here, and a new version of `event.avsc` and `propensity.avsc` whose `EventType` has its code as
the last symbol; the versions before are kept as `event_v2.avsc` and `propensity_v2.avsc`. The columns:

- `code`: two capital letters, in messages, logs, tables, models, actions and the API;
- `number`: its place among the symbols of the Avro schema, and what recovery directories hold. A new type takes the
  next one, and no number ever changes;
- `singular`, `plural`: what people read;
- `is_touch`: marketing did it, so it is credited with conversions, and training gives it no negative weight;
- `is_conversion`: it is what is predicted and credited; one whose revenue is below 0 is a refund;
- `can_be_bought`: an action of this type has a cost and can be recommended.

The order of the rows is the order in which events of one instant count, and the last of two types wins where one
identity comes with both. A row may be put anywhere. (Cassandra keeps that place in its write times, so columns of such
a pair may be mixed where one half was written before a row was put in front of its type.)

>>> [each.code for each in EVENT_TYPES if each.is_touch]
['IM', 'CL', 'PS']
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_TYPES = 16
"""Types that the tag of an entry has bits for (`model.sequences.entries`)."""


@dataclass(frozen=True, slots=True)
class EventType:
    """One row of the table."""

    code: str
    number: int
    singular: str
    plural: str
    is_touch: bool = False
    is_conversion: bool = False
    can_be_bought: bool = False


EVENT_TYPES = (
    EventType("IM", 0, "impression", "impressions", is_touch=True, can_be_bought=True),
    EventType("CL", 1, "click", "clicks", is_touch=True),
    EventType("PS", 2, "paid search", "paid searches", is_touch=True),
    EventType("CN", 3, "conversion", "conversions", is_conversion=True),
)


def check_table(table: Sequence[EventType]) -> None:
    """Raise ValueError where a table of types contradicts itself.

    >>> check_table(EVENT_TYPES[1:])
    Traceback (most recent call last):
    ValueError: event types: expected the numbers 0 to 2, got [1, 2, 3]
    """
    codes, numbers = [each.code for each in table], sorted(each.number for each in table)
    if len(table) > MOST_TYPES:
        raise ValueError(f"event types: expected at most {MOST_TYPES}, got {len(table)}")
    if numbers != list(range(len(table))):
        raise ValueError(f"event types: expected the numbers 0 to {len(table) - 1}, got {numbers}")
    if len(set(codes)) < len(codes) or not all(re.fullmatch("[A-Z]{2}", code) for code in codes):
        raise ValueError(f"event types: expected codes of two capital letters, no two alike, got {codes}")
    for each in table:
        if each.is_conversion and (each.is_touch or each.can_be_bought):
            raise ValueError(f"event type {each.code}: a conversion is no touch, and cannot be bought")
        if each.can_be_bought and not each.is_touch:
            raise ValueError(f"event type {each.code}: what can be bought is a touch")
    if not any(each.is_conversion for each in table):
        raise ValueError("event types: expected a conversion")


check_table(EVENT_TYPES)

TYPES = tuple(each.code for each in EVENT_TYPES)
"""The codes, in the order in which events of one instant count; batches and outcomes hold indexes into this."""
TYPE_OF = {each.code: each for each in EVENT_TYPES}
RANK = {code: rank for rank, code in enumerate(TYPES)}
"""The index of each code."""
BY_NUMBER = tuple(sorted(EVENT_TYPES, key=lambda each: each.number))
"""The types in the order of the symbols of the Avro schema."""
NUMBERS = np.array([each.number for each in EVENT_TYPES], np.int64)
"""The number of each type (types), by its index."""
INDEXES = np.array([RANK[each.code] for each in BY_NUMBER], np.int64)
"""The index of each type (types), by its number."""
IS_TOUCH = np.array([each.is_touch for each in EVENT_TYPES], np.bool_)
"""Whether each type (types) is a touch, by its index."""
IS_CONVERSION = np.array([each.is_conversion for each in EVENT_TYPES], np.bool_)
"""Whether each type (types) is a conversion, by its index."""
CONVERSIONS = tuple(each.code for each in EVENT_TYPES if each.is_conversion)
BOUGHT = tuple(each.code for each in EVENT_TYPES if each.can_be_bought)
NOT_BOUGHT = tuple(each.code for each in EVENT_TYPES if each.is_touch and not each.can_be_bought)
"""The codes of touches that are the user's own doing."""


def rank_in_sql(column: str) -> str:
    """The expression that orders codes in SQL as the table does.

    >>> rank_in_sql("event_type")
    "instr('IM CL PS CN', event_type)"
    """
    return f"instr('{' '.join(TYPES)}', {column})"


def one_of(codes: Sequence[str], joint: str = "or") -> str:
    """Codes as people list them.

    >>> one_of(TYPES)
    'IM, CL, PS or CN'
    """
    *others, last = codes
    return f"{', '.join(others)} {joint} {last}" if others else last
