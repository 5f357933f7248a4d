"""How rows are merged into the tables, in SQL."""

from __future__ import annotations

from schemas.event_types import rank_in_sql
from schemas.grades import COLUMNS
from stores.base import Share

BODY_TEXTS = ("event_id", "state", "segment", "campaign", "publisher", "product")
LETTER = 'source, "partition", "offset", reason, detail, payload'

_NUMBERS = {"quantity": "{row}.{name}", "revenue": "abs({row}.{name})"}
_BODY = ("event_type", *BODY_TEXTS, *_NUMBERS)
_COMPUTED = ("propensity", "seen", "version", "model_id")
_BYTES = {name: ("{row}.{name} < 0", number) for name, number in _NUMBERS.items()}
"""What orders the numbers as their bytes do: as Cassandra compares them, negative ones are the greater."""


def _greater(name: str) -> str:
    """The expression that merges one column of a row with that of the row `new`."""
    order = ", ".join((rank_in_sql("{row}.event_type"), *_BYTES.get(name, ("{row}.{name}",))))
    held, new = (f"({order.format(row=row, name=name)})" for row in ("propensity_by_user", "excluded"))
    return f"{name} = CASE WHEN {new} > {held} THEN excluded.{name} ELSE propensity_by_user.{name} END"


_MERGE = ", ".join(map(_greater, _BODY))
"""Of two bodies of one event the greater type's is shown; of one type, each column's greater value."""
UPSERT = (
    f"INSERT INTO propensity_by_user (user_id, event_time, event_key, {', '.join(_BODY + _COMPUTED)})"
    f" VALUES ({', '.join('?' * (3 + len(_BODY) + len(_COMPUTED)))}) ON CONFLICT DO UPDATE SET {_MERGE}, "
    + ", ".join(f"{name} = iif(excluded.version >= version, excluded.{name}, {name})" for name in _COMPUTED)
)
"""The body is merged, whichever was written last; what is computed goes by version."""
RIVAL = (
    f"UPDATE propensity_by_user SET {_MERGE}"
    f" FROM (SELECT {', '.join(f'? AS {name}' for name in ('user_id', 'event_time', 'event_key', *_BODY))}) AS excluded"
    " WHERE propensity_by_user.user_id = excluded.user_id AND propensity_by_user.event_time = excluded.event_time"
    " AND propensity_by_user.event_key = excluded.event_key"
)
UPDATE_COMPUTED = """
UPDATE propensity_by_user SET propensity = ?, seen = ?, version = ?, model_id = ?
WHERE user_id = ? AND event_time = ? AND event_key = ? AND version <= ?
"""
UPSERT_LATEST = """
INSERT INTO latest_propensity
  (user_id, event_time, event_key, event_type, best_action, gain, net, hold_out, propensity, seen, version, model_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET event_time = excluded.event_time, event_key = excluded.event_key,
  event_type = excluded.event_type, best_action = excluded.best_action, gain = excluded.gain, net = excluded.net,
  hold_out = excluded.hold_out, propensity = excluded.propensity, seen = excluded.seen, version = excluded.version,
  model_id = excluded.model_id
WHERE excluded.version >= version
"""
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
    f" VALUES ({', '.join('?' * (4 + len(Share._fields)))})"
)
UPSERT_LETTER = f"""
INSERT INTO dead_letters ({LETTER}) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET reason = excluded.reason, detail = excluded.detail, payload = excluded.payload
"""
GRADE_COLUMNS = ", ".join(COLUMNS)
UPSERT_GRADE = (
    f"INSERT INTO grades ({GRADE_COLUMNS}) VALUES ({', '.join('?' * len(COLUMNS))}) ON CONFLICT DO UPDATE SET "
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
