"""Schemas of others: what must be refused before a message is read by one."""

from __future__ import annotations

from typing import Any

_SIZES = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1, "enum": 1}


def check_schema(schema: dict[str, Any]) -> None:
    """Refuse a schema by which a few bytes could keep or break the reader.

    That is a type that holds itself, since each level costs the reader some of its C stack, and an array of items that
    need no bytes, since its length is then not bounded by the message's. `schema` is as fastavro parses it: names are
    full, and a named type is used after its definition or inside it.

    Raises:
        ValueError: it is such a schema, or no record.
    """
    if schema.get("type") != "record":
        raise ValueError("it is not a record")
    _least_size(schema, {})


def _least_size(kind: Any, named: dict[str, int | None]) -> int:
    """The fewest bytes of a value; `named` has those of the types that were defined, None while one is open."""
    if isinstance(kind, list):
        return 1 + min((_least_size(option, named) for option in kind), default=0)
    if isinstance(kind, str):
        size = _SIZES[kind] if kind in _SIZES else named[kind]
        if size is None:
            raise ValueError(f"{kind} holds itself")
        return size
    match kind["type"]:
        case "array":
            if _least_size(kind["items"], named) == 0:
                raise ValueError("an array's items need no bytes")
            return 1
        case "map":
            _least_size(kind["values"], named)
            return 1
        case "fixed":
            size = named[kind["name"]] = int(kind["size"])
            return size
        case "enum":
            named[kind["name"]] = 1
            return 1
        case "record" | "error":
            named[kind["name"]] = None
            size = named[kind["name"]] = sum(_least_size(field["type"], named) for field in kind["fields"])
            return size
        case other:
            return _least_size(other, named)
