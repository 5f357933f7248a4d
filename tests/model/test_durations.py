"""Durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.durations import parse_duration, to_milliseconds, write_duration


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1ms", 1),
        ("0ms", 0),
        ("90s", 90_000),
        ("15min", 900_000),
        ("6h", 21_600_000),
        ("30d", 2_592_000_000),
        ("1.5h", 5_400_000),
        ("0.5s", 500),
        ("30 d", 2_592_000_000),
        (" 6h ", 21_600_000),
        ("36500d", 3_153_600_000_000),
    ],
)
def test_a_number_and_a_unit_are_a_duration(text, milliseconds):
    assert to_milliseconds(parse_duration(text)) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "6",
        "-6h",
        "+6h",
        "6 hours",
        "6H",
        "6m",
        "1e3s",
        ".5h",
        "5.h",
        "6h30min",
        "nan d",
        "6\nh",
        "6  h",
    ],
)
def test_anything_else_is_refused_with_examples(text):
    with pytest.raises(ValueError, match="is not a duration such as 90s, 15min, 6h or 30d") as error:
        parse_duration(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["1000000000d", "9" * 400 + "d"])
def test_a_duration_beyond_what_can_be_held_is_refused(text):
    with pytest.raises(ValueError, match="is too long"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0ms"),
        (1, "1ms"),
        (1_000, "1s"),
        (60_000, "1min"),
        (90_000, "90s"),
        (86_400_000, "1d"),
        (9_000_000, "150min"),
    ],
)
def test_a_duration_is_written_in_the_largest_unit_that_divides_it(milliseconds, text):
    assert write_duration(timedelta(milliseconds=milliseconds)) == text


@given(st.integers(0, 10**14))
def test_what_is_written_is_read_as_the_same(milliseconds):
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(write_duration(duration)) == duration
