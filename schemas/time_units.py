"""Times that are whole numbers: what they count since 1970, and how they become milliseconds.

A schema's logical type determines the unit of a time. Without one a setting does; or the number itself, since
the numbers of the years 1973 to 2100 in seconds, ms, µs and ns never meet. What is finer than a millisecond is cut off
towards the past, before 1970 too.
"""

from __future__ import annotations

from schemas.compiled.compiling import inlined

SECONDS, MILLIS, MICROS, NANOS, AUTO = range(5)
"""The unit of a time; `AUTO`: inferred from its size."""
UNITS = ("s", "ms", "us", "ns", "auto")
"""The same as the setting names them."""
NAMES = ("seconds", "milliseconds", "microseconds", "nanoseconds")
LOGICAL = {
    f"{local}timestamp-{name}": unit
    for local in ("", "local-")
    for name, unit in (("millis", MILLIS), ("micros", MICROS), ("nanos", NANOS))
}
"""What Avro's logical types count. A local time is one of UTC here."""
_FIRST, _LAST = 100_000_000, 4_102_444_800
"""Seconds since 1970 between which the unit can be inferred from a number's size: March 1973 and the end of 2099."""
NO_TIME = -(1 << 62)
"""In place of a time whose unit cannot be inferred."""


@inlined
def unit_of_size(value):
    """The unit by which a number is a time between 1973 and 2100; `AUTO` without one."""
    if _FIRST <= value <= _LAST:
        return SECONDS
    if _FIRST * 1_000 <= value <= _LAST * 1_000:
        return MILLIS
    if _FIRST * 1_000_000 <= value <= _LAST * 1_000_000:
        return MICROS
    if _FIRST * 1_000_000_000 <= value <= _LAST * 1_000_000_000:
        return NANOS
    return AUTO


@inlined
def to_millis(value, unit):
    """A number of a unit as ms; `NO_TIME` where its unit cannot be inferred, or the time is far out of range."""
    if unit == AUTO:
        unit = unit_of_size(value)
    if unit == SECONDS:
        return value * 1_000 if -(1 << 50) < value < 1 << 50 else NO_TIME
    if unit == MILLIS:
        return value
    if unit == MICROS:
        return value // 1_000
    if unit == NANOS:
        return value // 1_000_000
    return NO_TIME
