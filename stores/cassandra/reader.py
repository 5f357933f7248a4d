"""Reads what is stored in Cassandra."""

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

from schemas.credits import PARTS, RULES
from schemas.dead_letters import DeadLetter
from schemas.errors import StoreError
from schemas.event_types import RANK
from schemas.flow_status import FlowStatus
from schemas.grades import Grade
from schemas.stored_models import StoredModel
from stores.base import Conversion, CreditSum, Latest, Point, Score, Share, Summary, day_of
from stores.cassandra.address import CassandraAddress
from stores.cassandra.driver_errors import plainly
from stores.cassandra.session import SharedSession, open_session
from stores.cassandra.tables import PROCESS, grades_of, models_of, ready_tables
from stores.cassandra.writer import BLOCK
from stores.searching import begins_so

_LONGEST_ID = 1_024
_PAGE = 5_000
"""Rows that a server gives at once."""
_LARGE_PAGE = 500
"""The same of rows that are lists."""
_CONCURRENT = 32
"""Questions on their way at once."""
_AT_ONCE = 25
"""Users that one question asks for."""
_POINT = (
    "toUnixTimestamp(event_time), event_key, event_id, event_type, state, segment, campaign, publisher, product,"
    " quantity, revenue, propensity, seen, model_id"
)
_EVENT_ID, _PROPENSITY = 2, 11
_SCORE = "toUnixTimestamp(event_time), event_key, event_type, campaign, revenue, propensity, seen, model_id"
_CREDIT = "toUnixTimestamp(event_time), event_key, revenue, model_id, part, toUnixTimestamp(order_time), credits"
_CREDITED = "toUnixTimestamp(order_time), part, revenue, credits"
_LETTER = "source, partition, offset, reason, detail, payload"
_ORDER, _, _, _REPEAT = PARTS


@dataclass(frozen=True, slots=True)
class _Users:
    """All users, and when and where each stood after the newest event."""

    ids: NDArray[np.object_]
    times: NDArray[np.int64]
    propensities: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Sums:
    """How many shares there are, and their sums by (day, campaign, type): conversions by each rule, then revenue."""

    shares: int
    by_key: dict[tuple[str, str, str], list[float]]


_Block = tuple[tuple[str, int, int], int]
"""The key of a block of dead letters, and how many it has."""


