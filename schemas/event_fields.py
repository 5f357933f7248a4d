"""The table of an event's columns: what each one is, and where it goes.

A row of the table is a line of `StoredColumns` or of `Event`; everything that handles columns is derived from it by
name: batches, validation, the body's hash, the stores' statements and bindings, `stores.answers.Point`, the API and the
page. A new text column is one line here, the columns in `sqlite.sql` and `cassandra.cql`, and a new version of
`event.avsc`; stores of the version before get it by `ALTER TABLE` when they are opened. A number also needs a field of
`schemas.events.ROW` and a place in the compiled code that reads and writes rows.
"""

from __future__ import annotations

from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

MISSING = "NA"
"""What a text column holds where the source has nothing."""


class Hashed(Enum):
    """How a column takes part in the body's hash, which tells a repeat from a conflict."""

    NEVER = "it is the event's identity, or the state keeps it itself, or nobody reads it"
    ALWAYS = "it was part of the first version of the hash; recovery directories hold such hashes"
    WHERE_SET = "only where it differs from its default, so that events of before keep their hash"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the event.

    Attributes:
        name: the same in schemas, tables and the API.
        kind: str, int (32 bits) or float.
        default: of events that lack it; None where it is required.
        stored: whether stores keep it, and the API returns it.
        in_state: whether it takes part in scoring, so that the state of a user holds it.
        hashed: how it takes part in the body's hash.
        label: what the page calls it; empty where the page does not list it.
    """

    name: str
    kind: type
    default: str | int | float | None
    stored: bool
    in_state: bool
    hashed: Hashed
    label: str


def column(default: Any, hashed: Hashed = Hashed.WHERE_SET, *, in_state: bool = False, label: str = "") -> Any:
    """A row of the table, as the default of a dataclass's field."""
    about = {"hashed": hashed, "in_state": in_state, "label": label}
    return field(default=default, kw_only=True, metadata=about)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredColumns:
    """The columns that stores keep beside the event's identity, time and type.

    >>> [each.name for each in STORED]
    ['state', 'segment', 'campaign', 'publisher', 'product', 'quantity', 'revenue']
    """

    state: str = column(MISSING, Hashed.ALWAYS)
    segment: str = column(MISSING, Hashed.ALWAYS)
    campaign: str = column(MISSING, Hashed.NEVER, in_state=True, label="Campaign")
    publisher: str = column(MISSING, Hashed.ALWAYS, label="Publisher")
    product: str = column(MISSING, Hashed.ALWAYS, label="Product")
    quantity: int = column(0, Hashed.ALWAYS)
    revenue: float = column(0.0, Hashed.ALWAYS)


@dataclass(frozen=True, slots=True)
class Event(StoredColumns):
    """One event, for a person: `timestamp` in ms since 1970 (UTC), `type` one of `schemas.event_types.TYPES`.

    `creative` and `placement` are not stored: events that differ in these alone are the same event.

    >>> Event("e1", "ann", 1_498_089_600_000, "CL", campaign="Spring").publisher
    'NA'
    """

    event_id: str
    user_id: str
    timestamp: int
    type: str
    creative: str = column(MISSING, Hashed.NEVER)
    placement: str = column(MISSING, Hashed.NEVER)


def _columns() -> tuple[Column, ...]:
    kinds: dict[str, type] = {"str": str, "int": int, "float": float}
    stored = {each.name for each in fields(StoredColumns)}
    identity = {"hashed": Hashed.NEVER, "in_state": False, "label": ""}
    return tuple(
        Column(
            name=each.name,
            kind=kinds[str(each.type)],
            default=None if each.default is NO_DEFAULT else each.default,
            stored=each.name in stored,
            **(each.metadata or identity),
        )
        for each in fields(Event)
    )


COLUMNS = _columns()
"""The table, one `Column` for each field of an `Event`."""
STORED = tuple(each for each in COLUMNS if each.stored)
"""The columns of an event's body in stores, beside its type and `event_id`."""
REQUIRED = ("event_id", "user_id", "timestamp", "type")
"""The columns without a default: identity, time and type."""
TEXTS = ("event_id", "user_id", *(each.name for each in COLUMNS if each.kind is str and each.default is not None))
"""The text columns, in the order of a row's spans; the type is a number in a row."""
