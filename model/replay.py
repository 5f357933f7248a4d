"""A whole log replayed: every user's sequence as the stream would end up with it, and features at any moments of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from model.bucket import Bucket
from model.features.count import Count
from model.features.curve import walk
from model.features.kinds import Feature
from model.features.plan import DEFAULT_LENGTH, FeaturePlan
from model.sequences.entries import ENTRY, GHOST, ITEM, REFUND, pack_tags, unpack_tags
from model.sequences.orders import mark_items
from model.sequences.texts import texts_of
from schemas.compiled.compiling import compiled
from schemas.event_types import IS_CONVERSION
from schemas.events import EventBatch

_NO_END = 1 << 40
"""A sequence length that no log reaches: nothing of it is dropped before the walk over it."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of users, ordered by user, count and time.

    Shapes: `users` (n) numbers of a `Replay`, `times` (n) in ms since 1970, `counts` (n) how many of the replay's
    events lie before each moment, those of the users before included: the moment right after an event of an instant is
    before the others of that instant that follow it in the sequence.
    """

    users: NDArray[np.int64]
    times: NDArray[np.int64]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.users)

    def take(self, chosen: NDArray[np.bool_ | np.int64]) -> Moments:
        """The chosen ones, or all in another order."""
        return Moments(self.users[chosen], self.times[chosen], self.counts[chosen])


@dataclass(frozen=True, eq=False)
class Replay:
    """The distinct events of a log, user by user, each user's in the sequence's order.

    Shapes: `hashes` (users) xxh3 of the ids; `bounds` (users + 1), user u has events `bounds[u]:bounds[u + 1]`;
    `users`, `timestamps`, `types`, `campaigns` and `keys` (n) by event, campaigns as indexes into `names`. `entries`
    (n) is what features are computed from. `retimed` events had an id that their user had at another time within a day.
    """

    hashes: NDArray[np.uint64]
    bounds: NDArray[np.int64]
    users: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    types: NDArray[np.int64]
    campaigns: NDArray[np.int64]
    keys: NDArray[np.int64]
    names: tuple[str, ...]
    entries: NDArray[np.void]
    retimed: int = 0

    @classmethod
    def of(cls, batches: Iterable[EventBatch]) -> Replay:
        """The replay of batches in any order: repeats, conflicts and late events end as they do in the stream."""
        any_event = Count(weight=0.0, aggregation="count", look_back=timedelta(days=1))
        bucket = Bucket(FeaturePlan.of([any_event]), _NO_END)
        retimed = sum(bucket.update(batch).retimed for batch in batches)
        kept = bucket.snapshot()
        live = (kept.entries["tag"] & GHOST) == 0
        owners = np.repeat(np.arange(len(kept.sizes)), kept.sizes["size"])[live]
        entries = kept.entries[live]
        types, campaigns = unpack_tags(entries["tag"])
        return cls(
            hashes=np.array([xxhash.xxh3_64_intdigest(text) for text in texts_of(*kept.users)], np.uint64),
            bounds=np.searchsorted(owners, np.arange(len(kept.sizes) + 1)).astype(np.int64),
            users=owners,
            timestamps=entries["timestamp"].copy(),
            types=types,
            campaigns=campaigns,
            keys=entries["key"].copy(),
            names=tuple(text.decode() for text in texts_of(*kept.campaigns)),
            entries=entries,
            retimed=retimed,
        )

    @classmethod
    def of_columns(
        cls,
        hashes: NDArray[np.uint64],
        sizes: NDArray[np.int64],
        timestamps: NDArray[np.int64],
        types: NDArray[np.int64],
        campaigns: NDArray[np.int64],
        keys: NDArray[np.int64],
        names: tuple[str, ...],
        refunds: NDArray[np.bool_],
    ) -> Replay:
        """The replay of distinct events (n) that are in order already, user by user: `sizes` (users) of each."""
        entries = np.zeros(len(timestamps), ENTRY)
        entries["timestamp"], entries["key"], entries["tag"] = timestamps, keys, pack_tags(types, campaigns, refunds)
        bounds = np.concatenate(([0], np.cumsum(sizes)))
        _mark_all(entries, bounds)
        users = np.repeat(np.arange(len(sizes)), sizes)
        return cls(hashes, bounds, users, timestamps, types, campaigns, keys, names, entries)

    @property
    def orders(self) -> NDArray[np.int64]:
        """The first conversion of each order: places of events."""
        return np.flatnonzero(IS_CONVERSION[self.types] & ((self.entries["tag"] & (REFUND | ITEM)) == 0))

    def right_after(self, events: NDArray[np.int64]) -> Moments:
        """The moments right after events, given by their ascending places (n)."""
        return Moments(self.users[events], self.timestamps[events], events + 1)

    def at(self, users: NDArray[np.int64], times: NDArray[np.int64]) -> Moments:
        """The moments of users at times (n), ordered by both; all events of a moment's ms are before it."""
        counts: NDArray[np.int64] = _places(self.users, self.timestamps, users, times)
        return Moments(users, times, counts)

    def features(
        self, features: Sequence[Feature], moments: Moments, length: int = DEFAULT_LENGTH
    ) -> NDArray[np.float64]:
        """Features (n, number of features) at the moments (n).

        They come of the recursion that the stream runs: right after an event, to the last bit.
        """
        plan = FeaturePlan.of(features)
        numbers = {name: number for number, name in enumerate(self.names)}
        known = {name: numbers.get(name, len(numbers)) for name in plan.campaigns}
        out, edges = (
            np.empty((len(moments), len(features))),
            np.searchsorted(moments.users, np.arange(len(self.bounds))),
        )
        arrays, asked = plan.numbered(known), _Asked(edges, moments.times, moments.counts)
        _walk_all(self.entries, self.bounds, asked, length, arrays, plan.one_user(), out)
        return out

    def last_before(self, moments: Moments) -> NDArray[np.int64]:
        """The time of each moment's newest event (n) in ms; the user must have one."""
        return self.timestamps[moments.counts - 1]

    def follows(self, events: NDArray[np.int64], moments: Moments) -> NDArray[np.int64]:
        """The time of the first of some events after each moment (n), of its user; the greatest int64 where none is.

        The events are given by their ascending places.
        """
        places = np.searchsorted(events, moments.counts)
        inside = places < len(events)
        found = np.full(len(moments), np.iinfo(np.int64).max)
        inside[inside] = self.users[events[places[inside]]] == moments.users[inside]
        found[inside] = self.timestamps[events[places[inside]]]
        return found


