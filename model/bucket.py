"""A bucket of users: the state of the stream, and what a batch of events does to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.attribution.rules import Attribution, count_credits, fill_credits
from model.emission import derive_all, emit, let_go
from model.features.plan import DEFAULT_LENGTH, FeaturePlan
from model.features.structures import Running
from model.sealed import Sealed
from model.sequences.arrays import allocate, grown
from model.sequences.entries import ENTRY, MOST_CAMPAIGNS, knows_types_of
from model.sequences.erased import Erased
from model.sequences.merging import (
    CONFLICT,
    FATES,
    NEW,
    USER,
    entries_needed,
    group_rows,
    intern_rows,
    merge,
    packed_size,
    repack,
    text_sizes,
)
from model.sequences.texts import Texts, intern_name
from schemas.compiled.compiling import compiled
from schemas.credits import CREDIT, NO_CREDITS, Credits
from schemas.erasures import Erasure, until_after
from schemas.errors import SnapshotError
from schemas.events import EventBatch
from schemas.scored import COMPUTED_AGAIN, OUTCOME

SNAPSHOT_VERSION = 3
RAISED = 1 << 20
"""What is added to the versions of a user who was erased before: rows that a lost epoch had computed with what is
erased by now are older than those that are computed without it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that must be kept of a bucket: its sequences, packed. What is computed from them is not in it."""

    version: int
    length: int
    users: tuple[NDArray[np.int32], NDArray[np.uint8]]
    campaigns: tuple[NDArray[np.int32], NDArray[np.uint8]]
    sizes: NDArray[np.void]
    entries: NDArray[np.void]
    erased: NDArray[np.void]

    @property
    def newest(self) -> int:
        """The time of the newest event in ms, the least int64 where there is none."""
        return int(self.entries["timestamp"].max(initial=np.iinfo(np.int64).min))

    def __deepcopy__(self, memo: dict[int, Any]) -> Sealed:
        """What a stream keeps of a bucket that nothing has come for since it was resumed."""
        return Sealed(self)


@dataclass(frozen=True, slots=True)
class Update:
    """What a batch did: outcomes (m) and their features (m, number of features), and what became of each row (n).

    `late` of the new events came after a later one, or one of the same instant, of their user; the ids of `retimed` of
    them were those of events of their user at another time, within a day. `credits` are those of all conversions
    among the outcomes, where they were asked for: they take the place of those of before.
    """

    outcomes: NDArray[np.void]
    features: NDArray[np.float64]
    fates: NDArray[np.uint8]
    late: int
    retimed: int
    credits: Credits

    @property
    def counts(self) -> list[int]:
        """How many of the batch's rows had each fate."""
        counts: list[int] = np.bincount(self.fates, minlength=FATES).tolist()
        return counts

    @property
    def rivals(self) -> NDArray[np.int64]:
        """The rows with a new body that no outcome names: another body of their identity is the greater."""
        found: NDArray[np.int64] = _unshown(self.outcomes, self.fates)
        return found


@compiled
def _unshown(outcomes, fates):
    """The rows with a new body that no outcome names."""
    shown, count = np.zeros(len(fates), np.bool_), 0
    for outcome in outcomes:
        if outcome.body_row != COMPUTED_AGAIN:
            shown[outcome.body_row] = True
    for row in range(len(fates)):
        count += (fates[row] == NEW or fates[row] == CONFLICT) and not shown[row]
    rows, at = np.empty(count, np.int64), 0
    for row in range(len(fates)):
        if (fates[row] == NEW or fates[row] == CONFLICT) and not shown[row]:
            rows[at] = row
            at += 1
    return rows


