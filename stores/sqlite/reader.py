"""Reads the file while it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from schemas.credits import RULES
from schemas.dead_letters import DeadLetter
from schemas.errors import StoreError
from schemas.event_types import rank_in_sql
from schemas.flow_status import FlowStatus
from schemas.grades import Grade
from schemas.stored_models import StoredModel
from stores.answers import DAY, Conversion, CreditSum, Latest, Point, Score, Share, Summary
from stores.row_columns import LATEST, POINT, SCORE
from stores.row_rules import in_sequence, times_between
from stores.searching import beginnings, begins_so
from stores.sqlite.database import connect, identity, store_errors
from stores.sqlite.statements import GRADE_COLUMNS, IS_LETTER, LETTER, MODELS, SHARE

_STEPS = 50_000
"""Instructions of SQLite's virtual machine between two checks whether the query is abandoned: about a millisecond."""

_POINT, _LATEST, _SCORE = ", ".join(POINT), ", ".join(LATEST), ", ".join(SCORE)
_CREDITS = f"""
SELECT event_time, event_key, revenue, credited.model_id, part, order_time,
  {SHARE.replace("campaign", "touch.campaign")}
FROM conversion_credit AS credited JOIN touch_credit AS touch USING (user_id, event_time, event_key)
  JOIN propensity_by_user USING (user_id, event_time, event_key)
WHERE user_id = ? AND event_time >= ? AND event_time <= ? ORDER BY event_time, event_key, place
"""
_OF_CONVERSION = 6
"""How many of these columns are the conversion's; the others are a share's."""
_SUMS = f"""
WITH credited AS MATERIALIZED (
  SELECT user_id, event_time, event_key, part, order_time FROM conversion_credit
  WHERE order_time BETWEEN ? AND ? AND part <> 'repeat'
)
SELECT date(order_time / 1000, 'unixepoch') AS day, touch.campaign, touch.type,
  {", ".join(f"sum((part = 'order') * {rule})" for rule in RULES)},
  {", ".join(f"sum(revenue * {rule})" for rule in RULES)}
FROM credited CROSS JOIN propensity_by_user USING (user_id, event_time, event_key)
  CROSS JOIN touch_credit AS touch USING (user_id, event_time, event_key)
GROUP BY day, touch.campaign, touch.type ORDER BY day, touch.campaign, touch.type
"""
"""`credit_by_day` of the orders between two times; orders outside of them cost no time."""


def _behind(prefix: str) -> str | None:
    """The least text greater than all that start with `prefix`; None where there is no such text."""
    prefix = prefix.rstrip(chr(0x10FFFF))
    if not prefix:
        return None
    following = ord(prefix[-1]) + 1
    return prefix[:-1] + chr(0xE000 if following == 0xD800 else following)


