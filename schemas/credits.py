"""Credit on its way to the stores: the share of each touch before a conversion, by six rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.compiled.compiling import compiled

RULES = ("credit", "last", "first", "linear", "time_decay", "position")
BASELINE = -1
"""The `type` of the row for the share of no touch; its other columns about the touch are 0."""
LONGEST_CAMPAIGN = 256
"""Bytes of a campaign's name that are kept with a credit: a conversion may have a thousand of them in one row."""

PARTS = ("order", "item", "refund", "repeat")
"""What a conversion is to its order: the first of it, which is one conversion; one more item of it; a refund, which
takes revenue back; and the id of either once more, whose revenue does not count."""
ORDER, ITEM, REFUND, REPEAT = range(len(PARTS))

CREDIT = np.dtype(
    [
        ("touch_time", np.int64),  # ms since 1970
        ("touch_key", np.int64),
        ("order_time", np.int64),  # of the order's first conversion; without one, the conversion's own
        ("outcome", np.int32),  # the conversion, a row of the outcomes
        ("campaign", np.int32),  # index into the names
        ("type", np.int8),  # index into `schemas.event_types.TYPES`, or BASELINE
        ("part", np.int8),  # index into PARTS
        *((rule, np.float64) for rule in RULES),  # of one conversion they sum up to 1 each
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class Credits:
    """The credits of conversions: `rows` (n records of `CREDIT`), and the names of campaigns.

    Those of one conversion are together, in the order of the outcomes: the touches, oldest first, then the baseline.
    The first name is the baseline's, empty. They take the place of all that the conversion had before. Items and
    refunds have the touches of their order.
    """

    rows: NDArray[np.void]
    campaigns: tuple[str, ...] = ("",)

    @classmethod
    def of(cls, rows: NDArray[np.void], name: Callable[[int], str]) -> Credits:
        """Credits whose campaigns are numbers, by what names a number."""
        return cls(rows, ("", *(_cut(name(number)) for number in _renumber(rows).tolist())))

    def __len__(self) -> int:
        return len(self.rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack, (self.rows.tobytes(), self.campaigns)

    def conversions(self) -> Iterator[tuple[int, int, int]]:
        """Each conversion's outcome, and where its rows start and stop."""
        outcomes = self.rows["outcome"]
        edges = np.flatnonzero(np.diff(outcomes, prepend=-1, append=-1)).tolist()
        return zip(outcomes[edges[:-1]].tolist(), edges[:-1], edges[1:], strict=True)

    def of_kept(self, kept: NDArray[np.bool_]) -> Credits:
        """Those of the outcomes that are kept, once the others are gone."""
        rows = self.rows[kept[self.rows["outcome"]]]
        rows["outcome"] = (np.cumsum(kept) - 1)[rows["outcome"]]
        return Credits(rows, self.campaigns)


@compiled
def _renumber(rows):
    """Number campaigns from 1 on as they come, 0 being the baseline's; returns the numbers that they had."""
    greatest = np.int64(0)
    for row in rows:
        greatest = max(greatest, np.int64(row.campaign))
    places, numbers, count = np.zeros(greatest + 1, np.int32), np.empty(greatest + 1, np.int64), 0
    for row in rows:
        number = row.campaign
        if row.type == BASELINE:
            row.campaign = 0
            continue
        if places[number] == 0:
            numbers[count] = number
            count += 1
            places[number] = count
        row.campaign = places[number]
    return numbers[:count]


NO_CREDITS = Credits(np.empty(0, CREDIT))


def _cut(name: str) -> str:
    return name.encode()[:LONGEST_CAMPAIGN].decode(errors="ignore")


def _unpack(rows: bytes, campaigns: tuple[str, ...]) -> Credits:
    return Credits(np.frombuffer(rows, CREDIT), campaigns)
