"""Names and texts in SQL."""

from __future__ import annotations


def literal(text: str) -> str:
    """A text in SQL.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A column's name in SQL.

    >>> identifier("revenue")
    '"revenue"'
    """
    return '"' + name.replace('"', '""') + '"'
