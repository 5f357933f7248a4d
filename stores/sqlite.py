"""The embedded store: one SQLite file in WAL mode, read while it is written."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from schemas.dead_letters import DeadLetter
from schemas.events import TEXTS, TYPES
from schemas.scored import COMPUTED_AGAIN, ScoredRows
from stores.base import Latest, Point, StoreError, Summary

SCHEMA = Path(__file__).parent.parent / "schemas" / "sqlite.sql"
VERSION = 1
"""Version of the tables."""
PATIENCE = 60
"""Seconds to wait for another process's write."""
HELD_ROWS = 100_000
"""Rows held before they are written without being asked to."""

_BODY = ("event_id", "state", "segment", "campaign", "publisher", "product")
_POINT = (
    "event_time, event_key, event_id, event_type, state, segment, campaign, publisher, product, quantity, revenue,"
    " propensity, seen, model_id"
)
_LATEST = "user_id, event_time, event_type, propensity, seen, model_id"

_SHOWN = ("event_type", *_BODY, "quantity", "revenue", "body")
_COMPUTED = ("propensity", "seen", "version", "model_id")
_GREATER = (
    "(instr('IM CL PS CN', excluded.event_type), excluded.campaign, excluded.body)"
    " >= (instr('IM CL PS CN', event_type), campaign, body)"
)
_UPSERT = (
    f"INSERT INTO propensity_by_user (user_id, event_time, event_key, {', '.join(_SHOWN + _COMPUTED)})"
    f" VALUES ({', '.join('?' * (3 + len(_SHOWN) + len(_COMPUTED)))}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = CASE WHEN {_GREATER} THEN excluded.{name} ELSE {name} END" for name in _SHOWN)
    + ", "
    + ", ".join(f"{name} = iif(excluded.version >= version, excluded.{name}, {name})" for name in _COMPUTED)
)
"""Of two bodies of one event the greater is shown, whichever was written last; what is computed goes by version."""
_COMPUTED_AGAIN = """
UPDATE propensity_by_user SET propensity = ?, seen = ?, version = ?, model_id = ?
WHERE user_id = ? AND event_time = ? AND event_key = ? AND version <= ?
"""
_UPSERT_LATEST = """
INSERT INTO latest_propensity (user_id, event_time, event_key, event_type, propensity, seen, version, model_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET event_time = excluded.event_time, event_key = excluded.event_key,
  event_type = excluded.event_type, propensity = excluded.propensity, seen = excluded.seen,
  version = excluded.version, model_id = excluded.model_id
WHERE excluded.version >= version
"""
_UPSERT_LETTER = """
INSERT INTO dead_letters (source, "partition", "offset", reason, detail, payload) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET reason = excluded.reason, detail = excluded.detail, payload = excluded.payload
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, and make it with its tables where it is missing.

    Raises:
        StoreError: it cannot be opened, or is not a database.
    """
    if not path.parent.is_dir():
        raise StoreError(f"SQLite file {path}: no such folder")
    try:
        if not path.exists():
            _create(path)
        return _open(path)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"SQLite file {path}: {error}") from error


def _open(path: Path) -> sqlite3.Connection:
    """Open a file of this version, or a new one."""
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # an epoch is committed after its rows: they must be on disk
    ((version,),) = connection.execute("PRAGMA user_version")
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    if tables and version != VERSION:
        raise StoreError(f"SQLite file {path}: its tables are of version {version}, this program uses {VERSION}")
    connection.executescript(f"{SCHEMA.read_text()} PRAGMA user_version = {VERSION};")
    return connection


