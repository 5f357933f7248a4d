"""A store in the memory of this process, for tests and benchmarks: nothing of it is durable."""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from heapq import nlargest, nsmallest
from typing import Any

from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure
from schemas.flow_status import FlowStatus
from schemas.grades import Grade
from schemas.scored import Propensity, ScoredRows
from schemas.stored_models import StoredModel
from stores.answers import Conversion, CreditSum, Latest, Point, Score, Share, Summary
from stores.held_rows import Credited, HeldRows
from stores.row_columns import BODY, COMPUTED, KEY, LATEST, LATEST_ROW
from stores.row_rules import CreditSums, in_sequence, merged, times_between
from stores.searching import begins_so

_BODY_ENDS = len(KEY) + len(BODY)
_VERSION = COMPUTED.index("version")


class _Row:
    """An event: its body, the type first, and its score (`COMPUTED`)."""

    __slots__ = ("body", "score")

    def __init__(self, body: tuple[Any, ...], score: tuple[Any, ...]) -> None:
        self.body, self.score = body, score

    def rescore(self, score: tuple[Any, ...]) -> None:
        """Take a score, except one of a smaller version."""
        if score[_VERSION] >= self.score[_VERSION]:
            self.score = score


class MemoryStore:
    """The tables, and what opens them. Any number of writers and readers of the process may use them, in any thread.

    >>> store = MemoryStore()
    >>> store.writer().write_dead_letters([DeadLetter("events", 0, 7, "missing", "no user_id", b"{}")])
    >>> store.reader().summary()
    Summary(users=0, newest=None, dead_letters=1)
    """

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.lock = threading.RLock()
        self.rows = defaultdict[str, dict[tuple[int, int], _Row]](dict)
        self.latest = dict[str, dict[str, Any]]()
        self.credited = defaultdict[str, dict[tuple[int, int], Credited]](dict)
        self.letters = dict[tuple[str, int, int], DeadLetter]()
        self.erasures = dict[int, int]()
        self.models = dict[int, StoredModel]()
        self.grades = dict[tuple[str, str, str], Grade]()
        self.statuses = dict[int, FlowStatus]()
        self.provenance: str | None = None

    def writer(self) -> MemoryWriter:
        """Open the store for writing."""
        return MemoryWriter(self)

    def reader(self) -> MemoryReader:
        """Open the store for reading."""
        return MemoryReader(self)


