"""Which columns of a log are the fields of an event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from schemas.avro.codec import load_schema
from schemas.errors import ColumnsError
from schemas.event_fields import COLUMNS
from schemas.event_fields import REQUIRED as REQUIRED

OPTIONAL = tuple(column.name for column in COLUMNS if column.name not in REQUIRED)
_ALIASES = {alias: field["name"] for field in load_schema("event")["fields"] for alias in field.get("aliases", ())}
_LISTED, _SHOWN = 6, 40
"""Names that a message lists, and how much of each."""


KNOWN = frozenset({*REQUIRED, *OPTIONAL, *_ALIASES})
"""Names of the event's columns, in small letters, former ones too."""


def match_columns(names: Sequence[str], needed: Sequence[str] = REQUIRED) -> dict[str, str]:
    """For each field of an event that is among a log's columns, the column's name.

    A name matches whatever its case, and by a former name of the field; the field's own name wins over both.

    >>> match_columns(["EVENT_ID", "User_Id", "timestamp", "Timestamp", "type", "site", "other"])["timestamp"]
    'timestamp'

    Raises:
        ColumnsError: a column that is needed is not there, or one occurs twice.
    """
    found = {}
    for field in (*REQUIRED, *OPTIONAL):
        former = {alias for alias, name in _ALIASES.items() if name == field}
        named = (
            [name for name in names if name == field]
            or [name for name in names if name.lower() == field]
            or [name for name in names if name.lower() in former]
        )
        if len(named) > 1:
            plural = "s" if len(set(named)) > 1 else ""
            how = "occurs twice" if len(set(named)) == 1 else f"and {named[1]!r} differ in case only"
            raise ColumnsError(f"column{plural} {named[0]!r} {how}")
        if named:
            found[field] = named[0]
    for field in needed:
        if field not in found:
            near = nearest(field, names)
            hint = f", did you mean {near!r}?" if near else f"; the columns are {_listed(names)}"
            raise ColumnsError(f"no column {field!r}{hint}")
    return found


def _listed(names: Sequence[str]) -> str:
    """The first names, from which a line is known that is no header: `sep=;`, or a comment."""
    shown = ", ".join(repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…") for name in names[:_LISTED])
    return f"{shown} and {len(names) - _LISTED:,} more" if len(names) > _LISTED else shown or "none"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that is most like one, whatever their case."""
    lower = {each.lower(): each for each in names}
    found = get_close_matches(name.lower(), lower, 1, 0.8)
    return lower[found[0]] if found else None


def check_columns(names: Sequence[str]) -> list[str]:
    """The names that no field of an event has.

    Raises:
        ColumnsError: a required column is not there, or one occurs twice.
    """
    known = match_columns(names).values()
    return [name for name in names if name not in known]
