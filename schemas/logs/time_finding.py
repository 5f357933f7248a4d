"""How a whole column writes its times: the unit of numbers, the order of day and month, found from all values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from schemas.errors import AmbiguousTimes, TimesError
from schemas.logs.time_texts import DateOrder, Fields, Whole, fields_of, is_clock
from schemas.logs.times import (
    AS_FOUND,
    FIRST_LIKELY,
    LAST_LIKELY,
    NAMES,
    NUMBER,
    UNITS,
    WHOLE,
    TimeFormat,
    TimeUnit,
    dates_of,
    is_likely,
    is_text,
    matches,
    numbers_of,
    plain_column,
    signed,
    without_zeros,
)

RARE = 0.01
"""The share of a column's values that may be written in another way and be rejected alone; one always may."""
_DIGITS = (8, 12, 14)
"""Numbers of so many digits may be dates: days, minutes and seconds."""
_ROUNDED = r"^\s*[-+]?[0-9](?:\.[0-9]{0,6})?[eE][-+]?[0-9]{1,2}\s*$"
"""A number of which a spreadsheet has kept the first digits."""


def find_time_format(chunks: Iterable[pa.Array], asked: TimeFormat = AS_FOUND) -> TimeFormat:
    """How a whole column writes its times, from its chunks, of which one is held at a time.

    Numbers in one unit's range determine it; otherwise they are ms. Dates with the year behind need one whose day
    is above 12. What is asked for is not looked for.

    >>> find_time_format([pa.array([1_714_557_600, None]), pa.array([0])]).unit.value
    's'
    >>> find_time_format([pa.array(["7/3/2018 10:00", "7/13/2018"])]).order.value
    'mdy'

    Raises:
        AmbiguousTimes: the values can be read in several ways.
        TimesError: the type, or most values, hold no time.
    """
    finder = _Finder(asked)
    for chunk in chunks:
        finder.see(chunk)
    return finder.found()


