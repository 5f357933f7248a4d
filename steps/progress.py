"""One log line every few seconds: how fast, how many, and what was not scored."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, fields

from bytewax.outputs import DynamicSink, StatelessSinkPartition

from model.sequences import CONFLICT, NEW, REPEAT
from schemas.codec import Decoded
from schemas.spans import Span
from steps.sequences import Sequenced

LOG_INTERVAL = 5.0
"""Seconds between two lines."""

log = logging.getLogger("adstreams")


@dataclass(slots=True)
class Counts:
    """What became of events. Each is in exactly one of scored, repeats, dead, expired and erased.

    `late` are those of the scored that came after a later event of their user; `conflicts` those of the repeats whose
    body differed; `retimed` of the scored have an id that their user has at another time within a day. `users` is how
    many users bucket `bucket` has. `span` has the times of the valid events.
    """

    scored: int = 0
    late: int = 0
    repeats: int = 0
    conflicts: int = 0
    dead: int = 0
    expired: int = 0
    erased: int = 0
    retimed: int = 0
    bucket: str = ""
    users: int = 0
    span: Span = field(default_factory=Span)

    def add(self, other: Counts) -> None:
        """Add another's counts, but for the users."""
        for each in fields(self)[:8]:
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
        scored - item.expired, update.late, repeats, conflicts, dead, item.expired, item.erased, update.retimed, bucket,
        item.users,
    )  # fmt: skip


class ProgressSink(DynamicSink[Counts]):
    """Logs the counts of the worker's own share. Nothing is lost where a count is: it may be dropped at a crash."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _ProgressPartition:
        """The log of one worker."""
        return _ProgressPartition(f"worker {worker_index + 1}/{worker_count}: " if worker_count > 1 else "")


class _ProgressPartition(StatelessSinkPartition[Counts]):
    def __init__(self, prefix: str) -> None:
        self._prefix, self._total, self._users = prefix, Counts(), dict[str, int]()
        self._since, self._told = time.monotonic(), 0
        self._started = self._since

    def write_batch(self, items: list[Counts]) -> None:
        for counts in items:
            self._total.add(counts)
            if counts.bucket:
                self._users[counts.bucket] = counts.users
        now = time.monotonic()
        if now - self._since >= LOG_INTERVAL and self._handled > self._told:
            self._line((self._handled - self._told) / (now - self._since))
            self._since, self._told = now, self._handled

    @property
    def _handled(self) -> int:
        total = self._total
        return total.scored + total.repeats + total.dead + total.expired + total.erased

    def _line(self, rate: float, word: str = "") -> None:
        total = self._total
        rare = (
            (total.expired, "expired"),
            (total.erased, "erased"),
            (total.retimed, "with the same id at another time"),
        )
        more = "".join(f", {count:,} {word}" for count, word in rare if count)
        log.info(
            "%s%s%s events/s, %s users, %s scored (%s late), %s repeats (%s conflicts), %s dead letters%s",
            self._prefix, word, f"{rate:,.0f}", f"{sum(self._users.values()):,}", f"{total.scored:,}",
            f"{total.late:,}", f"{total.repeats:,}", f"{total.conflicts:,}", f"{total.dead:,}", more,
        )  # fmt: skip

    def close(self) -> None:
        took = max(time.monotonic() - self._started, 1e-9)
        self._line(self._handled / took, "in all, ")
        for line in filter(None, (self._total.span.words, *self._total.span.warnings)):
            log.info("%s%s", self._prefix, line)
