"""One log line every few seconds while events come, one a minute while none do: how many, and what was not scored."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field, fields

import numpy as np
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from model.sequences.merging import CONFLICT, NEW, REPEAT
from schemas.avro.codec import Decoded
from schemas.logs.spans import Span
from schemas.scored import ScoredRows
from steps.sequencing import Sequenced

LOG_INTERVAL = 5.0
"""Seconds between two lines, the longest that something is counted and not logged."""
IDLE_INTERVAL = 60.0
"""Seconds between two lines while nothing is counted."""

log = logging.getLogger("adstreams")
_SUMMED = 9
"""The first fields of `Counts` are sums."""


@dataclass(slots=True)
class Counts:
    """What became of events. Each is in exactly one of scored, repeats, dead, expired and erased.

    `late` are those of the scored that came after a later event of their user; `conflicts` those of the repeats whose
    body differed; `retimed` of the scored have an id that their user has at another time within a day, and at
    `set_apart` ones their user had more events than a person makes. `users` is how many users bucket `bucket` has.
    `span` has the times of the valid events.
    """

    scored: int = 0
    late: int = 0
    repeats: int = 0
    conflicts: int = 0
    dead: int = 0
    expired: int = 0
    erased: int = 0
    retimed: int = 0
    set_apart: int = 0
    bucket: str = ""
    users: int = 0
    span: Span = field(default_factory=Span)

    def add(self, other: Counts) -> None:
        """Add another's counts, but for the users."""
        for each in fields(self)[:_SUMMED]:
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        self.span.join(other.span)


def count_decoded(decoded: Decoded) -> Counts:
    """The messages of a batch that are no valid events, and the times that the others span."""
    span = Span()
    span.add(decoded.events.rows["timestamp"])
    return Counts(dead=len(decoded.letters), erased=decoded.erased, span=span)


def count_sequenced(keyed: tuple[str, Sequenced]) -> Counts:
    """What became of the valid events of a bucket's batch."""
    bucket, item = keyed
    update = item.update
    counts = update.counts
    scored, conflicts = counts[NEW], counts[CONFLICT]
    repeats = counts[REPEAT] + conflicts
    dead = len(update.fates) - scored - repeats
    return Counts(
        scored - item.expired,
        update.late,
        repeats,
        conflicts,
        dead,
        item.expired,
        item.erased,
        update.retimed,
        bucket=bucket,
        users=item.users,
    )


def count_scored(keyed: tuple[str, ScoredRows]) -> Counts:
    """The rows of a bucket's batch at which a user was set apart as automated."""
    return Counts(set_apart=int(np.count_nonzero(keyed[1].advice.rows["set_apart"])))


class ProgressSink(DynamicSink[Counts]):
    """Logs the counts of the worker's own share in this run. They are not recovered: a restart counts from 0."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _ProgressPartition:
        """The log of one worker."""
        return _ProgressPartition(f"worker {worker_index + 1}/{worker_count}: " if worker_count > 1 else "")


class _ProgressPartition(StatelessSinkPartition[Counts]):
    """Batches only add up; a thread of its own logs, so that a stream that pauses keeps nothing back."""

    def __init__(self, prefix: str) -> None:
        self._log = ProgressLog(prefix, time.monotonic())
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._thread.start()

    def write_batch(self, items: list[Counts]) -> None:
        with self._lock:
            for counts in items:
                self._log.add(counts)

    def _tick(self) -> None:
        while not self._over.wait(LOG_INTERVAL):
            with self._lock:
                line = self._log.line(time.monotonic())
            if line is not None:
                log.info(line)

    def close(self) -> None:
        self._over.set()
        with self._lock:
            lines = self._log.last_lines(time.monotonic())
        for line in lines:
            log.info(line)


class ProgressLog:
    """The lines about one worker's counts, by a clock that is given in seconds.

    >>> lines = ProgressLog("", now=0.0)
    >>> lines.add(Counts(scored=10, bucket="a", users=2))
    >>> lines.line(now=5.0)
    '2 events/s, 2 users; in this run: 10 scored (0 late), 0 repeats (0 conflicts), 0 dead letters'
    >>> lines.line(now=10.0) is None
    True
    >>> lines.line(now=65.0)
    'idle for 60 s, 2 users; in this run: 10 scored (0 late), 0 repeats (0 conflicts), 0 dead letters'
    """

    def __init__(self, prefix: str, now: float) -> None:
        self._prefix, self._total, self._users = prefix, Counts(), dict[str, int]()
        self._started = self._since = self._active = self._logged = now
        self._told = 0

    def add(self, counts: Counts) -> None:
        """Add a batch's counts."""
        self._total.add(counts)
        if counts.bucket:
            self._users[counts.bucket] = counts.users

    def line(self, now: float) -> str | None:
        """What there is to log: new counts, or once a minute that there are none."""
        new, took = self._handled - self._told, now - self._since
        self._told, self._since = self._handled, now
        if new:
            self._active = self._logged = now
            return self._line(f"{new / max(took, 1e-9):,.0f} events/s")
        if now - self._logged < IDLE_INTERVAL:
            return None
        self._logged = now
        return self._line(f"idle for {now - self._active:,.0f} s")

    def last_lines(self, now: float) -> list[str]:
        """What the run did in all, and which times its events have."""
        line = self._line(f"in all, {self._handled / max(now - self._started, 1e-9):,.0f} events/s")
        span = self._total.span
        return [line, *(f"{self._prefix}{each}" for each in (span.words, *span.warnings) if each)]

    @property
    def _handled(self) -> int:
        total = self._total
        return total.scored + total.repeats + total.dead + total.expired + total.erased

    def _line(self, speed: str) -> str:
        total = self._total
        rare = (
            (total.expired, "expired"),
            (total.erased, "erased"),
            (total.retimed, "with the same id at another time"),
            (total.set_apart, "of automated users"),
        )
        more = "".join(f", {count:,} {word}" for count, word in rare if count)
        return (
            f"{self._prefix}{speed}, {sum(self._users.values()):,} users; in this run: {total.scored:,} scored"
            f" ({total.late:,} late), {total.repeats:,} repeats ({total.conflicts:,} conflicts),"
            f" {total.dead:,} dead letters{more}"
        )
