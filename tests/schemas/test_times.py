"""Times however a column writes them: found from all values, said, asked for where ambiguous, never guessed."""

from __future__ import annotations

import os
import time
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import AmbiguousTimes, TimesError
from schemas.logs.time_finding import find_time_format
from schemas.logs.time_texts import DateOrder
from schemas.logs.times import AS_FOUND, TimeFormat, TimeUnit, to_milliseconds

MAY = 1_714_550_400_000
"""2024-05-01 08:00 UTC in ms."""
JULY = 1_530_612_000_000
"""2018-07-03 10:00 UTC in ms."""
DAY = 86_400_000


def read(values, asked=AS_FOUND):
    """Times in ms, None for what is none, of a column by the format that its values show."""
    column = values if isinstance(values, pa.Array) else pa.array(values)
    times, good = to_milliseconds(column, find_time_format([column], asked))
    return [int(each) if fine else None for each, fine in zip(times, good, strict=True)]


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("written", [int, str, lambda n: f"{n}.0", lambda n: f"+{n} "])
def test_the_unit_is_found_from_the_values(unit, scale, written):
    times = [MAY // 1_000 + 3_600 * hour for hour in range(5)]
    column = pa.array([written(each * scale) for each in times])
    assert find_time_format([column]).unit == unit
    assert read(column) == [each * 1_000 for each in times]


def test_an_hour_of_seconds_is_an_hour():
    fmt = find_time_format([pa.array(["1714557600", "1714561200"])])
    assert fmt.words == "numbers are seconds since 1970"
    first, second = read(["1714557600", "1714561200"])
    assert second - first == 3_600_000


def test_all_chunks_count():
    assert find_time_format([pa.array([5]), pa.array([None], pa.int64()), pa.array([MAY * 1_000])]).unit == "us"


@pytest.mark.parametrize(
    "values", [[1_714_557_600, MAY], ["1714557600", str(MAY * 1_000_000)], [MAY] * 50 + [MAY * 1_000] * 50]
)
def test_units_that_are_really_mixed_are_asked_about(values):
    with pytest.raises(AmbiguousTimes, match=r"--time-unit .*ADSTREAMS_TIME_UNIT"):
        find_time_format([pa.array(values)])


@pytest.mark.parametrize("bad", [1_714_557_600, MAY * 1_000, MAY * 1_000_000])
def test_one_value_of_another_unit_is_rejected_alone(bad):
    assert read([MAY, bad, MAY + 1]) == [MAY, None, MAY + 1]
    assert read([str(MAY)] * 500 + [str(bad)] * 5) == [MAY] * 500 + [None] * 5


def test_what_nothing_decides_is_ms():
    fmt = find_time_format([pa.array([0, 5, -7])])
    assert (fmt.unit, fmt.found) == ("ms", False)
    assert read([0, 5, -7, None]) == [0, 5, -7, None]


def test_the_option_decides():
    assert read(["1714557600"], TimeFormat(TimeUnit.MS)) == [1_714_557_600]
    assert read([MAY, 7], TimeFormat(TimeUnit.S)) == [MAY * 1_000, 7_000]
    assert read([20180703], TimeFormat(TimeUnit.S)) == [20_180_703_000]


@pytest.mark.parametrize("far", [253_402_300_800_000, 2**62, 4_200_000_000_000])
def test_a_time_after_2100_or_9999_keeps_the_rest(far):
    """It is given as it is, or as what is no time, and never as another time."""
    found = read([MAY, far, MAY])
    assert found[::2] == [MAY, MAY]
    assert found[1] is None or found[1] > 4_102_444_800_000


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["20180703", "20180704"], [JULY - 10 * 3_600_000, JULY + 14 * 3_600_000]),
        ([20180703, 20180704], [JULY - 10 * 3_600_000, JULY + 14 * 3_600_000]),
        ([20180703.0, 20180732.0, 20180704.0], [JULY - 10 * 3_600_000, None, JULY + 14 * 3_600_000]),
        (["201807031000"], [JULY]),
        ([20180703100000], [JULY]),
        (["20180703T100000Z", "20180703T1000", "2018-07-03"], [JULY, JULY, JULY - 10 * 3_600_000]),
    ],
)
def test_digits_that_are_dates_are_dates(values, expected):
    assert read(values) == expected