class _Asked(NamedTuple):
    """Moments (m) by their users, whose lie at `edges[user]:edges[user + 1]`: times in ms, and counts of events."""

    edges: NDArray[np.int64]
    times: NDArray[np.int64]
    counts: NDArray[np.int64]


@compiled
def _places(users, times, asked_users, asked_times):
    """For each (user, time) that is asked for how many of the others are not after it; both are in order."""
    places, place = np.empty(len(asked_users), np.int64), 0
    for row in range(len(asked_users)):
        user, time = asked_users[row], asked_times[row]
        while place < len(users) and (users[place] < user or (users[place] == user and times[place] <= time)):
            place += 1
        places[row] = place
    return places


@compiled
def _mark_all(entries, bounds):
    """Mark the items of orders, user by user."""
    for user in range(len(bounds) - 1):
        mark_items(entries, bounds[user], bounds[user], bounds[user + 1])


@compiled
def _walk_all(entries, bounds, asked, length, plan, running, features):
    """Features (m, n) of every user's moments, from entries that lie at `bounds[user]:bounds[user + 1]`."""
    for user in range(len(bounds) - 1):
        low, high = asked.edges[user], asked.edges[user + 1]
        if low < high:
            own, counts = entries[bounds[user] : bounds[user + 1]], asked.counts[low:high] - bounds[user]
            walk(own, asked.times[low:high], counts, length, plan, running, features[low:high])
