"""What a store is: a few small protocols for writing, used by the dataflow, and for reading, used by the app and jobs.

A new store implements them, passes the conformance suite (`tests/stores/conformance`) and gets one entry in
`stores.store_registry`. `stores.held_rows` and `stores.row_rules` have what all stores share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure
from schemas.flow_status import FlowStatus
from schemas.grades import Grade
from schemas.scored import Propensity, ScoredRows
from schemas.stored_models import StoredModel
from stores.answers import Conversion, CreditSum, Latest, Point, Score, Summary

# Writing


class Delivery(Protocol):
    """When what a writer was given becomes visible and durable.

    `write`, `write_latest`, `write_dead_letters`, `clear_dead_letters`, `write_grades` and `erase` may hold back what
    they are given until `push` or `flush`; they and these two may block until the store keeps up. All of them:

    Raises:
        StoreError: something that was given before cannot be made durable.

    >>> from stores.memory import MemoryStore
    >>> writer = MemoryStore().writer()
    >>> writer.push_interval, len(writer.store_id)
    (1.0, 32)
    """

    @property
    def push_interval(self) -> float:
        """Seconds within which held rows should be pushed."""

    @property
    def store_id(self) -> str:
        """Identifies this store; another one made later at the same place has another id."""

    def push(self) -> None:
        """Start writing held rows, so that readers see them soon."""

    def flush(self) -> None:
        """Return once everything given so far is durable."""

    def close(self) -> None:
        """Release the store; rows that were not flushed may be lost."""


class ScoreWriter(Protocol):
    """Takes scored rows. Every write is an upsert: repeated or late, it changes nothing that is newer.

    Computed values go by version. An event's body follows a rule of its own, because a conflict must end the same
    whatever the order of arrival: the body of the greater type is shown; of one type, each column by itself has its
    greater value, in the order of its bytes (UTF-8 for texts, big-endian for numbers, so that negative ones are above
    the others). See `stores.row_rules`.

    >>> from stores.memory import MemoryStore
    >>> store = MemoryStore()
    >>> rows = [Propensity("ann", 0, 1, "e1", "CL", 0.25, 1, version, "m") for version in (2, 1)]
    >>> store.writer().write_latest(rows)
    >>> store.reader().version("ann")
    2
    """

    def write(self, rows: ScoredRows) -> None:
        """Take rows, and the credit of their conversions."""

    def write_latest(self, rows: Sequence[Propensity]) -> None:
        """Take users' latest rows, as the propensity topic has them; the newest version of a user stays."""


class LetterWriter(Protocol):
    """Takes dead letters, in the order of the calls.

    >>> from stores.memory import MemoryStore
    >>> store, letter = MemoryStore(), DeadLetter("events", 0, 7, "missing", "no user_id", b"{}")
    >>> store.writer().write_dead_letters([letter])
    >>> store.writer().clear_dead_letters([letter])
    >>> store.reader().dead_letters(10)
    []
    """

    def write_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters; one of the same place replaces the former one."""

    def clear_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Delete dead letters, by their places; those written after this call stay."""


class ErasureWriter(Protocol):
    """Erases users.

    >>> from stores.memory import MemoryStore
    >>> writer = MemoryStore().writer()
    >>> writer.erase([Erasure.of("user-17", until=5), Erasure.of("user-17", until=3)])
    >>> writer.erasures()
    [Erasure(user_hash=9048858901848095873, until=5, user_id=None)]
    """

    def erase(self, erasures: Sequence[Erasure]) -> None:
        """Record erasures; where the user's id is given, delete all rows up to their times.

        Rows that are taken later stay if their versions are those of later events.
        """

    def erasures(self) -> list[Erasure]:
        """All recorded erasures, of each user the latest, by the users' hashes alone. Thread-safe.

        Raises:
            StoreError: the store does not answer.
        """


class ModelWriter(Protocol):
    """Keeps the models that rows are scored by. Its methods are thread-safe and durable when they return.

    Each method:

    Raises:
        StoreError: the store does not answer.

    >>> from stores.memory import MemoryStore
    >>> writer = MemoryStore().writer()
    >>> for model_id in ("seed", "rival"):
    ...     writer.add_model(StoredModel(0, model_id, "{}"))
    >>> [model.model_id for model in writer.models()]
    ['seed']
    """

    def models(self) -> list[StoredModel]:
        """The models, ordered by the times from which they are valid."""

    def add_model(self, model: StoredModel) -> None:
        """Add a model, unless there is one that is valid from the same time."""

    def remove_model(self, model: StoredModel) -> None:
        """Remove the model of this id that is valid from the same time."""


class GradeWriter(Protocol):
    """Keeps the grades of models.

    >>> from stores.memory import MemoryStore
    >>> writer = MemoryStore().writer()
    >>> for version in (2, 1):
    ...     writer.write_grades([Grade("m", "event", "all", "model", 10, 2, 1, graded_until=0, version=version)])
    >>> [grade.version for grade in writer.grades()]
    [2]
    """

    def write_grades(self, grades: Sequence[Grade]) -> None:
        """Take grades; of one key the greatest version stays."""

    def grades(self) -> list[Grade]:
        """The durable grades of all models, in no order. Thread-safe.

        Raises:
            StoreError: the store does not answer.
        """


class StatusWriter(Protocol):
    """Keeps the status of each process of the flow.

    >>> from stores.memory import MemoryStore
    >>> store = MemoryStore()
    >>> store.writer().note_status(FlowStatus(0, 1, "host", 7, started=0, beat=5))
    >>> [status.beat for status in store.reader().statuses()]
    [5]
    """

    def note_status(self, status: FlowStatus) -> None:
        """Replace the process's status, durably. Thread-safe.

        Raises:
            StoreError: the store does not answer.
        """