def _create(path: Path) -> None:
    """Make the file whole before it has its name: two processes that switch it to WAL at once lock each other out."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        draft = Path(folder) / path.name
        connection = _open(draft)
        connection.execute("INSERT INTO store VALUES (hex(randomblob(8)))")
        connection.close()
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another of its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class SqliteWriter:
    """Writes rows in transactions of at most `HELD_ROWS`; several processes take turns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path)
        self._identity = identity(path)
        self._connection.execute("PRAGMA cache_size = -200000")  # 200 MB: an old log is loaded in no order of users
        self._connection.execute("PRAGMA wal_autocheckpoint = 16384")
        self._full: list[tuple[Any, ...]] = []
        self._again: list[tuple[Any, ...]] = []
        self._newest: dict[str, tuple[Any, ...]] = {}
        self._letters: list[tuple[Any, ...]] = []

    @property
    def store_id(self) -> str:
        """What tells this store from another one at the same place."""
        return "".join(name for (name,) in self._connection.execute("SELECT id FROM store"))

    def write(self, rows: ScoredRows) -> None:
        """Take rows."""
        outcomes, events, model_id = rows.outcomes, rows.events, rows.model_id
        users = events.texts(TEXTS.index("user_id"), outcomes["user_row"])
        kinds = [TYPES[kind] for kind in outcomes["type"].tolist()]
        keys = list(zip(users, outcomes["timestamp"].tolist(), outcomes["event_key"].tolist(), strict=True))
        scores = list(
            zip(
                rows.propensities.tolist(),
                outcomes["seen"].tolist(),
                outcomes["version"].tolist(),
                strict=True,
            )
        )
        came = np.flatnonzero(outcomes["body_row"] != COMPUTED_AGAIN)
        bodies = outcomes["body_row"][came]
        texts = [events.texts(TEXTS.index(name), bodies) for name in _BODY]
        numbers = [events.rows[name][bodies].tolist() for name in ("quantity", "revenue", "body")]
        self._full += [
            (*keys[row], kinds[row], *body, *scores[row], model_id)
            for row, *body in zip(came.tolist(), *texts, *numbers, strict=True)
        ]
        again = np.flatnonzero(outcomes["body_row"] == COMPUTED_AGAIN).tolist()
        self._again += [(*scores[row], model_id, *keys[row], scores[row][2]) for row in again]
        newest = np.flatnonzero(outcomes["newest"]).tolist()
        for row in newest:
            held = self._newest.get(users[row])
            if held is None or scores[row][2] >= held[6]:
                self._newest[users[row]] = (*keys[row], kinds[row], *scores[row], model_id)
        if len(self._full) + len(self._again) >= HELD_ROWS:
            self.flush()

    def write_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters."""
        self._letters += [(x.source, x.partition, x.offset, x.reason, x.detail, x.payload) for x in letters]

    def flush(self) -> None:
        """Write all that is held in one transaction."""
        if not (self._full or self._again or self._letters):
            return
        # Neighbours in a table are written together.
        work = (
            (_UPSERT, sorted(self._full, key=lambda row: (row[0], -row[1]))),
            (_COMPUTED_AGAIN, self._again),
            (_UPSERT_LATEST, [self._newest[user] for user in sorted(self._newest)]),
            (_UPSERT_LETTER, self._letters),
        )
        if identity(self._path) != self._identity:
            raise StoreError(f"SQLite file {self._path}: it was removed or replaced while it was written")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement, held in work:
                self._connection.executemany(statement, held)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise StoreError(f"SQLite file {self._path}: {error}") from error
        for rows in (self._full, self._again, self._letters):
            rows.clear()
        self._newest.clear()

    def close(self) -> None:
        """Close the file, with all that was flushed in it rather than beside it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout = 1000")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()


def _behind(prefix: str) -> str | None:
    """The least text behind all that start with `prefix`; None where there is none."""
    prefix = prefix.rstrip(chr(0x10FFFF))
    if not prefix:
        return None
    following = ord(prefix[-1]) + 1
    return prefix[:-1] + chr(0xE000 if following == 0xD800 else following)


class SqliteReader:
    """Reads the file; every question sees the newest state that was written."""

    def __init__(self, path: Path) -> None:
        self._path, self._connection = path, connect(path)
        self._identity = identity(path)

    def _ask(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        if identity(self._path) != self._identity:
            raise StoreError(f"SQLite file {self._path}: it was removed or replaced")
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreError(f"SQLite file {self._path}: {error}") from error

    def curve(self, user_id: str, start: int | None = None, end: int | None = None, limit: int = 2_000) -> list[Point]:
        """The user's newest points between two times, oldest first."""
        rows = self._ask(
            f"SELECT {_POINT} FROM propensity_by_user WHERE user_id = ? AND event_time >= ? AND event_time <= ?"
            " ORDER BY event_time DESC, instr('IM CL PS CN', event_type) DESC, event_key DESC LIMIT ?",
            (user_id, -(2**63) if start is None else start, 2**63 - 1 if end is None else end, limit),
        )
        points = (Point(*row) for row in rows)
        return sorted(points, key=lambda p: (p.event_time, TYPES.index(p.event_type), p.event_key))

    def latest(self, user_ids: Sequence[str]) -> list[Latest]:
        """Where the given users stand."""
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
        return [Latest(*row) for row in rows]

    def search(self, prefix: str, count: int) -> list[str]:
        """User ids that start with a prefix."""
        rows = self._ask(
            "SELECT user_id FROM latest_propensity WHERE user_id >= ?1 AND (?2 IS NULL OR user_id < ?2)"
            " ORDER BY user_id LIMIT ?3",
            (prefix, _behind(prefix), count),
        )
        return [user_id for (user_id,) in rows]

    def summary(self) -> Summary:
        """What the file holds."""
        (row,) = self._ask(
            "SELECT (SELECT count(*) FROM latest_propensity), (SELECT max(event_time) FROM latest_propensity),"
            " (SELECT count(*) FROM dead_letters)"
        )
        return Summary(*row)

    def dead_letters(self, count: int) -> list[DeadLetter]:
        """Dead letters in the order of their keys."""
        rows = self._ask(
            'SELECT source, "partition", "offset", reason, detail, payload FROM dead_letters'
            ' ORDER BY source, "partition", "offset" LIMIT ?',
            (count,),
        )
        return [DeadLetter(*row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