class Bucket:
    """The sequences of the users of one bucket, in memory in proportion to what they hold.

    Args:
        plan: the features to compute.
        length: L, the number of newest events of a user that count.
    """

    def __init__(self, plan: FeaturePlan, length: int = DEFAULT_LENGTH) -> None:
        self._length = length
        self._users, self._campaigns = Texts.empty(), Texts.empty()
        self._records = np.empty(0, USER)
        self._entries, self._used = np.empty(0, ENTRY), 0
        self._erased = Erased.none()
        self._begin(plan)

    @property
    def plan(self) -> FeaturePlan:
        """The features that are computed."""
        return self._followed

    def follow(self, plan: FeaturePlan) -> None:
        """Compute these features from now on."""
        self._begin(plan)
        self._derive()

    def _begin(self, plan: FeaturePlan) -> None:
        self._followed = plan
        self._plan = plan.numbered({name: self._campaign(name) for name in plan.campaigns})
        self._marks = allocate((len(self._records), plan.marks), np.int32)
        self._decays = allocate((len(self._records), plan.decays), np.int64)

    def _derive(self) -> None:
        """Compute anew all that follows from the sequences."""
        count = len(self._records)
        self._marks, self._decays = self._marks[:count], self._decays[:count]
        derive_all(self._records, self._entries, self._values, self._plan, self._length)

    def _campaign(self, name: str) -> int:
        text = np.frombuffer(name.encode(), np.uint8)
        self._campaigns = self._campaigns.with_room(1, len(text))
        number = int(intern_name(self._campaigns, text))
        self._demand_numbers()
        return number

    def _demand_numbers(self) -> None:
        """Stop before an entry's tag has a campaign without a number."""
        if len(self._campaigns) > MOST_CAMPAIGNS:
            more = "use more buckets (ADSTREAMS_BUCKETS)"
            raise OverflowError(f"more than {MOST_CAMPAIGNS:,} campaigns in one bucket: {more}")

    @property
    def _values(self) -> Running:
        """The running values of all users."""
        return self._followed.running(self._marks, self._decays)

    def __len__(self) -> int:
        """The number of users."""
        return len(self._users)

    @property
    def nbytes(self) -> int:
        """Bytes of memory in arrays."""
        arrays = (*self._users, *self._campaigns, self._records, self._entries, self._marks, self._decays)
        return sum(array.nbytes for array in arrays)

    def update(self, batch: EventBatch, attribution: Attribution | None = None) -> Update:
        """Take a batch's events into the sequences, and compute every row that is new or that changed.

        Cost: for an in-order event, that of its features. A late event, or one more of the very instant of its user's
        newest, costs a walk over up to L events of the user, once a batch, and the later rows too.
        """
        rows, data = batch.rows, batch.data
        self._make_room(rows)
        slots, campaigns = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
        intern_rows(rows, data, self._users, self._campaigns, slots, campaigns)
        self._demand_numbers()
        order, groups = group_rows(rows, slots)
        if len(self._erased.records):
            self._records["raised"][slots[self._erased.has(rows["user_hash"])]] = RAISED
        self._make_room_for_entries(groups)
        fates = np.empty(len(rows), np.uint8)
        self._used, changed, late, retimed = merge(
            rows, campaigns, order, groups, self._records, self._entries, self._used, self._campaigns,
            self._length, fates,
        )  # fmt: skip
        outcomes, features = np.empty(changed, OUTCOME), np.empty((changed, len(self._plan.features)))
        emit(
            rows, order, groups, self._records, self._entries, campaigns, self._values, self._plan,
            self._length, fates, outcomes, features,
        )  # fmt: skip
        credits = NO_CREDITS if attribution is None else self._credits(groups, attribution)
        let_go(groups, self._records, self._entries, self._marks, self._plan, self._length)
        return Update(outcomes, features, fates, int(late), int(retimed), credits)

    def _credits(self, groups: NDArray[np.void], attribution: Attribution) -> Credits:
        count = count_credits(
            groups, self._records, self._entries, self._length, attribution.vectors.attribution_window
        )
        if not count:
            return NO_CREDITS
        credits = np.empty(count, CREDIT)
        vectors = attribution.vectors
        fill_credits(groups, self._records, self._entries, self._plan, self._length, vectors, credits)
        return Credits.of(credits, self._campaigns.text)

    def _make_room(self, rows: NDArray[np.void]) -> None:
        """Room for as many new users and campaigns as the batch could bring."""
        sizes = text_sizes(rows)
        self._users = self._users.with_room(len(rows), sizes[0])
        self._campaigns = self._campaigns.with_room(len(rows), sizes[1])
        used, needed = len(self._users), len(self._users) + len(rows)
        if needed > len(self._records):
            self._records = grown(self._records, used, needed)
            self._records[used:] = 0
        self._marks, self._decays = grown(self._marks, used, needed), grown(self._decays, used, needed)

    def _make_room_for_entries(self, groups: NDArray[np.void]) -> None:
        if self._used + entries_needed(self._records, groups, False) <= len(self._entries):
            return
        users = self._records[: len(self._users)]
        needed = int(packed_size(users)) + int(entries_needed(users, groups, True))
        packed = allocate((needed * 5 // 4,), ENTRY)
        self._used = int(repack(users, self._entries, packed))
        self._entries = packed

    def snapshot(self) -> Snapshot:
        """A copy of all that must be kept."""
        users = self._records[: len(self._users)].copy()
        users["room"] = users["size"]
        entries = np.empty(int(users["size"].sum()), ENTRY)
        repack(users, self._entries, entries)
        texts = self._users.kept(), self._campaigns.kept()
        return Snapshot(SNAPSHOT_VERSION, self._length, *texts, users, entries, self._erased.records.copy())

    def erase(self, requests: Iterable[Erasure]) -> list[Erasure]:
        """Forget users, and take none of their events up to the time of each request any more.

        Where a user's newest event is later than the request, that time is the event's: what is left of a sequence
        would be of smaller versions than its rows have. A request that is known has no effect.

        Returns what is new, with the final times, and the ids of the users that were held.
        """
        asked: dict[int, Erasure] = {}
        for request in sorted(requests, key=lambda each: each.until):
            if request.until > self._erased.until(request.user_hash):
                before = asked.get(request.user_hash)
                user_id = request.user_id or (before.user_id if before else None)
                asked[request.user_hash] = replace(request, user_id=user_id)
        if not asked:
            return []
        slots = {hash_: slot for slot, hash_ in enumerate(self._users.hashes().astype(np.int64)) if hash_ in asked}
        for hash_, slot in slots.items():
            user, request = self._records[slot], asked[hash_]
            user_id, until = self._users.text(slot), request.until
            if user["size"]:
                newest = int(self._entries[user["first"] + user["size"] - 1]["timestamp"])
                counted = int(user["raised"]) + int(user["evicted"]) + int(user["size"])
                until = max(until, until_after(newest * 1000 + counted))
            asked[hash_] = replace(request, until=until, user_id=user_id)
        self._erased = self._erased.joined(asked.values())
        if slots:
            self._drop(list(slots.values()))
        return list(asked.values())

    def without_erased(self, batch: EventBatch) -> tuple[EventBatch, int]:
        """A batch without the events of users who were erased after them, and how many those are."""
        if not len(self._erased.records):
            return batch, 0
        gone = self._erased.covers(batch.rows["user_hash"], batch.rows["timestamp"])
        return (replace(batch, rows=batch.rows[~gone]), int(np.count_nonzero(gone))) if gone.any() else (batch, 0)

    def _drop(self, slots: list[int]) -> None:
        """Take users out, with their ids."""
        sizes = self._records[: len(self._users)].copy()
        stays = np.ones(len(sizes), np.bool_)
        stays[slots] = False
        self._users, self._records = self._users.without(slots), sizes[stays]
        packed = np.empty(int(packed_size(self._records)), ENTRY)
        self._used = int(repack(self._records, self._entries, packed))
        self._entries = packed
        self._derive()

    @classmethod
    def restore(cls, snapshot: Snapshot, plan: FeaturePlan, length: int = DEFAULT_LENGTH) -> Bucket:
        """The bucket of a snapshot, its features rebuilt.

        Raises:
            SnapshotError: the snapshot is of another version, was made with another L, or holds a type of event or more
                campaigns than this program has numbers for.
        """
        if snapshot.version != SNAPSHOT_VERSION:
            raise SnapshotError(f"snapshot version {snapshot.version}, this program reads {SNAPSHOT_VERSION}")
        if snapshot.length != length:
            raise SnapshotError(f"made with a sequence length of {snapshot.length}, not {length}")
        if not knows_types_of(snapshot.entries["tag"]):
            raise SnapshotError("holds a type of event that this program does not know")
        if len(snapshot.campaigns[0]) > MOST_CAMPAIGNS:
            raise SnapshotError(f"holds more than {MOST_CAMPAIGNS:,} campaigns in one bucket")
        bucket = cls.__new__(cls)
        bucket._length = length
        bucket._users, bucket._campaigns = Texts.of(*snapshot.users), Texts.of(*snapshot.campaigns)
        bucket._records, bucket._entries = snapshot.sizes.copy(), snapshot.entries.copy()
        bucket._used, bucket._erased = len(bucket._entries), Erased(snapshot.erased)
        bucket.follow(plan)
        return bucket

    def __deepcopy__(self, memo: dict[int, Any]) -> Sealed:
        """What a stream keeps of a bucket at the end of an epoch; its pickle is that of a `Snapshot`."""
        return Sealed(self.snapshot())