class MemoryWriter:
    """Writes at once: what it was given can be read when the call returns.

    Args:
        store: the tables; by default new ones, for whoever only wants to see what a dataflow does.

    >>> from schemas.stored_models import FROM_THE_BEGINNING
    >>> writer = MemoryWriter()
    >>> writer.add_model(StoredModel(FROM_THE_BEGINNING, "seed", "{}"))
    >>> [model.model_id for model in writer.models()], writer.is_empty()
    (['seed'], True)
    """

    push_interval = 1.0
    """Seconds; nothing is held."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()

    @property
    def store_id(self) -> str:
        """Identifies the store."""
        return self.store.id

    def write(self, rows: ScoredRows) -> None:
        """Take rows."""
        held, store = HeldRows(), self.store
        held.take(rows)
        with store.lock:
            self._drop_erased(held)
            for row in held.full:
                self._upsert(row)
            for user, time, key, *body in held.rivals:
                shown = store.rows[user].get((time, key))
                if shown is not None:
                    shown.body = merged(shown.body, body)
            for user, time, key, *score in held.again:
                shown = store.rows[user].get((time, key))
                if shown is not None:
                    shown.rescore(tuple(score))
            for (user, time, key), credited in held.credited.items():
                before = store.credited[user].get((time, key))
                if before is None or credited.version >= before.version:
                    store.credited[user][time, key] = credited
            self._stand(held)

    def _drop_erased(self, held: HeldRows) -> None:
        known = self.store.erasures
        if known:
            held.drop_erased(lambda hashes: {each: known[each] for each in hashes if each in known})

    def _upsert(self, row: tuple[Any, ...]) -> None:
        """Insert an event, or merge its body with the stored one; its score goes by version."""
        user, time, key = row[: len(KEY)]
        body, score = row[len(KEY) : _BODY_ENDS], row[_BODY_ENDS:]
        held = self.store.rows[user].get((time, key))
        if held is None:
            self.store.rows[user][time, key] = _Row(body, score)
        else:
            held.body = merged(held.body, body)
            held.rescore(score)

    def _stand(self, held: HeldRows) -> None:
        for user, row in held.latest.items():
            new, before = dict(zip(LATEST_ROW, row, strict=True)), self.store.latest.get(user)
            if before is None or new["version"] >= before["version"]:
                self.store.latest[user] = new

    def write_latest(self, rows: Sequence[Propensity]) -> None:
        """Take users' latest rows."""
        held = HeldRows()
        held.take_latest(rows)
        with self.store.lock:
            self._drop_erased(held)
            self._stand(held)

    def write_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters."""
        with self.store.lock:
            self.store.letters |= {letter.place: letter for letter in letters}

    def clear_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Delete dead letters."""
        with self.store.lock:
            for letter in letters:
                self.store.letters.pop(letter.place, None)

    def write_grades(self, grades: Sequence[Grade]) -> None:
        """Take grades."""
        with self.store.lock:
            for grade in grades:
                key = grade.model_id, grade.kind, grade.day
                held = self.store.grades.get(key)
                if held is None or grade.version >= held.version:
                    self.store.grades[key] = grade

    def grades(self) -> list[Grade]:
        """The grades of all models."""
        with self.store.lock:
            return list(self.store.grades.values())

    def erase(self, erasures: Sequence[Erasure]) -> None:
        """Record erasures, and delete the users' rows."""
        store = self.store
        with store.lock:
            for each in erasures:
                store.erasures[each.user_hash] = max(each.until, store.erasures.get(each.user_hash, each.until))
                if each.user_id is not None:
                    self._delete(each.user_id, each.until)

    def _delete(self, user: str, until: int) -> None:
        store = self.store
        for table in (store.rows, store.credited):
            kept = {key: row for key, row in table.pop(user, {}).items() if key[0] > until}
            if kept:
                table[user] = kept  # type: ignore[assignment]
        if user in store.latest and store.latest[user]["event_time"] <= until:
            del store.latest[user]

    def erasures(self) -> list[Erasure]:
        """All recorded erasures."""
        with self.store.lock:
            return [Erasure(*each) for each in self.store.erasures.items()]

    def models(self) -> list[StoredModel]:
        """The models."""
        with self.store.lock:
            return [self.store.models[valid_from] for valid_from in sorted(self.store.models)]

    def add_model(self, model: StoredModel) -> None:
        """Add a model."""
        with self.store.lock:
            self.store.models.setdefault(model.valid_from, model)

    def remove_model(self, model: StoredModel) -> None:
        """Remove a model."""
        with self.store.lock:
            held = self.store.models.get(model.valid_from)
            if held is not None and held.model_id == model.model_id:
                del self.store.models[model.valid_from]

    def note_status(self, status: FlowStatus) -> None:
        """Replace a process's status."""
        with self.store.lock:
            self.store.statuses[status.process] = status

    def provenance(self) -> str | None:
        """What filled the store."""
        return self.store.provenance

    def note_provenance(self, text: str, before: str | None) -> None:
        """Record what fills the store, unless that has changed."""
        with self.store.lock:
            if self.store.provenance == before:
                self.store.provenance = text

    def is_empty(self) -> bool:
        """Whether nothing is stored."""
        store = self.store
        return not (any(store.rows.values()) or store.latest or store.letters)

    def push(self) -> None:
        """Nothing is held."""

    def flush(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """The tables stay as long as the store."""


class MemoryReader:
    """Reads the tables; every query sees the newest state.

    >>> MemoryReader(MemoryStore()).curve("u")
    []
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def stop_when(self, is_abandoned: Callable[[], bool]) -> None:
        """No query takes long."""

    def curve(self, user_id: str, start: int | None = None, end: int | None = None, limit: int = 2_000) -> list[Point]:
        """The user's newest points between two times, oldest first."""
        first, last = times_between(start, end)
        found = in_sequence(point for point in self._points(user_id) if first <= point.event_time <= last)
        return found[-limit:] if limit > 0 else []

    def _points(self, user_id: str) -> list[Point]:
        with self._store.lock:
            rows = [(key, row.body, row.score) for key, row in self._store.rows.get(user_id, {}).items()]
        points = []
        for (time, key), body, score in rows:
            values = dict(zip((*BODY, *COMPUTED), (*body, *score), strict=True))
            del values["version"]
            points.append(Point(event_time=time, event_key=key, **values))
        return points

    def latest(self, user_ids: Sequence[str]) -> list[Latest]:
        """The latest rows of the given users."""
        with self._store.lock:
            return [_latest(self._store.latest[each]) for each in sorted({*user_ids} & self._store.latest.keys())]

    def _everybody(self) -> list[Latest]:
        with self._store.lock:
            return list(map(_latest, self._store.latest.values()))

    def most_likely(self, count: int, since: int | None = None) -> list[Latest]:
        """The users with the greatest propensity after their newest event, of those active since some time."""
        active = (each for each in self._everybody() if since is None or each.event_time >= since)
        return nlargest(count, active, key=lambda each: each.propensity)

    def most_recent(self, count: int) -> list[Latest]:
        """The users with the newest events."""
        return nlargest(count, self._everybody(), key=lambda each: each.event_time)

    def search(self, prefix: str, count: int) -> list[str]:
        """User ids that start with a prefix in any case."""
        pattern = begins_so(prefix)
        found = (user_id for user_id in self.user_ids() if pattern.match(user_id))
        return nsmallest(count, found, key=lambda user_id: (not user_id.startswith(prefix), user_id))

    def user_ids(self) -> list[str]:
        """The ids of all users."""
        with self._store.lock:
            return list(self._store.latest)

    def scores(self, user_ids: Sequence[str]) -> Iterator[list[Score]]:
        """All stored scores of each given user."""
        for user_id in user_ids:
            points = in_sequence(self._points(user_id))
            yield [Score(*(getattr(point, name) for name in Score._fields)) for point in points]

    def version(self, user_id: str) -> int | None:
        """The version of the user's latest row."""
        with self._store.lock:
            held = self._store.latest.get(user_id)
        return None if held is None else int(held["version"])

    def summary(self) -> Summary:
        """How much the store holds."""
        users = self._everybody()
        newest = max((each.event_time for each in users), default=None)
        return Summary(len(users), newest, len(self._store.letters))

    def dead_letters(self, count: int) -> list[DeadLetter]:
        """Dead letters in the order of their keys."""
        return nsmallest(count, self.each_dead_letter(), key=lambda letter: letter.place)

    def dead_letter(self, source: str, partition: int, offset: int) -> DeadLetter | None:
        """The dead letter of one place."""
        return self._store.letters.get((source, partition, offset))

    def each_dead_letter(self) -> Iterator[DeadLetter]:
        """All dead letters."""
        with self._store.lock:
            return iter(list(self._store.letters.values()))

    def credits(self, user_id: str, start: int | None = None, end: int | None = None) -> list[Conversion]:
        """The user's conversions between two times, and what they are credited to."""
        first, last = times_between(start, end)
        found = (each for each in self._conversions(user_id) if first <= each.event_time <= last)
        return sorted(found, key=lambda each: (each.event_time, each.event_key))

    def _conversions(self, user_id: str) -> list[Conversion]:
        place = BODY.index("revenue")
        with self._store.lock:
            rows = self._store.rows.get(user_id, {})
            return [
                Conversion(
                    event_time=key[0],
                    event_key=key[1],
                    revenue=rows[key].body[place],
                    model_id=credited.model_id,
                    part=credited.part,
                    order_time=credited.order_time,
                    shares=tuple(map(Share._make, credited.touches)),
                )
                for key, credited in self._store.credited.get(user_id, {}).items()
                if key in rows
            ]

    def credit_sums(self, start: int | None = None, end: int | None = None) -> list[CreditSum]:
        """Sums over the conversions of all users."""
        sums = CreditSums()
        with self._store.lock:
            for user_id in self._store.credited:
                for each in self._conversions(user_id):
                    sums.add(each.order_time, each.part, each.revenue, each.shares)
        return sums.between(start, end)

    def models(self) -> list[StoredModel]:
        """The models that rows are scored by."""
        return MemoryWriter(self._store).models()

    def grades(self) -> list[Grade]:
        """The grades of all models."""
        with self._store.lock:
            return [self._store.grades[key] for key in sorted(self._store.grades)]

    def statuses(self) -> list[FlowStatus]:
        """The last status of each process."""
        with self._store.lock:
            return [self._store.statuses[process] for process in sorted(self._store.statuses)]

    def provenance(self) -> str | None:
        """What filled the store."""
        return self._store.provenance

    def close(self) -> None:
        """The tables stay as long as the store."""


def _latest(row: dict[str, Any]) -> Latest:
    return Latest(**{name: row[name] for name in LATEST})
