"""Durations as people write them: `90s`, `15min`, `6h`, `30d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_FORM = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|min|h|d)")


def parse_duration(text: str) -> timedelta:
    """A duration from a number and a unit (ms, s, min, h, d).

    >>> parse_duration("6h")
    datetime.timedelta(seconds=21600)

    Raises:
        ValueError: the text has another form, or is too long for a duration.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 90s, 15min, 6h or 30d")
    try:
        return timedelta(milliseconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ValueError(f"{text!r} is too long") from None


def write_duration(duration: timedelta) -> str:
    """A duration in the largest unit that divides it.

    >>> write_duration(timedelta(hours=36))
    '36h'
    """
    milliseconds = to_milliseconds(duration)
    unit = next((u for u in ("d", "h", "min", "s") if milliseconds and milliseconds % _UNITS[u] == 0), "ms")
    return f"{milliseconds // _UNITS[unit]}{unit}"


def to_milliseconds(duration: timedelta) -> int:
    """A duration in whole milliseconds."""
    return duration // timedelta(milliseconds=1)


def _read(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else parse_duration(str(value))


Duration = Annotated[timedelta, BeforeValidator(_read), PlainSerializer(write_duration, return_type=str)]
"""A duration in settings and model files."""