class SqliteReader:
    """Reads the file; every query sees the newest committed state.

    Raises:
        StoreError: the file cannot be opened, or is not a database.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> reader = SqliteReader(Path(folder.name) / "rows.db")
    >>> reader.curve("ann"), reader.summary()
    ([], Summary(users=0, newest=None, dead_letters=0))
    >>> reader.close()
    >>> folder.cleanup()
    """

    def __init__(self, path: Path) -> None:
        self._path, self._connection = path, connect(path)
        self._identity = identity(path)

    def stop_when(self, is_abandoned: Callable[[], bool]) -> None:
        """Abort later queries once `is_abandoned` returns true."""
        self._connection.set_progress_handler(is_abandoned, _STEPS)

    def _ask(self, statement: str, values: Sequence[object] = ()) -> Iterator[Any]:
        if identity(self._path) != self._identity:
            raise StoreError(f"SQLite file {self._path}: it was removed or replaced")
        with store_errors(self._path):
            yield from self._connection.execute(statement, values)

    def curve(self, user_id: str, start: int | None = None, end: int | None = None, limit: int = 2_000) -> list[Point]:
        """The user's newest points between two times, oldest first."""
        rows = self._ask(
            f"SELECT {_POINT} FROM propensity_by_user WHERE user_id = ? AND event_time >= ? AND event_time <= ?"
            f" ORDER BY event_time DESC, {rank_in_sql('event_type')} DESC, event_key DESC LIMIT ?",
            (user_id, *times_between(start, end), limit),
        )
        return in_sequence(Point(**dict(zip(POINT, row, strict=True))) for row in rows)

    def latest(self, user_ids: Sequence[str]) -> list[Latest]:
        """The latest rows of the given users."""
        marks = ", ".join("?" * len(user_ids))
        return self._latest(f"WHERE user_id IN ({marks}) ORDER BY user_id", *user_ids)

    def most_likely(self, count: int, since: int | None = None) -> list[Latest]:
        """The users with the greatest propensity after their newest event, of those active since some time."""
        if since is None:
            return self._latest("ORDER BY propensity DESC LIMIT ?", count)
        return self._latest("WHERE event_time >= ? ORDER BY propensity DESC LIMIT ?", since, count)

    def most_recent(self, count: int) -> list[Latest]:
        """The users with the newest events."""
        return self._latest("ORDER BY event_time DESC LIMIT ?", count)

    def _latest(self, rest: str, *values: object) -> list[Latest]:
        rows = self._ask(f"SELECT {_LATEST} FROM latest_propensity {rest}", values)
        found = (dict(zip(LATEST, row, strict=True)) for row in rows)
        return [Latest(**each | {"hold_out": bool(each["hold_out"])}) for each in found]

    def search(self, prefix: str, count: int) -> list[str]:
        """User ids that start with a prefix in any case; each spelling is a range of the index."""
        pattern, found = begins_so(prefix), list(islice(self._starting(prefix), max(count, 0)))
        for beginning in beginnings(prefix):
            others = (each for each in self._starting(beginning) if pattern.match(each) and not each.startswith(prefix))
            found += islice(others, max(count - len(found), 0))
            if len(found) >= count:
                break
        return found

    def _starting(self, prefix: str) -> Iterator[str]:
        """User ids that start with exactly this prefix, in order."""
        rows = self._ask(
            "SELECT user_id FROM latest_propensity WHERE user_id >= ?1 AND (?2 IS NULL OR user_id < ?2)"
            " ORDER BY user_id",
            (prefix, _behind(prefix)),
        )
        return (user_id for (user_id,) in rows)

    def summary(self) -> Summary:
        """How much the file holds."""
        (row,) = self._ask(
            "SELECT (SELECT count(*) FROM latest_propensity), (SELECT max(event_time) FROM latest_propensity),"
            " (SELECT count(*) FROM dead_letters)"
        )
        return Summary(*row)

    def dead_letters(self, count: int) -> list[DeadLetter]:
        """Dead letters in the order of their keys."""
        rows = self._ask(f'SELECT {LETTER} FROM dead_letters ORDER BY source, "partition", "offset" LIMIT ?', (count,))
        return [DeadLetter(*row) for row in rows]

    def dead_letter(self, source: str, partition: int, offset: int) -> DeadLetter | None:
        """The dead letter of one place."""
        rows = self._ask(f"SELECT {LETTER} FROM dead_letters WHERE {IS_LETTER}", (source, partition, offset))
        return next((DeadLetter(*row) for row in rows), None)

    def each_dead_letter(self) -> Iterator[DeadLetter]:
        """All dead letters."""
        return (DeadLetter(*row) for row in self._ask(f"SELECT {LETTER} FROM dead_letters"))

    def user_ids(self) -> list[str]:
        """The ids of all users."""
        return [user_id for (user_id,) in self._ask("SELECT user_id FROM latest_propensity")]

    def scores(self, user_ids: Sequence[str]) -> Iterator[list[Score]]:
        """All stored scores of each given user."""
        for user_id in user_ids:
            rows = self._ask(
                f"SELECT {_SCORE} FROM propensity_by_user WHERE user_id = ?"
                f" ORDER BY event_time, {rank_in_sql('event_type')}, event_key",
                (user_id,),
            )
            yield list(map(Score._make, rows))

    def credits(self, user_id: str, start: int | None = None, end: int | None = None) -> list[Conversion]:
        """The user's conversions between two times, and their credit."""
        rows = self._ask(_CREDITS, (user_id, *times_between(start, end)))
        return [
            Conversion(time, key, revenue, model_id, part, begun, tuple(Share(*row[_OF_CONVERSION:]) for row in shares))
            for (time, key, revenue, model_id, part, begun), shares in groupby(
                rows, key=itemgetter(*range(_OF_CONVERSION))
            )
        ]

    def credit_sums(self, start: int | None = None, end: int | None = None) -> list[CreditSum]:
        """Sums over the conversions of all users, from the current rows."""
        first = None if start is None else start // DAY * DAY
        last = None if end is None else (end // DAY + 1) * DAY - 1
        rows = self._ask(_SUMS, times_between(first, last))
        return [
            CreditSum(day, campaign, kind, tuple(sums[: len(RULES)]), tuple(sums[len(RULES) :]))
            for day, campaign, kind, *sums in rows
        ]

    def grades(self) -> list[Grade]:
        """The grades of all models."""
        return [Grade(*row) for row in self._ask(f"SELECT {GRADE_COLUMNS} FROM grades ORDER BY model_id, kind, day")]

    def models(self) -> list[StoredModel]:
        """The models that rows are scored by."""
        return [StoredModel(*row) for row in self._ask(MODELS)]

    def statuses(self) -> list[FlowStatus]:
        """The last status of each process."""
        rows = self._ask("SELECT status FROM flow_status ORDER BY process")
        return [FlowStatus.from_json(text) for (text,) in rows]

    def provenance(self) -> str | None:
        """What filled the file."""
        return next((text for (text,) in self._ask("SELECT told FROM provenance")), None)

    def version(self, user_id: str) -> int | None:
        """The version of the user's latest row."""
        return next(
            (row[0] for row in self._ask("SELECT version FROM latest_propensity WHERE user_id = ?", (user_id,))), None
        )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
