"""Reads the tables of Cassandra."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from itertools import groupby
from typing import Any

import numpy as np
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.query import PreparedStatement
from numpy.typing import NDArray

from schemas.dead_letters import DeadLetter
from schemas.errors import StoreError
from schemas.flow_status import FlowStatus
from schemas.grades import Grade
from schemas.stored_models import StoredModel
from stores.answers import Conversion, CreditSum, Latest, Point, Score, Share, Summary
from stores.cassandra.address import CassandraAddress
from stores.cassandra.driver_errors import store_errors
from stores.cassandra.session import SharedSession, open_session
from stores.cassandra.tables import PROCESS, grades_of, models_of, ready_tables
from stores.cassandra.writer import BLOCK
from stores.row_columns import LATEST, POINT, SCORE
from stores.row_rules import CreditSums, in_sequence, times_between
from stores.searching import begins_so

_LONGEST_ID = 1_024
_PAGE = 5_000
"""Rows of a page of results."""
_LARGE_PAGE = 500
"""The same for rows that contain lists."""
_CONCURRENT = 32
"""Queries in flight at once."""
_AT_ONCE = 25
"""Users per query."""


def _selected(names: Iterable[str]) -> str:
    """Columns of a SELECT; times in ms since 1970."""
    return ", ".join("toUnixTimestamp(event_time)" if name == "event_time" else name for name in names)


_TIME, _EVENT_ID, _PROPENSITY = map(POINT.index, ("event_time", "event_id", "propensity"))
_CREDIT = "toUnixTimestamp(event_time), event_key, revenue, model_id, part, toUnixTimestamp(order_time), credits"
_CREDITED = "toUnixTimestamp(order_time), part, revenue, credits"
_LETTER = "source, partition, offset, reason, detail, payload"


@dataclass(frozen=True, slots=True)
class _Users:
    """All users, with time and propensity of each one's newest event."""

    ids: NDArray[np.object_]
    times: NDArray[np.int64]
    propensities: NDArray[np.float64]


_Block = tuple[tuple[str, int, int], int]
"""The key of a block of dead letters, and their number."""


