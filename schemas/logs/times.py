"""Times of a column, however it writes them, as ms since 1970: one rule for files, containers and topics."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import floor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.errors import TimesError
from schemas.logs.time_texts import DateOrder, Mask, Whole, days_of, fields_of, in_zone, milliseconds_of

Floats = NDArray[np.float64]


class TimeUnit(StrEnum):
    """What a time that is a number counts since 1970; `auto` finds it from all values."""

    AUTO = "auto"
    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


UNITS = (TimeUnit.S, TimeUnit.MS, TimeUnit.US, TimeUnit.NS)
NAMES = {TimeUnit.S: "seconds", TimeUnit.MS: "ms", TimeUnit.US: "µs", TimeUnit.NS: "ns"}
_IN_SECOND = {TimeUnit.S: 1, TimeUnit.MS: 1_000, TimeUnit.US: 1_000_000, TimeUnit.NS: 1_000_000_000}
FIRST_LIKELY, LAST_LIKELY = 631_152_000, 4_102_444_800
"""Seconds since 1970 of 1990 and 2100: numbers between them determine their unit, as no two units' ranges overlap."""
FAR = np.int64(1 << 62)
"""What a time is that no 64 bits hold in ms: out of every range."""
WHOLE = r"^\s*[-+]?(?:[0-9]{1,18}|[0-8][0-9]{18})\s*$"
NUMBER = r"^\s*[-+]?[0-9]{1,19}(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,2})?\s*$"


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How times are read.

    As asked for, `unit` and `order` may be `auto`; as found, `unit` is not. `digits` is 8, 12 or 14 where numbers are
    dates (20180703). `zone` is where the clock hung of times that name none. Of a unit that was `found`, numbers that
    another unit explains are no times: they would be read a thousand times wrong.
    """

    unit: TimeUnit = TimeUnit.AUTO
    order: DateOrder = DateOrder.AUTO
    zone: str = "UTC"
    digits: int = 0
    found: bool = False
    dated: bool = False
    """Whether the order was found from dates."""

    @property
    def words(self) -> str:
        """What was found beyond what is the rule, for a person; empty where that is nothing."""
        if self.digits:
            return f"numbers such as {'20180703100000'[: self.digits]} are dates"
        words = [f"numbers are {NAMES[self.unit]} since 1970"] if self.found and self.unit is not TimeUnit.MS else []
        if self.dated:
            words.append(f"dates have the {'day' if self.order is DateOrder.DMY else 'month'} first")
        return ", ".join(words)


AS_FOUND = TimeFormat()
"""Everything is found from the values, and times that name no zone are UTC."""


def is_told_by_type(kind: pa.DataType) -> bool:
    """Whether a column's type determines the format of its times, so that no value has to be read."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def to_milliseconds(column: pa.Array, fmt: TimeFormat) -> tuple[Whole, Mask]:
    """A column's times in ms since 1970 (n), what is finer rounded down, and which of them are times (null is none).

    Times that are too far for any event are given as they are, or as `FAR`: validation rejects them.

    >>> times, good = to_milliseconds(pa.array(["1969-12-31T23:59:59.9999Z", "soon", None]), TimeFormat(TimeUnit.MS))
    >>> times[good].tolist(), good.tolist()
    ([-1], [True, False, False])

    Raises:
        TimesError: no time is of that type.
    """
    column = plain_column(column)
    there = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    times, good = np.zeros(len(column), np.int64), np.zeros(len(column), np.bool_)
    if len(there):
        times[there], good[there] = _read(column.drop_null(), fmt)
    return times, good


def plain_column(column: pa.Array) -> pa.Array:
    """A column of texts, whole numbers, floats of 64 bits, timestamps, dates or nulls.

    Raises:
        TimesError: it is of another type.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_decimal(kind) or pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        column = column.cast(pa.large_string() if not pa.types.is_binary_view(kind) else pa.large_binary())
    elif pa.types.is_time(kind):
        raise TimesError(f"{kind}: times of day without a date")
    elif pa.types.is_floating(kind) and not pa.types.is_float64(kind):
        raise TimesError(f"{kind} is too short for times, which are minutes off in it")
    elif not (is_text(kind) or _is_number(kind) or is_told_by_type(kind) or pa.types.is_null(kind)):
        raise TimesError(f"type {kind} is not a time")
    return column


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is that of texts, known to be UTF-8 or not."""
    types = pa.types
    return bool(
        types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_float64(kind))


def _read(values: pa.Array, fmt: TimeFormat) -> tuple[Whole, Mask]:
    """Times of values without nulls."""
    kind = values.type
    if is_told_by_type(kind):
        return _typed(values, fmt.zone), np.ones(len(values), np.bool_)
    if is_text(kind):
        return _texts(values, fmt)
    if pa.types.is_float64(kind):
        return _floats(values.to_numpy(zero_copy_only=False), fmt)
    numbers, fits = signed(values)
    times, good = _wholes(numbers, fmt)
    return times, good & fits


def signed(values: pa.Array) -> tuple[Whole, Mask]:
    """Whole numbers with 64 bits and a sign, and which of them fit into those."""
    if pa.types.is_uint64(values.type):
        unsigned = values.to_numpy(zero_copy_only=False)
        fits = unsigned < np.uint64(1 << 63)
        return np.where(fits, unsigned, 0).astype(np.int64), fits
    numbers = values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return numbers, np.ones(len(numbers), np.bool_)


