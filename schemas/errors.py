"""Errors that a person meets, and how one says what is wrong."""

from __future__ import annotations

from pydantic import ValidationError


class RegistryError(Exception):
    """A registry that cannot be used; the message is one line that names the setting, and shows no password."""


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, on one line: where it is, and what."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "file"
    if first["type"] == "extra_forbidden":
        return f"{place}: no such key"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"