class CassandraReader:
    """Reads through the process's one session.

    A user's curve and latest row are current. Queries over all users use a view of all (see `scans`): current in stores
    of up to 10,000 users, of the last scan in larger ones; the latest rows of the users found are again current.

    Args:
        address: the keyspace; the reader waits for its tables.

    Raises:
        StoreError: the cluster cannot be used, or has no tables; the message names the setting.

    >>> CassandraReader(CassandraAddress(("no-such-host.invalid",)))
    Traceback (most recent call last):
    schemas.errors.StoreError: ADSTREAMS_CASSANDRA_HOSTS: no address is known for no-such-host.invalid
    """

    def __init__(self, address: CassandraAddress) -> None:
        self._address = address
        self._shared: SharedSession = open_session(address)
        try:
            ready_tables(self._shared, first=False)
            self._prepare()
        except BaseException:
            self._shared.close()
            raise
        self._closed = False
        self._is_abandoned: Callable[[], bool] = lambda: False
        self._users = self._shared.scan("users", self._scan_users, lambda users: len(users.ids))
        self._sums = self._shared.scan("credits", self._scan_credits, lambda sums: sums.shares)
        self._blocks = self._shared.scan("letters", self._scan_blocks, lambda blocks: sum(each for _, each in blocks))

    def _prepare(self) -> None:
        place = "source = ? AND partition = ? AND block = ?"
        self._curve = self._select(
            _selected(POINT), "propensity_by_user", "WHERE user_id = ? AND event_time >= ? AND event_time <= ?"
        )
        self._latest = self._select(
            _selected(LATEST),
            "latest_propensity",
            "WHERE user_id IN ?",
        )
        self._all_users = self._select("user_id, toUnixTimestamp(event_time), propensity", "latest_propensity")
        self._all_letters = self._select("source, partition, block", "dead_letters")
        self._block = self._select(_LETTER, "dead_letters", f"WHERE {place}")
        self._letter = self._select(_LETTER, "dead_letters", f"WHERE {place} AND offset = ?")
        self._whole_letters = self._select(_LETTER, "dead_letters")
        self._scores = self._select(_selected(SCORE), "propensity_by_user", "WHERE user_id = ?")
        times = "WHERE user_id = ? AND event_time >= ? AND event_time <= ?"
        self._credits = self._select(_CREDIT, "conversion_credit", times)
        self._all_credits = self._select(_CREDITED, "conversion_credit")
        self._statuses = self._select("name, id", "store")
        self._provenance = self._select("id", "store", "WHERE name = 'provenance'")
        self._version = self._select("version", "latest_propensity", "WHERE user_id = ?")

    def stop_when(self, is_abandoned: Callable[[], bool]) -> None:
        """Send no more queries once `is_abandoned` returns true; scans, which others wait for too, continue."""
        self._is_abandoned = is_abandoned

    def _check(self) -> None:
        if self._is_abandoned():
            raise StoreError("the query was abandoned")

    def _select(self, columns: str, table: str, rest: str = "") -> PreparedStatement:
        return self._shared.prepare(f"SELECT {columns} FROM {self._address.keyspace}.{table} {rest}")

    def _ask(self, statement: PreparedStatement, values: Sequence[object] = (), page: int = _PAGE) -> Iterable[Any]:
        bound = statement.bind(values)
        bound.fetch_size = page
        with store_errors(self._address):
            yield from self._shared.session.execute(bound)

    def _ask_all(self, statement: PreparedStatement, values: Iterable[Sequence[object]]) -> Iterable[Any]:
        for rows in self._answers(statement, values):
            yield from rows

    def _answers(self, statement: PreparedStatement, values: Iterable[Sequence[object]]) -> Iterable[list[Any]]:
        """The rows of each query, in the order of the queries; few are held at once."""
        with store_errors(self._address):
            answers = execute_concurrent_with_args(
                self._shared.session, statement, values, concurrency=_CONCURRENT, results_generator=True
            )
            for _, rows in answers:
                self._check()
                yield list(rows)

    def curve(self, user_id: str, start: int | None = None, end: int | None = None, limit: int = 2_000) -> list[Point]:
        """The user's newest points between two times, oldest first."""
        self._check()
        if limit <= 0 or not _may_be(user_id):
            return []
        points: list[Point] = []
        # Newest first, but keys of one instant in their own order: it is read to its end before it is cut.
        for row in self._ask(self._curve, (user_id, *times_between(start, end)), min(limit + 16, _PAGE)):
            if len(points) >= limit and row[_TIME] != points[-1].event_time:
                break
            if row[_EVENT_ID] is not None and row[_PROPENSITY] is not None:
                points.append(_point(row))
        return in_sequence(points)[-limit:]

    def latest(self, user_ids: Sequence[str]) -> list[Latest]:
        """The latest rows of the given users."""
        self._check()
        asked = sorted({user_id for user_id in user_ids if _may_be(user_id)})
        questions = [(asked[first : first + _AT_ONCE],) for first in range(0, len(asked), _AT_ONCE)]
        found = (_latest(*row) for row in self._ask_all(self._latest, questions))
        return sorted(found, key=lambda latest: latest.user_id)

    def most_likely(self, count: int, since: int | None = None) -> list[Latest]:
        """The users with the greatest propensity after their newest event, of those active since some time."""
        users = self._users.view()
        active = np.arange(len(users.ids)) if since is None else np.flatnonzero(users.times >= since)
        found = self.latest(_greatest(users.ids[active], users.propensities[active], count))
        return sorted(found, key=lambda latest: -latest.propensity)

    def most_recent(self, count: int) -> list[Latest]:
        """The users with the newest events."""
        users = self._users.view()
        return sorted(self.latest(_greatest(users.ids, users.times, count)), key=lambda latest: -latest.event_time)

    def search(self, prefix: str, count: int) -> list[str]:
        """User ids that start with a prefix in any case."""
        pattern = begins_so(prefix)
        found = (user_id for user_id in self._users.view().ids if pattern.match(user_id))
        return nsmallest(count, found, key=lambda user_id: (not user_id.startswith(prefix), user_id))

    def summary(self) -> Summary:
        """How much the keyspace holds."""
        users, blocks = self._users.view(), self._blocks.view()
        newest = int(users.times.max()) if len(users.times) else None
        return Summary(len(users.ids), newest, sum(count for _, count in blocks))

    def dead_letters(self, count: int) -> list[DeadLetter]:
        """Dead letters in the order of their keys."""
        keys, left = [], count
        for key, letters in self._blocks.view():
            if left <= 0:
                break
            keys.append(key)
            left -= letters
        return [DeadLetter(*row) for row in self._ask_all(self._block, keys)][: max(count, 0)]

    def dead_letter(self, source: str, partition: int, offset: int) -> DeadLetter | None:
        """The dead letter of one place."""
        rows = self._ask(self._letter, (source, partition, offset // BLOCK, offset))
        return next((DeadLetter(*row) for row in rows), None)

    def each_dead_letter(self) -> Iterator[DeadLetter]:
        """All dead letters as they are now."""
        return (DeadLetter(*row) for row in self._ask(self._whole_letters))

    def user_ids(self) -> list[str]:
        """The ids of all users."""
        found: list[str] = self._users.view().ids.tolist()
        return found

    def scores(self, user_ids: Sequence[str]) -> Iterator[list[Score]]:
        """All stored scores of each given user."""
        questions = [(user_id,) for user_id in user_ids]
        for rows in self._answers(self._scores, questions):
            yield in_sequence(score for score in map(Score._make, rows) if None not in score)

    def credits(self, user_id: str, start: int | None = None, end: int | None = None) -> list[Conversion]:
        """The user's conversions between two times, and their credit."""
        if not _may_be(user_id):
            return []
        times = times_between(start, end)
        found = [
            Conversion(time, key, revenue, model_id, part, order_time, tuple(map(Share._make, shares)))
            for time, key, revenue, model_id, part, order_time, shares in self._ask(self._credits, (user_id, *times))
            if revenue is not None and shares is not None
        ]
        return sorted(found, key=lambda each: (each.event_time, each.event_key))

    def credit_sums(self, start: int | None = None, end: int | None = None) -> list[CreditSum]:
        """Sums over the conversions of all users, from a view of them."""
        return self._sums.view().between(start, end)

    def grades(self) -> list[Grade]:
        """The grades of all models."""
        return sorted(grades_of(self._shared), key=lambda grade: (grade.model_id, grade.kind, grade.day))

    def models(self) -> list[StoredModel]:
        """The models that rows are scored by."""
        return models_of(self._shared)

    def statuses(self) -> list[FlowStatus]:
        """The last status of each process."""
        found = [FlowStatus.from_json(text) for name, text in self._ask(self._statuses) if name.startswith(PROCESS)]
        return sorted(found, key=lambda status: status.process)

    def provenance(self) -> str | None:
        """What filled the keyspace."""
        return next((row[0] for row in self._ask(self._provenance)), None)

    def version(self, user_id: str) -> int | None:
        """The version of the user's latest row."""
        rows = self._ask(self._version, (user_id,)) if _may_be(user_id) else ()
        return next((row[0] for row in rows), None)

    def _scan_users(self) -> _Users:
        ids, times, propensities = list[str](), array("q"), array("d")
        for user_id, event_time, propensity in self._ask(self._all_users):
            ids.append(user_id)
            times.append(event_time)
            propensities.append(propensity)
        known = np.empty(len(ids), np.object_)
        known[:] = ids
        return _Users(known, np.array(times, np.int64), np.array(propensities, np.float64))

    def _scan_credits(self) -> CreditSums:
        sums = CreditSums()
        for order_time, part, revenue, shares in self._ask(self._all_credits, page=_LARGE_PAGE):
            if revenue is not None and shares is not None:
                sums.add(order_time, part, revenue, shares)
        return sums

    def _scan_blocks(self) -> list[_Block]:
        # Counted here: the server warns of counting on its side. Rows of a block come together.
        return sorted((key, sum(1 for _ in letters)) for key, letters in groupby(self._ask(self._all_letters)))

    def close(self) -> None:
        """Release the session."""
        if not self._closed:
            self._closed = True
            self._shared.close()


def _may_be(user_id: str) -> bool:
    """Whether a user can have this id; Cassandra refuses keys that are empty or very long."""
    return 0 < len(user_id.encode()) <= _LONGEST_ID


def _point(row: Sequence[Any]) -> Point:
    """A row of propensity_by_user; it has no value in columns that were added after it was written."""
    return Point(**{name: value for name, value in zip(POINT, row, strict=True) if value is not None})


def _latest(*row: Any) -> Latest:
    """A row of latest_propensity, which has an empty name where there is no action."""
    found = Latest(**dict(zip(LATEST, row, strict=True)))
    return found if found.best_action else replace(found, best_action=None, gain=None, net=None)


def _greatest(ids: NDArray[np.object_], values: NDArray[Any], count: int) -> list[str]:
    """The ids with the `count` greatest values."""
    if count < len(ids):
        ids = ids[np.argpartition(-values, count)[:count]]
    found: list[str] = ids.tolist()
    return found