def _typed(values: pa.Array, zone: str) -> Whole:
    kind = values.type
    if pa.types.is_date(kind):
        days = values.cast(pa.int32() if pa.types.is_date32(kind) else pa.int64()).to_numpy(zero_copy_only=False)
        wall = days.astype(np.int64) * (86_400_000 if pa.types.is_date32(kind) else 1)
        return in_zone(wall, zone)
    times = _scaled(values.cast(pa.int64()).to_numpy(zero_copy_only=False), TimeUnit(kind.unit))
    return times if kind.tz else in_zone(times, zone)


def _scaled(numbers: Whole, unit: TimeUnit) -> Whole:
    """Numbers of a unit in ms, rounded down."""
    if unit is TimeUnit.S:
        return np.where(np.abs(numbers) < 1 << 52, numbers * 1_000, np.where(numbers < 0, -FAR, FAR))
    scaled: Whole = numbers // (_IN_SECOND[unit] // 1_000)
    return scaled


def _wholes(numbers: Whole, fmt: TimeFormat) -> tuple[Whole, Mask]:
    if fmt.digits:
        wall, good = dates_of(numbers, fmt.digits)
        return in_zone(wall, fmt.zone), good
    return _scaled(numbers, fmt.unit), ~_is_others(numbers, fmt)


def _is_others(numbers: Whole | Floats, fmt: TimeFormat) -> Mask:
    """Which numbers another unit explains than the one that was found."""
    others = np.zeros(len(numbers), np.bool_)
    if fmt.found:
        for unit in UNITS:
            if unit is not fmt.unit:
                others |= is_likely(numbers, unit)
    return others


def is_likely(numbers: Whole | Floats, unit: TimeUnit) -> Mask:
    """Which numbers are times between 1990 and 2100 in a unit."""
    scale = _IN_SECOND[unit]
    likely: Mask = (numbers >= FIRST_LIKELY * scale) & (numbers <= LAST_LIKELY * scale)
    return likely


def dates_of(numbers: Whole, digits: int) -> tuple[Whole, Mask]:
    """What numbers such as 20180703 or 20180703100000 mean as dates (ms of the wall), and which of them are some."""
    good = (numbers >= 10 ** (digits - 1)) & (numbers < 10**digits)
    whole = np.where(good, numbers, 0) * (100 if digits == 12 else 1)
    date, clock = (whole, np.zeros_like(whole)) if digits == 8 else np.divmod(whole, 1_000_000)
    days, valid = days_of(date // 10_000, date // 100 % 100, date % 100)
    hour, minute, second = clock // 10_000, clock // 100 % 100, clock % 100
    good &= valid & (hour < 24) & (minute < 60) & (second < 60)
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000, good


def _floats(values: Floats, fmt: TimeFormat) -> tuple[Whole, Mask]:
    """Times that are floats: of two numbers next to each other in seconds, the one meant is that of three digits."""
    fits = np.isfinite(values) & (np.abs(values) < 2.0**63)
    held = np.where(fits, values, 0.0)
    if fmt.unit is TimeUnit.S and not fmt.digits:
        small = np.abs(held) < 2.0**52
        thousand = np.where(small, held, 0.0) * 1_000.0
        near = np.rint(thousand)
        times = np.where(near / 1_000.0 == held, near, np.floor(thousand)).astype(np.int64)
        return np.where(small, times, np.where(held < 0, -FAR, FAR)), fits & ~_is_others(np.floor(held), fmt)
    times, good = _wholes(np.floor(held).astype(np.int64), fmt)
    return times, good & fits


def _texts(texts: pa.Array, fmt: TimeFormat) -> tuple[Whole, Mask]:
    texts = texts.cast(pa.large_binary())
    times, good = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
    bare = without_zeros(texts)
    whole = matches(bare, WHOLE)
    if whole.any():
        times[whole], good[whole] = _wholes(numbers_of(bare, whole), fmt)
    rest = np.flatnonzero(~whole)
    if len(rest):
        left = texts.take(pa.array(rest))
        number = matches(left, NUMBER)
        if not number.all():
            dates = left.filter(pa.array(~number))
            at = rest[~number]
            times[at], good[at] = milliseconds_of(fields_of(dates), fmt.order, fmt.zone)
        for place in rest[number].tolist():
            times[place], good[place] = _exactly(texts[place].as_py().decode(), fmt)
    return times, good


def without_zeros(texts: pa.Array) -> pa.Array:
    """Texts (large_binary), whole numbers such as `1530622933000.0` without their point."""
    return pc.replace_substring_regex(texts, r"^(\s*[-+]?[0-9]+)\.0*(\s*)$", r"\1\2")


def matches(texts: pa.Array, pattern: str) -> Mask:
    """Which texts a pattern fits."""
    mask: Mask = pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)
    return mask


def numbers_of(texts: pa.Array, chosen: Mask) -> Whole:
    """The numbers that the chosen texts are."""
    plain = pc.replace_substring_regex(texts.filter(pa.array(chosen)).cast(pa.large_string()), r"[\s+]", "")
    numbers: Whole = plain.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return numbers


def _exactly(text: str, fmt: TimeFormat) -> tuple[int, bool]:
    """The time of one number with a point or an exponent."""
    value = Fraction(text)
    if abs(value) >= 1 << 63:
        return 0, False
    if fmt.digits or fmt.unit is not TimeUnit.S:
        times, good = _wholes(np.array([floor(value)], np.int64), fmt)
        return int(times[0]), bool(good[0])
    return floor(value * 1_000) if abs(value) < 1 << 52 else int(FAR), not _is_others(np.array([floor(value)]), fmt)[0]
