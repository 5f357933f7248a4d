"""Dates and times as people's tools write them: texts to milliseconds, many at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]

MINUTE = 60_000
_QUARTER = 15 * MINUTE
"""Zones change their offset at multiples of this (since 1970)."""


class DateOrder(StrEnum):
    """In which order a date has day, month and year; `auto` finds it from all values."""

    AUTO = "auto"
    DMY = "dmy"
    MDY = "mdy"
    YMD = "ymd"


_CLOCK = r"(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<F>\d+))?)?(?: ?(?P<P>[AaPp][Mm]))?"
_ZONE = r"(?: ?(?P<Z>[Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?"
_REST = rf"(?:(?:[Tt:]|,? +){_CLOCK}{_ZONE})?\s*$"
_BASIC = (
    r"[Tt ](?P<H>\d{2}):?(?P<M>\d{2})(?::?(?P<S>\d{2})(?:[.,](?P<F>\d+))?)?(?P<P>)" + _ZONE + r"\s*$"
)  # ISO 8601 without hyphens
_YEAR_FIRST, _DIGITS, _YEAR_LAST, _SHORT_YEAR, _NAMED, _NAME_FIRST = range(6)
_FORMS = (
    r"^\s*(?P<A>\d{4})[-/.](?P<B>\d{1,2})[-/.](?P<C>\d{1,2})" + _REST,
    r"^\s*(?P<A>\d{4})(?P<B>\d{2})(?P<C>\d{2})" + _BASIC,
    r"^\s*(?P<A>\d{1,2})[-/.](?P<B>\d{1,2})[-/.](?P<C>\d{4})" + _REST,
    r"^\s*(?P<A>\d{1,2})[-/.](?P<B>\d{1,2})[-/.](?P<C>\d{2})" + _REST,
    r"^\s*(?:[A-Za-z]{3,9}\.?,? +)?(?P<A>\d{1,2})[-/ ](?P<B>[A-Za-z]{3,9})\.?[-/ ,]+(?P<C>\d{4})" + _REST,
    r"^\s*(?:[A-Za-z]{3,9}\.?,? +)?(?P<B>[A-Za-z]{3,9})\.? +(?P<A>\d{1,2}),? +(?P<C>\d{4})" + _REST,
)
"""Forms of a date by their number; later ones are only tried where the earlier ones do not fit."""
_CLOCK_ALONE = r"^\s*[Tt]?\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?" + _ZONE + r"\s*$"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FULL = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)


@dataclass(frozen=True, slots=True)
class Fields:
    """What texts (n) consist of. `form` is the number of the form of each, -1 where it has none.

    `first`, `second` and `third` are the date's numbers in the order in which they stand; `clock` is the time of day
    in ms (what is finer is cut off), -1 without one; `offset` (ms) is the zone's, where `zoned`.
    """

    form: Whole
    first: Whole
    second: Whole
    third: Whole
    clock: Whole
    offset: Whole
    zoned: Mask

    @property
    def is_year_last(self) -> Mask:
        """Whether day and month come first, in one order or the other."""
        return np.equal(self.form, _YEAR_LAST)

    @property
    def is_short(self) -> Mask:
        """Whether the year has two digits, wherever it stands."""
        return np.equal(self.form, _SHORT_YEAR)


def fields_of(texts: pa.Array) -> Fields:
    """The fields of texts (large_binary or string, without nulls)."""
    size = len(texts)
    form = np.full(size, -1, np.int64)
    numbers = {name: np.zeros(size, np.int64) for name in ("first", "second", "third", "clock", "offset")}
    zoned = np.zeros(size, np.bool_)
    left = np.arange(size)
    for number, pattern in enumerate(_FORMS):
        if not len(left):
            break
        found = pc.extract_regex(texts.take(pa.array(left)), pattern)
        fits = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        if not len(fits):
            continue
        rows, parts = left[fits], found.take(pa.array(fits))
        part = {name: parts.field(name).cast(pa.string()) for name in "ABCHMSFPZ"}
        form[rows] = number
        numbers["first"][rows] = _whole(part["A"])
        numbers["second"][rows] = _months(part["B"]) if number in (_NAMED, _NAME_FIRST) else _whole(part["B"])
        numbers["third"][rows] = _whole(part["C"])
        numbers["clock"][rows] = _clock(part)
        numbers["offset"][rows] = _offset(part["Z"])
        zoned[rows] = pc.not_equal(part["Z"], "").to_numpy(zero_copy_only=False)
        left = np.delete(left, fits)
    return Fields(form, zoned=zoned, **numbers)


def is_clock(texts: pa.Array) -> Mask:
    """Which texts are times of day without a date."""
    mask: Mask = pc.match_substring_regex(texts, _CLOCK_ALONE).to_numpy(zero_copy_only=False)
    return mask


def milliseconds_of(fields: Fields, order: DateOrder, zone: str) -> tuple[Whole, Mask]:
    """Milliseconds since 1970 (n), and which of them are dates at all.

    `order` says what a date with the year behind, or of two digits, means (`auto`: such dates are none), `zone` where
    the clock hung that a text without a zone was read from.
    """
    year, month, day = fields.first.copy(), fields.second.copy(), fields.third.copy()
    good = (fields.form >= 0) & (fields.clock >= 0)
    named = (fields.form == _NAMED) | (fields.form == _NAME_FIRST)
    behind = fields.is_year_last | fields.is_short
    year[named], day[named] = fields.third[named], fields.first[named]
    match order:
        case DateOrder.DMY:
            year[behind], month[behind], day[behind] = (
                fields.third[behind],
                fields.second[behind],
                fields.first[behind],
            )
        case DateOrder.MDY:
            year[behind], month[behind], day[behind] = (
                fields.third[behind],
                fields.first[behind],
                fields.second[behind],
            )
        case DateOrder.YMD:
            good &= ~fields.is_year_last
        case _:
            good &= ~behind
    short = fields.is_short
    year[short] += np.where(year[short] < 70, 2000, 1900)
    days, valid = days_of(year, month, day)
    wall = days * (24 * 60 * MINUTE) + fields.clock
    naive = ~fields.zoned
    times = wall - fields.offset
    times[naive] = in_zone(wall[naive], zone)
    return times, good & valid


def days_of(year: Whole, month: Whole, day: Whole) -> tuple[Whole, Mask]:
    """Days since 1970 of dates in the Gregorian calendar, and which of them are dates of the years 1 to 9999."""
    good = (year >= 1) & (year <= 9999) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    months = (np.where(good, year, 1970) - 1970) * 12 + np.where(good, month, 1) - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    after = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    days = first + day - 1
    return np.where(good, days, 0), good & (days < after)


def in_zone(wall: Whole, zone: str) -> Whole:
    """Milliseconds since 1970 of what a clock in a zone showed (ms, as if it hung in UTC).

    Where it was set back, the earlier of the two is meant; where it was set forth, it is read as if it had not been.
    """
    if zone == "UTC" or not len(wall):
        return wall
    quarters, places = np.unique(np.clip(wall, _EARLIEST, _LATEST) // _QUARTER, return_inverse=True)
    offsets = np.array([_offset_at(zone, quarter) for quarter in quarters.tolist()], np.int64)
    moved: Whole = wall - offsets[places]
    return moved


_EARLIEST, _LATEST = -62_135_000_000_000, 253_402_000_000_000
"""Walls (ms) that the calendar of Python knows, with a day to spare."""


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _offset_at(zone: str, quarter: int) -> int:
    offset = (datetime(1970, 1, 1, tzinfo=_zone(zone)) + timedelta(minutes=15 * quarter)).utcoffset()  # of the wall
    return 0 if offset is None else round(offset.total_seconds() * 1000)


def _whole(texts: pa.Array) -> Whole:
    """Digits as numbers, 0 where there are none."""
    filled = pc.if_else(pc.equal(texts, ""), "0", texts)
    numbers: Whole = filled.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return numbers


def _months(names: pa.Array) -> Whole:
    """Months by their English names or the first three letters of them, 0 where there is no such name."""
    lower = pc.utf8_lower(names)
    short = pc.index_in(lower, value_set=pa.array([*_MONTHS, "sept"]))
    full = pc.index_in(lower, value_set=pa.array(_FULL))
    found: Whole = pc.coalesce(short, full).fill_null(-1).cast(pa.int64()).to_numpy(zero_copy_only=False) + 1
    return np.where(found == len(_MONTHS) + 1, 9, found)


def _clock(part: dict[str, Any]) -> Whole:
    hour, minute, second = _whole(part["H"]), _whole(part["M"]), _whole(part["S"])
    fraction = _whole(pc.utf8_slice_codeunits(pc.utf8_rpad(part["F"], 3, "0"), 0, 3))
    half = pc.utf8_lower(part["P"])
    noon = pc.equal(half, "pm").to_numpy(zero_copy_only=False)
    halved = noon | pc.equal(half, "am").to_numpy(zero_copy_only=False)
    good = (hour < 24) & (minute < 60) & (second < 60) & (~halved | ((hour >= 1) & (hour <= 12)))
    hour = np.where(halved, hour % 12 + 12 * noon, hour)
    return np.where(good, ((hour * 60 + minute) * 60 + second) * 1000 + fraction, -1)


def _offset(zones: pa.Array) -> Whole:
    """What zones such as `+02`, `-0330` and `+02:00` are ahead of UTC, in ms; 0 for `Z` and none."""
    found = pc.extract_regex(zones, r"^(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})?$")
    sign = pc.equal(found.field("sign"), "-").fill_null(False).to_numpy(zero_copy_only=False)
    hours, minutes = (_whole(found.field(name).fill_null("")) for name in ("hours", "minutes"))
    offsets: Whole = np.where(sign, -1, 1) * (hours * 60 + minutes) * MINUTE
    return offsets
