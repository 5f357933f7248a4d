"""Who was erased, and up to when: events that are not later go by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.erasures import Erasure

ERASED = np.dtype([("user_hash", np.int64), ("until", np.int64)])
_NEVER = np.iinfo(np.int64).min


class Erased(NamedTuple):
    """Users by hash, in the order of the hashes, and the event time (ms) up to which each was erased."""

    records: NDArray[np.void]

    @classmethod
    def none(cls) -> Erased:
        """Nobody."""
        return cls(np.empty(0, ERASED))

    def joined(self, erasures: Iterable[Erasure]) -> Erased:
        """With more users; of several times of one user the latest counts."""
        held = dict(self.records.tolist())
        for each in erasures:
            held[each.user_hash] = max(each.until, held.get(each.user_hash, _NEVER))
        return Erased(np.array(sorted(held.items()), ERASED))

    def until(self, user_hash: int) -> int:
        """The time up to which a user was erased; before all times where the user was not."""
        place = int(np.searchsorted(self.records["user_hash"], user_hash))
        if place < len(self.records) and self.records[place]["user_hash"] == user_hash:
            return int(self.records[place]["until"])
        return _NEVER

    def has(self, user_hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which events (n) are of users who were erased at some time."""
        return np.isin(user_hashes.astype(np.int64), self.records["user_hash"])

    def covers(self, user_hashes: NDArray[np.uint64], times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which events (n) are of users who were erased at a time that is not before them."""
        if not len(self.records):
            return np.zeros(len(times), np.bool_)
        hashes = user_hashes.astype(np.int64)
        places = np.searchsorted(self.records["user_hash"], hashes)
        found = self.records[np.minimum(places, len(self.records) - 1)]
        covered: NDArray[np.bool_] = (found["user_hash"] == hashes) & (times <= found["until"])
        return covered