def test_digits_of_a_date_and_an_hour_are_asked_about():
    with pytest.raises(AmbiguousTimes, match="--time-unit"):
        find_time_format([pa.array([2018070310, 2018070311])])


@pytest.mark.parametrize(
    "text",
    [
        "2018-07-03T10:00:00Z", "2018-07-03 10:00", "2018-07-03 10:00:00.000000 UTC", "2018-07-03T12:00:00+02:00",
        "2018-07-03 15:30:00+0530", "2018-07-03 03:00:00.0 -0700", "2018/7/3 10:00:00", "2018-07-03 12:00:00+02",
        "03-JUL-2018 10:00:00", "Tue, 03 Jul 2018 10:00:00 GMT", "03/Jul/2018:12:00:00 +0200", "July 3, 2018 10:00 AM",
        "2018-07-03T10:00:00,000Z", " 2018-07-03 10:00 ",
    ],
)  # fmt: skip
def test_a_text_is_a_time(text):
    assert read([text]) == [JULY]
    assert read(pa.array([text.encode()], pa.large_binary())) == [JULY]


@pytest.mark.parametrize("text", ["", "soon", "2018-02-30", "2018-13-01", "2018-07-03 25:00", "2018-07-03T10:00 Mars",
                                  "12018-07-03", "13/13/2018", "1e400", "0x5B3B", "nan", "2018-07-03x"])  # fmt: skip
def test_what_is_no_time_is_rejected_alone(text):
    assert read(["2018-07-03T10:00Z", text, None]) == [JULY, None, None]


@pytest.mark.parametrize(
    ("values", "order", "expected"),
    [
        (["03.07.2018", "13.07.2018"], "dmy", JULY - 10 * 3_600_000),
        (["7/3/2018 10:00", "7/13/2018 1:00 PM"], "mdy", JULY),
        (["03-07-2018 10:00:00", "31-07-2018 10:00:00", "bad"], "dmy", JULY),
    ],
)
def test_the_order_of_day_and_month_is_found(values, order, expected):
    fmt = find_time_format([pa.array(values)])
    assert fmt.order == order
    assert fmt.words.startswith("dates have the ")
    assert read(values)[0] == expected


@pytest.mark.parametrize("values", [["05/02/2024"], ["1.2.2024", "12.11.2024 10:00"], ["13/01/2024", "01/13/2024"]])
def test_an_order_that_no_value_tells_is_asked_about(values):
    with pytest.raises(AmbiguousTimes, match=r"--date-order .*ADSTREAMS_DATE_ORDER"):
        find_time_format([pa.array(values)])
    for order in ("dmy", "mdy"):
        assert find_time_format([pa.array(values)], TimeFormat(order=DateOrder(order))).order == order
    assert read(["05/02/2024"], TimeFormat(order=DateOrder.DMY)) == [1_707_091_200_000]
    assert read(["05/02/2024"], TimeFormat(order=DateOrder.MDY)) == [1_714_608_000_000]


def test_a_date_that_both_orders_read_alike_needs_none():
    assert read(["05.05.2024"]) == [1_714_867_200_000]


def test_years_of_two_digits_are_asked_about():
    with pytest.raises(AmbiguousTimes, match="--date-order"):
        find_time_format([pa.array(["7/3/18"])])
    for order, text in ((DateOrder.MDY, "7/3/18"), (DateOrder.DMY, "3.7.18"), (DateOrder.YMD, "18-07-03")):
        assert read([text], TimeFormat(order=order)) == [JULY - 10 * 3_600_000]


@pytest.mark.parametrize("values", [["10:00:00", "11:30"], ["9:15 PM"], ["T10:00:00Z", "x", "10:00:01.5"]])
def test_times_of_day_without_a_date_are_refused(values):
    with pytest.raises(TimesError, match="times of day without a date"):
        find_time_format([pa.array(values)])


