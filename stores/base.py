"""The interface of a store: writing for the dataflow, reading for the app and people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, Protocol

from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure
from schemas.flow_status import FlowStatus
from schemas.grades import Grade
from schemas.scored import Propensity, ScoredRows
from schemas.stored_models import StoredModel


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
    """Where a user stood right after the newest event, and what was most worth doing then, None where nothing was.

    `gain` is by how much that would raise the propensity, `net` what that is worth less its cost. Nothing may be tried
    on a user of the `hold_out`.
    """

    user_id: str
    event_time: int
    event_type: str
    propensity: float
    seen: int
    model_id: str
    best_action: str | None = None
    gain: float | None = None
    net: float | None = None
    hold_out: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """What a store holds. `newest` is the newest event time in ms, None in an empty store."""

    users: int
    newest: int | None
    dead_letters: int


class Score(NamedTuple):
    """What is stored of an event that grades are made of. `event_time` is in ms since 1970."""

    event_time: int
    event_key: int
    event_type: str
    campaign: str
    revenue: float
    propensity: float
    seen: int
    model_id: str


class Share(NamedTuple):
    """What a touch has of a conversion, by each of `schemas.credits.RULES`; the last of a conversion is the baseline's.

    `touch_time` is in ms since 1970, `type` the code of a touch. The baseline's type and campaign are empty, its time
    and key 0.
    """

    touch_time: int
    touch_key: int
    type: str
    campaign: str
    credit: float
    last: float
    first: float
    linear: float
    time_decay: float
    position: float


@dataclass(frozen=True, slots=True)
class Conversion:
    """A conversion event and the shares in it, touches oldest first; by each rule they sum up to 1.

    `part` is one of `schemas.credits.PARTS`: what the event is to its order, which began at `order_time`; of an item
    and a refund the shares are the order's. Times in ms since 1970.
    """

    event_time: int
    event_key: int
    revenue: float
    model_id: str
    part: str
    order_time: int
    shares: tuple[Share, ...]


class CreditSum(NamedTuple):
    """What the touches of a campaign and type have of the orders of a UTC day (`2017-06-22`).

    Conversions, which are orders, and revenue, less what refunds of them took back, by each of
    `schemas.credits.RULES`. What is the baseline's has no campaign and no type.
    """

    day: str
    campaign: str
    type: str
    conversions: tuple[float, ...]
    revenue: tuple[float, ...]


_DAY = 86_400_000


def day_of(time: int) -> str:
    """The UTC day of a time in ms since 1970, as in `2017-06-22`; before and behind all days the first and the last.

    >>> day_of(1_498_089_600_000)
    '2017-06-22'
    """
    day = date(1970, 1, 1).toordinal() + time // _DAY
    return date.fromordinal(min(max(day, 1), date.max.toordinal())).isoformat()


class Writer(Protocol):
    """What the dataflow writes with. Every write is an upsert: again, or late, it changes nothing that is newer.

    What is computed goes by version. An event's body goes by a rule of its own, because a conflict must end the same
    whatever came first: the greater type's is shown; of one type, each field by itself has its greater value, in the
    order of its bytes: UTF-8 for texts, big-endian for numbers, so that negative ones are above the others.
    """

    @property
    def push_interval(self) -> float:
        """Seconds within which what is held should be pushed."""

    @property
    def store_id(self) -> str:
        """What tells this store from another one at the same place."""

    def write(self, rows: ScoredRows) -> None:
        """Take rows; they may be held back until `push` or `flush`.

        This, `push` and `flush` may wait until the store keeps up.

        Raises:
            StoreError: something that was taken before cannot be made durable.
        """

    def write_latest(self, rows: Sequence[Propensity]) -> None:
        """Take where users stand, as the propensity topic tells it; the newest version of a user stays."""

    def write_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters."""

    def clear_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters that are to go; those taken after this stay."""

    def write_grades(self, grades: Sequence[Grade]) -> None:
        """Take grades; of one key the greatest version stays."""

    def grades(self) -> list[Grade]:
        """The grades of all models that are durable, in no order. Any thread may ask.

        Raises:
            StoreError: the store does not answer.
        """

    def erase(self, erasures: Sequence[Erasure]) -> None:
        """Take erasures: they are noted, and where the user's id is given all rows up to their times go.

        Rows that are taken later stay, if their versions are those of later events.
        """

    def erasures(self) -> list[Erasure]:
        """All that was noted, by the users' hashes alone. Any thread may ask.

        Raises:
            StoreError: the store does not answer.
        """

    def models(self) -> list[StoredModel]:
        """The models that were added, in the order of the times from which on they are valid. Any thread may ask.

        Raises:
            StoreError: the store does not answer.
        """

    def add_model(self, model: StoredModel) -> None:
        """Add a model, durably, unless there is one that is valid from the same time. Any thread may.

        Raises:
            StoreError: it cannot be written.
        """

    def remove_model(self, model: StoredModel) -> None:
        """Remove the model that is valid from the same time, durably. Any thread may.

        Raises:
            StoreError: it cannot be written.
        """

    def push(self) -> None:
        """Begin to write what is held, so that readers see it soon.

        Raises:
            StoreError: something that was taken before cannot be made durable.
        """

    def flush(self) -> None:
        """Return once all that was taken is durable.

        Raises:
            StoreError: it cannot be made durable.
        """

    def note_status(self, status: FlowStatus) -> None:
        """Note durably how a process of the flow is, in place of what it said before. Any thread may ask.

        Raises:
            StoreError: it cannot be written.
        """

    def close(self) -> None:
        """Let go of the store; what was not flushed may be lost."""


class NotedWriter(Writer, Protocol):
    """A writer of a store that keeps what fills it. Any thread may ask."""

    def provenance(self) -> str | None:
        """What filled the store, as `note_provenance` was given it last; None where nobody said.

        Raises:
            StoreError: the store does not answer.
        """

    def note_provenance(self, text: str, before: str | None) -> None:
        """Note durably what fills the store, unless what is noted is no longer `before`.

        Raises:
            StoreError: it cannot be written.
        """

    def is_empty(self) -> bool:
        """Whether the store holds no event, no user and no dead letter; what was not flushed does not count.

        Raises:
            StoreError: the store does not answer.
        """


class Reader(Protocol):
    """What the app reads with; it works on an empty store, and while the store is written.

    Each method, and each iterator that one gives:

    Raises:
        StoreError: the store does not answer, is damaged, or was replaced.
    """

    def stop_when(self, is_abandoned: Callable[[], bool]) -> None:
        """Give up, with a `StoreError`, what is asked of this reader from now on once `is_abandoned` says so."""

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
        """User ids that start with `prefix` in any case of its letters: those spelt so first, each in order."""

    def summary(self) -> Summary:
        """What the store holds."""

    def dead_letters(self, count: int) -> list[DeadLetter]:
        """Dead letters in the order of their keys, at the most `count`."""

    def dead_letter(self, source: str, partition: int, offset: int) -> DeadLetter | None:
        """The dead letter of one place, None where there is none."""

    def each_dead_letter(self) -> Iterator[DeadLetter]:
        """All dead letters as they are now, in no order."""

    def user_ids(self) -> list[str]:
        """The ids of all users, in no order."""

    def scores(self, user_ids: Sequence[str]) -> Iterator[list[Score]]:
        """All that is stored of each of the given users, in their order; a user's in sequence order."""

    def credits(self, user_id: str, start: int | None = None, end: int | None = None) -> list[Conversion]:
        """The user's conversion events with start <= event_time <= end (ms), oldest first."""

    def credit_sums(self, start: int | None = None, end: int | None = None) -> list[CreditSum]:
        """Sums over the orders of all users, in the order of day, campaign and type.

        As all answers over all users they may be as old as a scan of a large store in Cassandra (see `scans`).

        Those of the UTC days from that of `start` to that of `end` (ms), whole days.
        """

    def grades(self) -> list[Grade]:
        """The grades of all models, ordered by model_id, kind and day."""

    def models(self) -> list[StoredModel]:
        """The models by which rows are scored, in the order of the times from which on they are valid."""

    def provenance(self) -> str | None:
        """What filled the store, as `schemas.provenance` writes it; None where nobody said."""

    def statuses(self) -> list[FlowStatus]:
        """What the processes of the flow said last, by their numbers; those of a flow before may be among them."""

    def version(self, user_id: str) -> int | None:
        """The version of where a user stands, None where the user is not known."""

    def close(self) -> None:
        """Let go of the store."""
