"""A bucket's events -> features of every row that is new or that changed: the stateful step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta

import numpy as np

from model.bucket import Bucket, Snapshot, Update
from model.sequences.merging import DISPUTED, NEW, TOO_LATE
from model.timeline import Models
from schemas.dead_letters import REASONS, DeadLetter
from schemas.erasures import Erasure
from schemas.events import ROW, EventBatch
from schemas.stored_models import FROM_THE_BEGINNING
from steps.known_models import KnownModels

_LETTERS = {TOO_LATE: "too_late", DISPUTED: "disputed"}


@dataclass(frozen=True, slots=True)
class Sequenced:
    """A bucket's batch, what it did to the sequences, by which models, and how many users the bucket has now.

    `expired` of its new events were older than rows are kept: they count in the sequences, and have no rows. Users who
    were `forgotten` were so before the batch, and `erased` more events would have been theirs.
    """

    events: EventBatch
    update: Update
    models: Models
    users: int
    expired: int = 0
    forgotten: tuple[Erasure, ...] = ()
    erased: int = 0


def _nobody(_: int) -> Sequence[Erasure]:
    return ()


def sequencer(
    known_models: KnownModels,
    length: int,
    retention: timedelta = timedelta(0),
    now: Callable[[], float] = time.time,
    known: Callable[[int], Sequence[Erasure]] = _nobody,
) -> Callable[[Bucket | Snapshot | None, EventBatch | list[Erasure]], tuple[Bucket, Sequenced]]:
    """The mapper of `stateful_map`. The state is a `Bucket`; after a resume it starts from a `Snapshot`.

    The wall clock `now` (seconds since 1970) decides only which rows are kept, and no score; a `retention` of zero
    keeps all. A bucket begins with what is `known` of erased users with the hash of one of its users, and follows the
    models as they change.
    """

    def sequence(state: Bucket | Snapshot | None, item: EventBatch | list[Erasure]) -> tuple[Bucket, Sequenced]:
        requests = item if isinstance(item, list) else []
        reached = state.newest if isinstance(state, Snapshot) else FROM_THE_BEGINNING
        models, attribution = known_models.until(max(_newest(item), reached))
        if isinstance(state, Bucket):
            bucket = state
            if bucket.plan is not models.plan:
                bucket.follow(models.plan)
        else:
            bucket = Bucket(models.plan, length) if state is None else Bucket.restore(state, models.plan, length)
            requests = [*known(_some_hash(item)), *requests]
        forgotten = bucket.erase(requests)
        events, erased = bucket.without_erased(_NO_EVENTS if isinstance(item, list) else item)
        update, expired = bucket.update(events, attribution), 0
        if retention:
            oldest = (now() - retention.total_seconds()) * 1000
            update, expired = _kept(events, update, oldest)
        return bucket, Sequenced(events, update, models, len(bucket), expired, tuple(forgotten), erased)

    return sequence


_NO_EVENTS = EventBatch((), np.empty(0, ROW), np.empty(0, np.uint8))


def _newest(item: EventBatch | list[Erasure]) -> int:
    """The newest event time (ms)."""
    return FROM_THE_BEGINNING if isinstance(item, list) else int(item.rows["timestamp"].max(initial=FROM_THE_BEGINNING))


def _some_hash(item: EventBatch | list[Erasure]) -> int:
    """The hash of one of the users."""
    return item[0].user_hash if isinstance(item, list) else int(item.rows["user_hash"][:1].astype(np.int64)[0])


def _kept(events: EventBatch, update: Update, oldest: float) -> tuple[Update, int]:
    """An update without the rows from before a time (ms), and how many new events were among them."""
    outcomes = update.outcomes["timestamp"] >= oldest
    if outcomes.all():
        return update, 0
    expired = (update.fates == NEW) & (events.rows["timestamp"] < oldest)
    kept = replace(
        update,
        outcomes=update.outcomes[outcomes],
        features=update.features[outcomes],
        credits=update.credits.of_kept(outcomes),
    )
    return kept, int(np.count_nonzero(expired))


def keyed_letters(letters: list[DeadLetter]) -> list[tuple[str, DeadLetter]]:
    """Dead letters keyed by where they came from."""
    return [(f"{letter.source}/{letter.partition}", letter) for letter in letters]


def late_letters(keyed: tuple[str, Sequenced]) -> list[tuple[str, DeadLetter]]:
    """Keyed dead letters for the rows that the sequences could not take, with what brought them."""

    def letter(events: EventBatch, row: int, reason: str) -> DeadLetter:
        payload = events.payload(row) or json.dumps(asdict(events.event(row)), ensure_ascii=False).encode()
        offset = int(events.rows[row]["offset"])
        return DeadLetter(*events.origin(row), offset, reason, REASONS[reason], payload)

    events, fates = keyed[1].events, keyed[1].update.fates
    lost = np.flatnonzero(fates >= TOO_LATE).tolist()
    return keyed_letters([letter(events, row, _LETTERS[int(fates[row])]) for row in lost])