def test_numbers_that_a_spreadsheet_has_rounded_are_refused():
    with pytest.raises(TimesError, match="rounded"):
        find_time_format([pa.array(["1.53062E+12", "1.53062E+12"])])
    assert read(["1.530612E12", str(JULY), str(JULY)]) == [JULY] * 3


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["1714550400.1239", "1714550400.5"]), [MAY + 123, MAY + 500]),
        (pa.array([1714550400.1239, 1714550400.123]), [MAY + 123, MAY + 123]),
        (pa.array([Decimal("1714550400.1239")]), [MAY + 123]),
        (pa.array(["2024-05-01 08:00:00.1239", "1969-12-31 23:59:59.9999"]), [MAY + 123, -1]),
        (pa.array([MAY * 1_000 + 123_999, -1], pa.timestamp("us")), [MAY + 123, -1]),
        (pa.array([MAY * 1_000_000 + 123_999_999, -1], pa.timestamp("ns", "UTC")), [MAY + 123, -1]),
        (pa.array([MAY * 1_000 + 123_999, -1]), [MAY + 123, -1]),
        (pa.array([float(MAY) + 0.9, -0.1]), [MAY, -1]),
    ],
)
def test_what_is_finer_than_ms_is_rounded_down(column, expected):
    assert read(column) == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([MAY * 1_000], pa.timestamp("ms")), [MAY * 1_000]),
        (pa.array([2**62], pa.timestamp("s")), [2**62]),
        (pa.array([date(2024, 5, 1)]), [MAY - 8 * 3_600_000]),
        (pa.array([MAY - MAY % DAY], pa.date64()), [MAY - 8 * 3_600_000]),
        (pa.array([MAY], pa.timestamp("ms")).dictionary_encode(), [MAY]),
        (pa.array([str(MAY)]).cast(pa.string_view()), [MAY]),
        (pa.nulls(2), [None, None]),
        (pa.array([2**63, MAY], pa.uint64()), [None, MAY]),
    ],
)
def test_types_of_columns(column, expected):
    assert read(column) == expected


@pytest.mark.parametrize(
    "column",
    [pa.array([1.5e12], pa.float32()), pa.array([1], pa.time32("s")), pa.array([[1]]), pa.array([True])],
)
def test_types_that_hold_no_time_are_refused(column):
    with pytest.raises(TimesError):
        read(column)


def test_a_clock_without_a_zone_hangs_in_the_zone_that_is_given(monkeypatch):
    """Never in the machine's."""
    berlin = TimeFormat(zone="Europe/Berlin")
    naive = [datetime(2024, 5, 1, 10), datetime(2024, 1, 1, 9), datetime(2024, 10, 27, 2, 30)]
    expected = [MAY, 1_704_096_000_000, 1_729_989_000_000]  # of the hour that came twice, the earlier
    try:
        for zone in ("UTC", "America/New_York", "Asia/Kolkata"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert read([f"{each:%Y-%m-%d %H:%M}" for each in naive], berlin) == expected
            assert read(pa.array(naive, pa.timestamp("us")), berlin) == expected
            assert read(["2024-05-01 10:00+02:00", "20240501T080000Z"], berlin) == [MAY, MAY]
            assert read([20240501], berlin) == [MAY - 10 * 3_600_000]
            assert read(["2024-05-01 08:00"]) == [MAY]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert os.environ.get("TZ") != "Asia/Kolkata"


@given(st.lists(st.integers(FIRST := 631_152_000_000, 4_102_444_800_000), min_size=1), st.integers(0, 999_999))
def test_every_way_to_write_a_time_is_read_alike(times, finer):
    """Nanoseconds below ms change nothing."""
    numbers = np.array(times, np.int64)
    texts = [
        f"{datetime.fromtimestamp(each // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{each % 1000:03d}{finer:06d}Z" for each in times
    ]
    nanoseconds = pa.array(numbers * 1_000_000 + finer)
    for column in (pa.array(numbers), pa.array(texts), nanoseconds, nanoseconds.cast(pa.timestamp("ns")),
                   pa.array([f"{each // 1000}.{each % 1000:03d}" for each in times])):  # fmt: skip
        assert read(column) == times
