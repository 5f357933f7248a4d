"""Rules that every store keeps, for those that keep them in Python: merging bodies, order, times, sums of credit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

from schemas.credits import PARTS, RULES
from schemas.event_types import RANK
from stores.answers import CreditSum, day_of

_ORDER, _, _, _REPEAT = PARTS


class _Placed(Protocol):
    """A row with its place in a user's sequence."""

    @property
    def event_time(self) -> int: ...
    @property
    def event_key(self) -> int: ...
    @property
    def event_type(self) -> str: ...


Placed = TypeVar("Placed", bound=_Placed)


def in_sequence(rows: Iterable[Placed]) -> list[Placed]:
    """Rows of one user in the order of the sequence: time, rank of the type, key."""
    return sorted(rows, key=lambda row: (row.event_time, RANK[row.event_type], row.event_key))


def times_between(start: int | None, end: int | None) -> tuple[int, int]:
    """The first and the last time (ms) of a query, within what 64 bits hold.

    >>> times_between(None, 5), times_between(-(2**80), None)
    ((-9223372036854775808, 5), (-9223372036854775808, 9223372036854775807))
    """
    least, greatest = -(2**63), 2**63 - 1
    first, last = least if start is None else start, greatest if end is None else end
    return min(max(first, least), greatest), min(max(last, least), greatest)


def _by_bytes(value: Any) -> tuple[bool, Any]:
    """Orders values as the bytes that Cassandra stores: texts in UTF-8, numbers big-endian with the sign bit first."""
    if isinstance(value, str):
        return False, value  # code points have the order of their UTF-8
    return value < 0, abs(value) if isinstance(value, float) else value


def merged(held: Sequence[Any], new: Sequence[Any]) -> tuple[Any, ...]:
    """The body that is shown of two of one event, each its type and then its columns.

    The greater type's wins; of one type each column has its greater value, in the order of its bytes.

    >>> merged(("IM", "b", 2), ("CL", "a", 1))
    ('CL', 'a', 1)
    >>> merged(("IM", "b", 2), ("IM", "a", -1))
    ('IM', 'b', -1)
    """
    if held[0] != new[0]:
        return tuple(held if RANK[held[0]] > RANK[new[0]] else new)
    return (held[0], *(max(pair, key=_by_bytes) for pair in zip(held[1:], new[1:], strict=True)))


class CreditSums:
    """Adds up shares by day, campaign and type.

    >>> sums = CreditSums()
    >>> sums.add(0, "order", 8.0, [(0, 1, "CL", "Spring", *[1.0] * 6)])
    >>> [(each.day, each.campaign, each.conversions[0], each.revenue[0]) for each in sums.between(None, None)]
    [('1970-01-01', 'Spring', 1.0, 8.0)]
    """

    def __init__(self) -> None:
        self.shares = 0
        """How many were added."""
        self._by_key: dict[tuple[str, str, str], list[float]] = {}

    def add(self, order_time: int, part: str, revenue: float, shares: Iterable[Sequence[Any]]) -> None:
        """Add the shares of one conversion event, each with the values of a `Share`."""
        if part == _REPEAT:
            return
        day = day_of(order_time)
        for _, _, kind, campaign, *rules in shares:
            self.shares += 1
            held = self._by_key.setdefault((day, campaign, kind), [0.0] * 2 * len(RULES))
            for place, share in enumerate(rules):
                held[place] += share if part == _ORDER else 0.0
                held[len(RULES) + place] += revenue * share

    def between(self, start: int | None, end: int | None) -> list[CreditSum]:
        """The sums of the days from that of `start` to that of `end` (ms), ordered by day, campaign and type."""
        first, last = map(day_of, times_between(start, end))
        found = sorted((key, sums) for key, sums in self._by_key.items() if first <= key[0] <= last)
        return [CreditSum(*key, tuple(sums[: len(RULES)]), tuple(sums[len(RULES) :])) for key, sums in found]
