"""Durations that options give."""

from __future__ import annotations

from datetime import timedelta

from model.durations import parse_duration, write_duration
from schemas.errors import JobError


def duration(option: str, text: str, least: timedelta, most: timedelta | None = None) -> timedelta:
    """The duration that an option gives, within its bounds.

    Raises:
        JobError: it is none, or beyond them.
    """
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise JobError(f"{option}: {error}") from None
    if found < least or (most is not None and found > most):
        lowest = write_duration(least)
        bounds = f"at least {lowest}" if most is None else f"{lowest} to {write_duration(most)}"
        raise JobError(f"{option}: must be {bounds}, got {text}")
    return found
