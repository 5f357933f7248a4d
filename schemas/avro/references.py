"""Schemas that name types which other schemas define: one schema that holds them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_NAMED = ("record", "error", "enum", "fixed")
Kind = Any
"""A type as JSON has it: a name, an object, or a list of a union's branches."""


def definitions(schemas: Iterable[Kind]) -> dict[str, Kind]:
    """The named types that schemas define, by their full names; each has its own namespace.

    >>> sorted(definitions([{"type": "record", "name": "a.R", "fields": [
    ...     {"name": "e", "type": {"type": "enum", "name": "E", "symbols": []}}]}]))
    ['a.E', 'a.R']
    """
    found: dict[str, Kind] = {}
    for schema in schemas:
        _collect(schema, "", found)
    return found


def self_contained(schema: Kind, known: Mapping[str, Kind]) -> Kind:
    """A schema in which every type of `known` is defined where it is first used, and named afterwards.

    What neither it nor `known` defines stays a name.

    >>> known = definitions([{"type": "enum", "name": "a.E", "symbols": ["X"]}])
    >>> whole = self_contained({"type": "record", "name": "a.R", "fields": [{"name": "e", "type": "E"}]}, known)
    >>> whole["fields"][0]["type"]["symbols"]
    ['X']
    """
    return _whole(schema, "", known, set())


def _full_name(schema: Mapping[str, Any], space: str) -> tuple[str, str]:
    """The full name of a named type, and the namespace of what it holds."""
    name = str(schema.get("name"))
    space = name.rpartition(".")[0] if "." in name else str(schema.get("namespace", space) or "")
    simple = name.rpartition(".")[2]
    return (f"{space}.{simple}" if space else simple), space


def _collect(kind: Kind, space: str, found: dict[str, Kind]) -> None:
    if isinstance(kind, list):
        for option in kind:
            _collect(option, space, found)
    if not isinstance(kind, dict):
        return
    if kind.get("type") in _NAMED:
        name, space = _full_name(kind, space)
        found.setdefault(name, {**kind, "name": name.rpartition(".")[2], "namespace": space})
        for field in kind.get("fields", ()):
            _collect(field["type"], space, found)
    else:
        for part in ("type", "items", "values"):
            _collect(kind.get(part), space, found)


def _whole(kind: Kind, space: str, known: Mapping[str, Kind], done: set[str]) -> Kind:
    if isinstance(kind, list):
        return [_whole(option, space, known, done) for option in kind]
    if isinstance(kind, str):
        name = f"{space}.{kind}" if space and "." not in kind else kind
        name = name if name in known or name in done else kind
        return name if name in done or name not in known else _whole(known[name], space, known, done)
    if not isinstance(kind, dict):
        return kind
    if kind.get("type") in _NAMED:
        name, space = _full_name(kind, space)
        if name in done:
            return name
        done.add(name)
        whole = {**kind, "name": name.rpartition(".")[2], "namespace": space}
        if "fields" in kind:
            whole["fields"] = [{**field, "type": _whole(field["type"], space, known, done)} for field in kind["fields"]]
        return whole
    return kind | {part: _whole(kind[part], space, known, done) for part in ("type", "items", "values") if part in kind}
