"""The SQL that merges rows into the tables."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.event_fields import STORED
from schemas.event_types import rank_in_sql
from schemas.grades import COLUMNS
from stores.answers import Share
from stores.row_columns import BODY, COMPUTED, FULL_ROW, KEY, LATEST_ROW

LETTER = 'source, "partition", "offset", reason, detail, payload'

_BYTES = {
    column.name: ("{row}.{name} < 0", "{row}.{name}" if column.kind is int else "abs({row}.{name})")
    for column in STORED
    if column.kind is not str
}
"""Orders numbers as Cassandra does, by their bytes: negative ones are above the others."""


def _greater(name: str) -> str:
    """The assignment that merges one column of the new row into the stored one."""
    order = ", ".join((rank_in_sql("{row}.event_type"), *_BYTES.get(name, ("{row}.{name}",))))
    held, new = (f"({order.format(row=row, name=name)})" for row in ("propensity_by_user", "excluded"))
    return f"{name} = CASE WHEN {new} > {held} THEN excluded.{name} ELSE propensity_by_user.{name} END"


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _parameters(names: Sequence[str]) -> dict[str, str]:
    """For each column its numbered parameter."""
    return {name: f"?{number}" for number, name in enumerate(names, start=1)}


_MERGE = ", ".join(map(_greater, BODY))
"""Of two bodies of one event the greater type's is shown; of one type, each column's greater value."""
UPSERT = (
    f"INSERT INTO propensity_by_user ({', '.join(FULL_ROW)}) VALUES ({_marks(len(FULL_ROW))})"
    f" ON CONFLICT DO UPDATE SET {_MERGE}, "
    + ", ".join(f"{name} = iif(excluded.version >= version, excluded.{name}, {name})" for name in COMPUTED)
)
"""Bodies are merged, whichever was written last; computed values go by version."""
RIVAL = (
    f"UPDATE propensity_by_user SET {_MERGE}"
    f" FROM (SELECT {', '.join(f'? AS {name}' for name in (*KEY, *BODY))}) AS excluded"
    " WHERE propensity_by_user.user_id = excluded.user_id AND propensity_by_user.event_time = excluded.event_time"
    " AND propensity_by_user.event_key = excluded.event_key"
)
_AGAIN = _parameters((*KEY, *COMPUTED))
UPDATE_COMPUTED = (
    f"UPDATE propensity_by_user SET {', '.join(f'{name} = {_AGAIN[name]}' for name in COMPUTED)}"
    f" WHERE {' AND '.join(f'{name} = {_AGAIN[name]}' for name in KEY)} AND version <= {_AGAIN['version']}"
)
UPSERT_LATEST = (
    f"INSERT INTO latest_propensity ({', '.join(LATEST_ROW)}) VALUES ({_marks(len(LATEST_ROW))})"
    " ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in LATEST_ROW[1:])
    + " WHERE excluded.version >= version"
)
UPSERT_CREDIT = """
INSERT INTO conversion_credit (user_id, event_time, event_key, part, order_time, version, model_id)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET part = excluded.part, order_time = excluded.order_time, version = excluded.version,
  model_id = excluded.model_id
WHERE excluded.version >= version
"""
SHARE = ", ".join(Share._fields)
DROP_TOUCHES = "DELETE FROM touch_credit WHERE user_id = ? AND event_time = ? AND event_key = ?"
INSERT_TOUCH = (
    f"INSERT INTO touch_credit (user_id, event_time, event_key, place, {SHARE})"
    f" VALUES ({_marks(4 + len(Share._fields))})"
)
UPSERT_LETTER = f"""
INSERT INTO dead_letters ({LETTER}) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET reason = excluded.reason, detail = excluded.detail, payload = excluded.payload
"""
GRADE_COLUMNS = ", ".join(COLUMNS)
UPSERT_GRADE = (
    f"INSERT INTO grades ({GRADE_COLUMNS}) VALUES ({_marks(len(COLUMNS))}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS)
    + " WHERE excluded.version >= version"
)
MODELS = "SELECT valid_from, model_id, file FROM models ORDER BY valid_from"
FILLED = ("propensity_by_user", "latest_propensity", "dead_letters")
"""The tables that events fill."""
ERASE = [
    f"DELETE FROM {table} WHERE user_id = ? AND event_time <= ?"
    for table in ("propensity_by_user", "latest_propensity", "conversion_credit", "touch_credit")
]
ERASED = "SELECT user_hash, until FROM erasures WHERE user_hash IN (SELECT value FROM json_each(?))"
NOTE_ERASURE = "INSERT INTO erasures VALUES (?, ?) ON CONFLICT DO UPDATE SET until = max(until, excluded.until)"
IS_LETTER = 'source = ? AND "partition" = ? AND "offset" = ?'
CLEAR_LETTER = f"DELETE FROM dead_letters WHERE {IS_LETTER}"
