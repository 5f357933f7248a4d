"""The interface of a store: writing for the dataflow, reading for the app and people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.dead_letters import DeadLetter
from schemas.scored import ScoredRows


class StoreError(Exception):
    """The store cannot be used; the message says which and why, on one line."""


@dataclass(frozen=True, slots=True)
class Point:
    """One event of a user's curve, and the propensity right after it. `event_time` is in ms since 1970."""

    event_time: int
    event_key: int
    event_id: str
    event_type: str
    state: str
    segment: str
    campaign: str
    publisher: str
    product: str
    quantity: int
    revenue: float
    propensity: float
    seen: int
    model_id: str


@dataclass(frozen=True, slots=True)
class Latest:
    """Where a user stood right after the newest event."""

    user_id: str
    event_time: int
    event_type: str
    propensity: float
    seen: int
    model_id: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What a store holds. `newest` is the newest event time in ms, None in an empty store."""

    users: int
    newest: int | None
    dead_letters: int


class Writer(Protocol):
    """What the dataflow writes with. Every write is an upsert: again, or late, it changes nothing that is newer."""

    @property
    def store_id(self) -> str:
        """What tells this store from another one at the same place."""

    def write(self, rows: ScoredRows) -> None:
        """Take rows; they may be held back until `flush`."""

    def write_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters; they may be held back until `flush`."""

    def flush(self) -> None:
        """Return once all that was taken is durable.

        Raises:
            StoreError: it cannot be made durable.
        """

    def close(self) -> None:
        """Let go of the store; what was not flushed may be lost."""


class Reader(Protocol):
    """What the app reads with; it works on an empty store, and while the store is written."""

    def curve(self, user_id: str, start: int | None = None, end: int | None = None, limit: int = 2_000) -> list[Point]:
        """The user's newest `limit` points with start <= event_time <= end (ms), oldest first, in sequence order."""

    def latest(self, user_ids: Sequence[str]) -> list[Latest]:
        """Where the given users stood after their newest events; users that are not known are left out."""

    def most_likely(self, count: int, since: int | None = None) -> list[Latest]:
        """The users with the greatest propensity after their newest event, greatest first.

        With `since` (ms), only those whose newest event is not before it.
        """

    def most_recent(self, count: int) -> list[Latest]:
        """The users with the newest events, newest first."""

    def search(self, prefix: str, count: int) -> list[str]:
        """User ids that start with `prefix`, in order."""

    def summary(self) -> Summary:
        """What the store holds."""

    def dead_letters(self, count: int) -> list[DeadLetter]:
        """Dead letters in the order of their keys, at the most `count`."""

    def close(self) -> None:
        """Let go of the store."""
