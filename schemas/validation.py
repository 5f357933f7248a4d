"""The rules for every event: one validator for messages and for files."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from schemas.compiled.compiling import compiled
from schemas.events import EVENT_ID, USER_ID

FIRST_TIME = 0
"""1970-01-01 in ms."""
LAST_TIME = 4_102_444_800_000
"""2100-01-01 in ms."""
LONGEST_ID = 1_024
"""Bytes of UTF-8 in a user id or an event id."""
NO_CEILING = np.int64(np.iinfo(np.int64).max)

VERDICTS = ("", "not_utf8", "id_length", "revenue", "time_range", "time_ahead")
"""What `check_rows` answers with, by number: reasons of a dead letter; 0 is valid."""


@compiled
def is_utf8(data, start, stop):
    """Whether `data[start:stop]` is well-formed UTF-8 (The Unicode Standard, table 3-7), as Python decodes it."""
    at = start
    while at < stop:
        lead = data[at]
        if lead < 0x80:
            at += 1
            continue
        low, high = 0x80, 0xBF
        if 0xC2 <= lead <= 0xDF:
            more = 1
        elif 0xE0 <= lead <= 0xEF:
            more = 2
            if lead == 0xE0:
                low = 0xA0
            elif lead == 0xED:
                high = 0x9F
        elif 0xF0 <= lead <= 0xF4:
            more = 3
            if lead == 0xF0:
                low = 0x90
            elif lead == 0xF4:
                high = 0x8F
        else:
            return False
        if at + more >= stop:
            return False
        if not low <= data[at + 1] <= high:
            return False
        for step in range(2, more + 1):
            if not 0x80 <= data[at + step] <= 0xBF:
                return False
        at += more + 1
    return True


@compiled
def _check(rows, data, latest, verdicts):
    """Fill `verdicts` (n), numbers into `VERDICTS`, for rows (n) with texts in `data`.

    `latest` (n) is the latest time (ms) that each may have.
    """
    for row in range(len(rows)):
        record = rows[row]
        for field in range(len(record.start)):
            if not is_utf8(data, record.start[field], record.stop[field]):
                verdicts[row] = 1
        if verdicts[row] != 0:
            continue
        event_id = record.stop[EVENT_ID] - record.start[EVENT_ID]
        user_id = record.stop[USER_ID] - record.start[USER_ID]
        if not (1 <= event_id <= LONGEST_ID and 1 <= user_id <= LONGEST_ID):
            verdicts[row] = 2
        elif not np.isfinite(record.revenue):
            verdicts[row] = 3
        elif not FIRST_TIME <= record.timestamp <= LAST_TIME:
            verdicts[row] = 4
        elif record.timestamp > latest[row]:
            verdicts[row] = 5


def check_rows(
    rows: NDArray[np.void], data: NDArray[np.uint8], ceiling: NDArray[np.int64] | None, max_skew: timedelta
) -> NDArray[np.uint8]:
    """What is wrong with each row, as a number into `VERDICTS`.

    `ceiling` is the time of the message that carried the event (ms, negative where it has none): an event may be
    later than that by `max_skew` at the most, so that one bad clock does not move its user's "now".
    """
    if ceiling is None:
        latest = np.full(len(rows), NO_CEILING)
    else:
        skew = np.int64(max_skew / timedelta(milliseconds=1))
        latest = np.where(ceiling < 0, NO_CEILING, ceiling + skew)
    verdicts = np.zeros(len(rows), np.uint8)
    _check(rows, data, latest, verdicts)
    return verdicts