class ProvenanceWriter(Protocol):
    """Keeps what fills the store. Its methods are thread-safe.

    Each method:

    Raises:
        StoreError: the store does not answer.

    >>> from stores.memory import MemoryStore
    >>> writer = MemoryStore().writer()
    >>> writer.note_provenance("this flow", before=None)
    >>> writer.note_provenance("another flow", before=None)
    >>> writer.provenance(), writer.is_empty()
    ('this flow', True)
    """

    def provenance(self) -> str | None:
        """The recorded text; None where there is none."""

    def note_provenance(self, text: str, before: str | None) -> None:
        """Record durably what fills the store, unless the record is no longer `before`."""

    def is_empty(self) -> bool:
        """Whether the store holds no event, no user and no dead letter; unflushed rows do not count."""


class Writer(
    Delivery,
    ScoreWriter,
    LetterWriter,
    ErasureWriter,
    ModelWriter,
    GradeWriter,
    StatusWriter,
    ProvenanceWriter,
    Protocol,
):
    """A store opened for writing.

    >>> from stores.memory import MemoryStore
    >>> writer: Writer = MemoryStore().writer()
    >>> writer.flush()
    >>> writer.close()
    """


# Reading


class CurveReader(Protocol):
    """Reads users: their events, their latest rows, and who they are.

    >>> from stores.memory import MemoryStore
    >>> store = MemoryStore()
    >>> store.writer().write_latest([Propensity("Ann", 0, 1, "e1", "CL", 0.25, 1, 2, "m")])
    >>> reader = store.reader()
    >>> reader.search("an", 10), [latest.propensity for latest in reader.most_likely(10)]
    (['Ann'], [0.25])
    """

    def curve(self, user_id: str, start: int | None = None, end: int | None = None, limit: int = 2_000) -> list[Point]:
        """The user's newest `limit` points with start <= event_time <= end (ms), oldest first, in sequence order."""

    def latest(self, user_ids: Sequence[str]) -> list[Latest]:
        """The latest rows of the given users, in no order; unknown users are left out."""

    def most_likely(self, count: int, since: int | None = None) -> list[Latest]:
        """The users with the greatest propensity after their newest event, greatest first.

        With `since` (ms), only those whose newest event is not before it.
        """

    def most_recent(self, count: int) -> list[Latest]:
        """The users with the newest events, newest first."""

    def search(self, prefix: str, count: int) -> list[str]:
        """User ids that start with `prefix` in any case of its letters; exact spellings first, each group in order."""

    def user_ids(self) -> list[str]:
        """The ids of all users, in no order."""

    def scores(self, user_ids: Sequence[str]) -> Iterator[list[Score]]:
        """All stored scores of each given user, in the order of the users; a user's in sequence order."""

    def version(self, user_id: str) -> int | None:
        """The version of the user's latest row; None for an unknown user."""

    def summary(self) -> Summary:
        """How much the store holds."""


class LetterReader(Protocol):
    """Reads dead letters.

    >>> from stores.memory import MemoryStore
    >>> store = MemoryStore()
    >>> store.writer().write_dead_letters([DeadLetter("events", 0, 7, "missing", "no user_id", b"{}")])
    >>> store.reader().dead_letter("events", 0, 7).detail
    'no user_id'
    """

    def dead_letters(self, count: int) -> list[DeadLetter]:
        """At most `count` dead letters, in the order of their keys."""

    def dead_letter(self, source: str, partition: int, offset: int) -> DeadLetter | None:
        """The dead letter of one place; None where there is none."""

    def each_dead_letter(self) -> Iterator[DeadLetter]:
        """All dead letters as they are now, in no order."""


class CreditReader(Protocol):
    """Reads what conversions are credited to.

    >>> from stores.memory import MemoryStore
    >>> reader = MemoryStore().reader()
    >>> reader.credits("ann"), reader.credit_sums()
    ([], [])
    """

    def credits(self, user_id: str, start: int | None = None, end: int | None = None) -> list[Conversion]:
        """The user's conversion events with start <= event_time <= end (ms), oldest first."""

    def credit_sums(self, start: int | None = None, end: int | None = None) -> list[CreditSum]:
        """Sums over the orders of all users, ordered by day, campaign and type.

        They cover whole UTC days, from that of `start` to that of `end` (ms). In a large Cassandra store they may be as
        old as the last scan (see `scans`), like all answers over all users.
        """


class TableReader(Protocol):
    """Reads the small tables.

    >>> from stores.memory import MemoryStore
    >>> reader = MemoryStore().reader()
    >>> reader.models(), reader.grades(), reader.statuses(), reader.provenance()
    ([], [], [], None)
    """

    def models(self) -> list[StoredModel]:
        """The models that rows are scored by, ordered by the times from which they are valid."""

    def grades(self) -> list[Grade]:
        """The grades of all models, ordered by model_id, kind and day."""

    def statuses(self) -> list[FlowStatus]:
        """The last status of each process, by process number; those of a former flow may be among them."""

    def provenance(self) -> str | None:
        """What filled the store, as `schemas.provenance` writes it; None where it is not recorded."""


class Reader(CurveReader, LetterReader, CreditReader, TableReader, Protocol):
    """A store opened for reading. It works on an empty store, and while the store is written.

    Each method, and each iterator that one returns:

    Raises:
        StoreError: the store does not answer, is damaged, or was replaced.

    >>> from stores.memory import MemoryStore
    >>> reader: Reader = MemoryStore().reader()
    >>> reader.curve("ann"), reader.summary().users
    ([], 0)
    >>> reader.close()
    """

    def stop_when(self, is_abandoned: Callable[[], bool]) -> None:
        """Abort later queries of this reader, with a `StoreError`, once `is_abandoned` returns true."""

    def close(self) -> None:
        """Release the store."""