class CassandraReader:
    """Answers questions, through the process's one session.

    A user's curve and standing are read as they are now. Questions over all users are answered from a view of all (see
    `scans`): in stores of up to 10,000 users it is as of now, in larger ones as of the last scan; where the users that
    are found stand is again read as it is now.

    Args:
        address: the keyspace; its tables are waited for.

    Raises:
        StoreError: the cluster cannot be used, or has no tables; the message names the setting.
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
            _POINT, "propensity_by_user", "WHERE user_id = ? AND event_time >= ? AND event_time <= ?"
        )
        self._latest = self._select(
            "user_id, toUnixTimestamp(event_time), event_type, propensity, seen, model_id, best_action, gain, net,"
            " hold_out",
            "latest_propensity",
            "WHERE user_id IN ?",
        )
        self._all_users = self._select("user_id, toUnixTimestamp(event_time), propensity", "latest_propensity")
        self._all_letters = self._select("source, partition, block", "dead_letters")
        self._block = self._select(_LETTER, "dead_letters", f"WHERE {place}")
        self._letter = self._select(_LETTER, "dead_letters", f"WHERE {place} AND offset = ?")
        self._whole_letters = self._select(_LETTER, "dead_letters")
        self._scores = self._select(_SCORE, "propensity_by_user", "WHERE user_id = ?")
        times = "WHERE user_id = ? AND event_time >= ? AND event_time <= ?"
        self._credits = self._select(_CREDIT, "conversion_credit", times)
        self._all_credits = self._select(_CREDITED, "conversion_credit")
        self._statuses = self._select("name, id", "store")
        self._provenance = self._select("id", "store", "WHERE name = 'provenance'")
        self._version = self._select("version", "latest_propensity", "WHERE user_id = ?")

    def stop_when(self, is_abandoned: Callable[[], bool]) -> None:
        """Ask the cluster nothing more once `is_abandoned` says so; scans, which others wait for too, go on."""
        self._is_abandoned = is_abandoned

    def _check(self) -> None:
        if self._is_abandoned():
            raise StoreError("nobody waits for the answer any more")

    def _select(self, columns: str, table: str, rest: str = "") -> PreparedStatement:
        return self._shared.prepare(f"SELECT {columns} FROM {self._address.keyspace}.{table} {rest}")

    def _ask(self, statement: PreparedStatement, values: Sequence[object] = (), page: int = _PAGE) -> Iterable[Any]:
        bound = statement.bind(values)
        bound.fetch_size = page
        with plainly(self._address):
            yield from self._shared.session.execute(bound)

    def _ask_all(self, statement: PreparedStatement, values: Iterable[Sequence[object]]) -> Iterable[Any]:
        for rows in self._answers(statement, values):
            yield from rows

    def _answers(self, statement: PreparedStatement, values: Iterable[Sequence[object]]) -> Iterable[list[Any]]:
        """The answer to each of the questions, in their order; few are held at once."""
        with plainly(self._address):
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
        lowest, highest = -(2**63) if start is None else start, 2**63 - 1 if end is None else end
        points: list[Point] = []
        # Newest first, but keys of one instant in their own order: it is read to its end before it is cut.
        for row in self._ask(self._curve, (user_id, lowest, highest), min(limit + 16, _PAGE)):
            if len(points) >= limit and row[0] != points[-1].event_time:
                break
            if row[_EVENT_ID] is not None and row[_PROPENSITY] is not None:
                points.append(Point(*row))
        points.sort(key=lambda point: (point.event_time, RANK[point.event_type], point.event_key))
        return points[-limit:]

    def latest(self, user_ids: Sequence[str]) -> list[Latest]:
        """Where the given users stand."""
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
        """What the keyspace holds."""
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
        """All that is stored of each of the given users."""
        questions = [(user_id,) for user_id in user_ids]
        for rows in self._answers(self._scores, questions):
            whole = (score for score in map(Score._make, rows) if None not in score)
            yield sorted(whole, key=lambda score: (score.event_time, RANK[score.event_type], score.event_key))

    def credits(self, user_id: str, start: int | None = None, end: int | None = None) -> list[Conversion]:
        """The user's conversions between two times, and what they are credited to."""
        if not _may_be(user_id):
            return []
        times = (-(2**63) if start is None else start, 2**63 - 1 if end is None else end)
        found = [
            Conversion(time, key, revenue, model_id, part, order_time, tuple(map(Share._make, shares)))
            for time, key, revenue, model_id, part, order_time, shares in self._ask(self._credits, (user_id, *times))
            if revenue is not None and shares is not None
        ]
        return sorted(found, key=lambda each: (each.event_time, each.event_key))

    def credit_sums(self, start: int | None = None, end: int | None = None) -> list[CreditSum]:
        """Sums over the conversions of all users, from a view of them."""
        first, last = day_of(-(2**63) if start is None else start), day_of(2**63 - 1 if end is None else end)
        sums = sorted((key, sums) for key, sums in self._sums.view().by_key.items() if first <= key[0] <= last)
        return [CreditSum(*key, tuple(each[: len(RULES)]), tuple(each[len(RULES) :])) for key, each in sums]

    def grades(self) -> list[Grade]:
        """The grades of all models."""
        return sorted(grades_of(self._shared), key=lambda grade: (grade.model_id, grade.kind, grade.day))

    def models(self) -> list[StoredModel]:
        """The models by which rows are scored."""
        return models_of(self._shared)

    def statuses(self) -> list[FlowStatus]:
        """What the processes of the flow said last."""
        found = [FlowStatus.from_json(text) for name, text in self._ask(self._statuses) if name.startswith(PROCESS)]
        return sorted(found, key=lambda status: status.process)

    def provenance(self) -> str | None:
        """What filled the keyspace."""
        return next((row[0] for row in self._ask(self._provenance)), None)

    def version(self, user_id: str) -> int | None:
        """The version of where a user stands."""
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

    def _scan_credits(self) -> _Sums:
        count, sums = 0, dict[tuple[str, str, str], list[float]]()
        for order_time, part, revenue, shares in self._ask(self._all_credits, page=_LARGE_PAGE):
            if revenue is None or shares is None or part == _REPEAT:
                continue
            day, count = day_of(order_time), count + len(shares)
            for _, _, kind, campaign, *rules in shares:
                held = sums.setdefault((day, campaign, kind), [0.0] * 2 * len(RULES))
                for place, share in enumerate(rules):
                    held[place] += share if part == _ORDER else 0.0
                    held[len(RULES) + place] += revenue * share
        return _Sums(count, sums)

    def _scan_blocks(self) -> list[_Block]:
        # Counted here: the server warns of counting on its side. Rows of a block come together.
        return sorted((key, sum(1 for _ in letters)) for key, letters in groupby(self._ask(self._all_letters)))

    def close(self) -> None:
        """Let go of the session."""
        if not self._closed:
            self._closed = True
            self._shared.close()


def _may_be(user_id: str) -> bool:
    """Whether somebody may have this id; Cassandra refuses keys that are empty or very long."""
    return 0 < len(user_id.encode()) <= _LONGEST_ID


def _latest(*row: Any) -> Latest:
    """A row of latest_propensity, which has an empty name where there is no action."""
    found = Latest(*row)
    return found if found.best_action else replace(found, best_action=None, gain=None, net=None)


def _greatest(ids: NDArray[np.object_], values: NDArray[Any], count: int) -> list[str]:
    """The ids with the `count` greatest values."""
    if count < len(ids):
        ids = ids[np.argpartition(-values, count)[:count]]
    found: list[str] = ids.tolist()
    return found