class _Finder:
    """Counts how values are written, chunk by chunk."""

    def __init__(self, asked: TimeFormat) -> None:
        self._asked, self._counts = asked, Counter[object]()
        self._example = dict[str, str]()

    def see(self, column: pa.Array) -> None:
        values = plain_column(column).drop_null()
        kind = values.type
        if is_text(kind):
            self._see_texts(values.cast(pa.large_binary()))
        elif pa.types.is_float64(kind):
            floats = values.to_numpy(zero_copy_only=False)
            floats = np.floor(floats[np.isfinite(floats) & (np.abs(floats) < 2.0**63)])
            self._see_numbers(floats.astype(np.int64))
        elif pa.types.is_integer(kind):
            numbers, fits = signed(values)
            self._see_numbers(numbers[fits])

    def _see_numbers(self, numbers: Whole) -> None:
        self._counts["number"] += len(numbers)
        for unit in UNITS:
            self._counts[unit] += int(np.count_nonzero(is_likely(numbers, unit)))
        for digits in _DIGITS:
            wall, good = dates_of(numbers, digits)
            self._counts[digits] += int(np.count_nonzero(good & (wall >= 0) & (wall <= LAST_LIKELY * 1_000)))
        hours = np.where((numbers >= 10**9) & (numbers < 10**10), numbers, 0)
        wall, good = dates_of(hours * 100, 12)
        self._counts["hours"] += int(np.count_nonzero(good & (wall >= FIRST_LIKELY * 1_000)))

    def _see_texts(self, texts: pa.Array) -> None:
        bare = without_zeros(texts)
        whole = matches(bare, WHOLE)
        self._see_numbers(numbers_of(bare, whole))
        rest = texts.filter(pa.array(~whole))
        if not len(rest):
            return
        number = matches(rest, NUMBER)
        floats = [float(text) for text in rest.filter(pa.array(number)).cast(pa.large_string()).to_pylist()]
        self._see_numbers(np.floor([each for each in floats if abs(each) < 2.0**63]).astype(np.int64))
        self._counts["rounded"] += int(np.count_nonzero(matches(rest, _ROUNDED)))
        dates = rest.filter(pa.array(~number))
        if len(dates):
            self._counts["text"] += len(dates)
            self._counts["clock"] += int(np.count_nonzero(is_clock(dates)))
            self._see_dates(dates, fields_of(dates))

    def _see_dates(self, texts: pa.Array, fields: Fields) -> None:
        first, second = fields.first, fields.second
        behind = fields.is_year_last & (first >= 1) & (second >= 1) & (first <= 31) & (second <= 31)
        kinds = {
            "dmy": behind & (first > 12) & (second <= 12),
            "mdy": behind & (second > 12) & (first <= 12),
            "either": behind & (first <= 12) & (second <= 12) & (first != second),
            "same": behind & (first <= 12) & (first == second),
            "short": fields.is_short,
        }
        for name, mask in kinds.items():
            self._counts[name] += int(np.count_nonzero(mask))
            if mask.any():
                self._example.setdefault(name, texts[int(np.argmax(mask))].as_py().decode(errors="replace").strip())

    def found(self) -> TimeFormat:
        counts = self._counts
        if counts["clock"] * 2 > counts["text"] + counts["number"]:
            raise TimesError("times of day without a date")
        if counts["rounded"] * 2 > counts["text"] + counts["number"]:
            raise TimesError("numbers are rounded, as spreadsheets show them (1.53E+12): write all of their digits")
        order = self._order()
        is_dated = order is not self._asked.order and counts["dmy"] + counts["mdy"] > 0
        fmt = replace(self._asked, order=order, dated=is_dated)
        if self._asked.unit is not TimeUnit.AUTO:
            return fmt
        return self._with_unit(fmt)

    def _with_unit(self, fmt: TimeFormat) -> TimeFormat:
        counts, numbers = self._counts, self._counts["number"]
        likely = [unit for unit in UNITS if counts[unit]]
        if counts[8] and not likely and counts[8] * 2 >= numbers:
            return replace(fmt, unit=TimeUnit.MS, digits=8)
        for digits in (12, 14):
            if counts[digits] and _is_rare(numbers - counts[digits], counts[digits]):
                return replace(fmt, unit=TimeUnit.MS, digits=digits)
        if counts["hours"] and _is_rare(numbers - counts["hours"], counts["hours"]):
            raise AmbiguousTimes(
                "numbers such as 2018070310 may be seconds since 1970 or dates with the hour: set --time-unit "
                "(ADSTREAMS_TIME_UNIT) to s, or write dates as 2018-07-03 10:00"
            )
        if not likely:
            return replace(fmt, unit=TimeUnit.MS)
        unit = max(likely, key=lambda each: counts[each])
        if not _is_rare(sum(counts[each] for each in likely if each is not unit), counts[unit]):
            which = " and ".join(f"{counts[each]:,} look like {NAMES[each]}" for each in likely)
            raise AmbiguousTimes(f"{which} since 1970: set --time-unit (ADSTREAMS_TIME_UNIT) to s, ms, us or ns")
        return replace(fmt, unit=unit, found=True)

    def _order(self) -> DateOrder:
        counts, asked = self._counts, self._asked.order
        if asked is not DateOrder.AUTO:
            return asked
        few, order = min((counts["dmy"], DateOrder.MDY), (counts["mdy"], DateOrder.DMY))
        told = max(counts["dmy"], counts["mdy"])
        decides = "set --date-order (ADSTREAMS_DATE_ORDER) to"
        if told and not _is_rare(few, told):
            both = f"{self._example['dmy']} and {self._example['mdy']}"
            raise AmbiguousTimes(f"dates such as {both} have day and month in two orders: {decides} dmy or mdy")
        if not told and counts["either"]:
            example = self._example["either"]
            raise AmbiguousTimes(f"{example} may be day or month first, and no date shows which: {decides} dmy or mdy")
        if not told and counts["short"] * 2 > counts["text"] + counts["number"]:
            example = self._example["short"]
            raise AmbiguousTimes(f"years of two digits, as in {example}: {decides} dmy, mdy or ymd")
        return order if told else DateOrder.DMY if counts["same"] else DateOrder.AUTO


def _is_rare(few: int, most: int) -> bool:
    """Whether so few values are exceptions from the rule that most show."""
    return few < most and few <= max(1, RARE * (few + most))
