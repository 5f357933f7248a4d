"""The embedded store: one SQLite file in WAL mode, read while it is written."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.credits import RULES
from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure, hash_of
from schemas.events import TEXTS, TYPES, EventBatch
from schemas.grades import COLUMNS, Grade
from schemas.models import StoredModel
from schemas.scored import COMPUTED_AGAIN, Propensity, ScoredRows
from stores.base import Conversion, CreditSum, Latest, Point, Score, Share, StoreError, Summary

SCHEMA = Path(__file__).parent.parent / "schemas" / "sqlite.sql"
VERSION = 3
"""Version of the tables."""
PATIENCE = 60
"""Seconds to wait for another process's write."""
HELD_ROWS = 100_000
"""Rows held before they are written without being asked to."""
_DAY = 86_400_000

_KINDS = (*TYPES, "")
"""Types of touches by number; the last, BASELINE, is none."""
_TEXTS = ("event_id", "state", "segment", "campaign", "publisher", "product")
_POINT = (
    "event_time, event_key, event_id, event_type, state, segment, campaign, publisher, product, quantity, revenue,"
    " propensity, seen, model_id"
)
_LATEST = "user_id, event_time, event_type, propensity, seen, model_id, best_action, gain, net, hold_out"
_SCORE = ", ".join(Score._fields)
_LETTER = 'source, "partition", "offset", reason, detail, payload'

_NUMBERS = {"quantity": "{row}.{name}", "revenue": "abs({row}.{name})"}
_BODY = ("event_type", *_TEXTS, *_NUMBERS)
_COMPUTED = ("propensity", "seen", "version", "model_id")
_BYTES = {name: ("{row}.{name} < 0", number) for name, number in _NUMBERS.items()}
"""What orders the numbers as their bytes do: as Cassandra compares them, negative ones are the greater."""


def _greater(name: str) -> str:
    """The expression that merges one column of a row with that of the row `new`."""
    order = ", ".join(("instr('IM CL PS CN', {row}.event_type)", *_BYTES.get(name, ("{row}.{name}",))))
    held, new = (f"({order.format(row=row, name=name)})" for row in ("propensity_by_user", "excluded"))
    return f"{name} = CASE WHEN {new} > {held} THEN excluded.{name} ELSE propensity_by_user.{name} END"


_MERGE = ", ".join(map(_greater, _BODY))
"""Of two bodies of one event the greater type's is shown; of one type, each column's greater value."""
_UPSERT = (
    f"INSERT INTO propensity_by_user (user_id, event_time, event_key, {', '.join(_BODY + _COMPUTED)})"
    f" VALUES ({', '.join('?' * (3 + len(_BODY) + len(_COMPUTED)))}) ON CONFLICT DO UPDATE SET {_MERGE}, "
    + ", ".join(f"{name} = iif(excluded.version >= version, excluded.{name}, {name})" for name in _COMPUTED)
)
"""The body is merged, whichever was written last; what is computed goes by version."""
_RIVAL = (
    f"UPDATE propensity_by_user SET {_MERGE}"
    f" FROM (SELECT {', '.join(f'? AS {name}' for name in ('user_id', 'event_time', 'event_key', *_BODY))}) AS excluded"
    " WHERE propensity_by_user.user_id = excluded.user_id AND propensity_by_user.event_time = excluded.event_time"
    " AND propensity_by_user.event_key = excluded.event_key"
)
_COMPUTED_AGAIN = """
UPDATE propensity_by_user SET propensity = ?, seen = ?, version = ?, model_id = ?
WHERE user_id = ? AND event_time = ? AND event_key = ? AND version <= ?
"""
_AGAIN_KEY = 4
"""Where the key begins in the values of that."""
_UPSERT_LATEST = """
INSERT INTO latest_propensity
  (user_id, event_time, event_key, event_type, best_action, gain, net, hold_out, propensity, seen, version, model_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET event_time = excluded.event_time, event_key = excluded.event_key,
  event_type = excluded.event_type, best_action = excluded.best_action, gain = excluded.gain, net = excluded.net,
  hold_out = excluded.hold_out, propensity = excluded.propensity, seen = excluded.seen, version = excluded.version,
  model_id = excluded.model_id
WHERE excluded.version >= version
"""
_CREDIT_KEY = "user_id = ? AND event_time = ? AND event_key = ?"
_UPSERT_CREDIT = """
INSERT INTO conversion_credit (user_id, event_time, event_key, version, model_id) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET version = excluded.version, model_id = excluded.model_id WHERE excluded.version >= version
"""
_SHARE = ", ".join(Share._fields)
_CREDITS = f"""
SELECT event_time, event_key, revenue, credited.model_id, {_SHARE.replace("campaign", "touch.campaign")}
FROM conversion_credit AS credited JOIN touch_credit AS touch USING (user_id, event_time, event_key)
  JOIN propensity_by_user USING (user_id, event_time, event_key)
WHERE user_id = ? AND event_time >= ? AND event_time <= ? ORDER BY event_time, event_key, place
"""
_OF_CONVERSION = 4
"""Columns of that which are the conversion's."""
_SUMS = f"""
WITH credited AS MATERIALIZED (
  SELECT user_id, event_time, event_key FROM conversion_credit WHERE event_time BETWEEN ? AND ?
)
SELECT date(event_time / 1000, 'unixepoch') AS day, touch.campaign, touch.type,
  {", ".join(f"sum({rule})" for rule in RULES)}, {", ".join(f"sum(revenue * {rule})" for rule in RULES)}
FROM credited CROSS JOIN propensity_by_user USING (user_id, event_time, event_key)
  CROSS JOIN touch_credit AS touch USING (user_id, event_time, event_key)
GROUP BY day, touch.campaign, touch.type ORDER BY day, touch.campaign, touch.type
"""
"""What `credit_by_day` has of the conversions between two times, in the time that these take and no others."""
_DROP_TOUCHES = f"DELETE FROM touch_credit WHERE {_CREDIT_KEY}"
_INSERT_TOUCH = (
    f"INSERT INTO touch_credit (user_id, event_time, event_key, place, {_SHARE})"
    f" VALUES ({', '.join('?' * (4 + len(Share._fields)))})"
)
_UPSERT_LETTER = f"""
INSERT INTO dead_letters ({_LETTER}) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET reason = excluded.reason, detail = excluded.detail, payload = excluded.payload
"""
_GRADE_COLUMNS = ", ".join(COLUMNS)
_UPSERT_GRADE = (
    f"INSERT INTO grades ({_GRADE_COLUMNS}) VALUES ({', '.join('?' * len(COLUMNS))}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS)
    + " WHERE excluded.version >= version"
)
_MODELS = "SELECT valid_from, model_id, file FROM models ORDER BY valid_from"
_ERASE = [
    f"DELETE FROM {table} WHERE user_id = ? AND event_time <= ?"
    for table in ("propensity_by_user", "latest_propensity", "conversion_credit", "touch_credit")
]
_ERASED = "SELECT user_hash, until FROM erasures WHERE user_hash IN (SELECT value FROM json_each(?))"
_NOTE_ERASURE = "INSERT INTO erasures VALUES (?, ?) ON CONFLICT DO UPDATE SET until = max(until, excluded.until)"
_NAME_STORE = "INSERT INTO store SELECT hex(randomblob(8)) WHERE NOT EXISTS (SELECT 1 FROM store)"
_IS_LETTER = 'source = ? AND "partition" = ? AND "offset" = ?'
_CLEAR_LETTER = f"DELETE FROM dead_letters WHERE {_IS_LETTER}"


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, and make it with its tables where it is missing.

    Raises:
        StoreError: it cannot be opened, or is not a database.
    """
    with _plainly(path):
        if not path.parent.is_dir():
            raise StoreError(f"SQLite file {path}: no such folder")
        if not path.exists():
            _create(path)
        return _open(path)


@contextlib.contextmanager
def _plainly(path: Path) -> Iterator[None]:
    """Turn what an exchange with the file may raise into a `StoreError`."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"SQLite file {path}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise StoreError(f"SQLite file {path}: {error}") from error


def _reach(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Connect to a file that is there; with the mode `rwc` to one that may not be."""
    address = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(address, PATIENCE, isolation_level=None, check_same_thread=False, uri=True)


def _open(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Open a file of this version, or an empty one, which becomes a store of its own."""
    with contextlib.ExitStack() as undo:
        connection = undo.enter_context(contextlib.closing(_reach(path, mode)))
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # an epoch is committed after its rows: they must be on disk
        ((version,),) = connection.execute("PRAGMA user_version")
        ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
        if tables and version != VERSION:
            raise StoreError(f"SQLite file {path}: its tables are of version {version}, this program uses {VERSION}")
        connection.executescript(f"{SCHEMA.read_text()} PRAGMA user_version = {VERSION};")
        if not connection.execute("SELECT count(*) FROM store").fetchone()[0]:
            connection.execute(_NAME_STORE)
        undo.pop_all()
    return connection


def _create(path: Path) -> None:
    """Make the file whole before it has its name: two processes that switch it to WAL at once lock each other out."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        draft = Path(folder) / path.name
        _open(draft, "rwc").close()
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another of its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _bodies(events: EventBatch, rows: NDArray[np.integer]) -> Iterator[tuple[Any, ...]]:
    """The bodies of the given rows of a batch, without their types."""
    texts = [events.texts(TEXTS.index(name), rows) for name in _TEXTS]
    quantities, revenues = events.rows["quantity"][rows], events.rows["revenue"][rows] + 0.0  # -0.0 is 0.0
    return zip(*texts, quantities.tolist(), revenues.tolist(), strict=True)


class _Credited(NamedTuple):
    """What a conversion is credited to: its touches, and the baseline."""

    version: int
    model_id: str
    touches: list[tuple[Any, ...]]


class SqliteWriter:
    """Writes rows in transactions of at most `HELD_ROWS`; several processes take turns."""

    push_interval = 0.25
    """Seconds after which held rows are written: more often would cost more than readers gain."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path)
        self._identity = identity(path)
        with _plainly(path):
            self._connection.execute("PRAGMA cache_size = -200000")  # 200 MB: an old log is loaded in no order of users
            self._connection.execute("PRAGMA wal_autocheckpoint = 16384")
        self._full: list[tuple[Any, ...]] = []
        self._rivals: list[tuple[Any, ...]] = []
        self._again: list[tuple[Any, ...]] = []
        self._newest: dict[str, tuple[Any, ...]] = {}
        self._credited: dict[tuple[str, int, int], _Credited] = {}
        self._touches = 0
        self._letters: list[tuple[str, tuple[Any, ...]]] = []
        self._grades: list[tuple[Any, ...]] = []
        self._erased: list[Erasure] = []

    @property
    def store_id(self) -> str:
        """What tells this store from another one at the same place."""
        with _plainly(self._path):
            return "".join(name for (name,) in self._connection.execute("SELECT id FROM store"))

    def write(self, rows: ScoredRows) -> None:
        """Take rows."""
        outcomes, events = rows.outcomes, rows.events
        users = events.texts(TEXTS.index("user_id"), outcomes["user_row"])
        kinds = [TYPES[kind] for kind in outcomes["type"].tolist()]
        keys = list(zip(users, outcomes["timestamp"].tolist(), outcomes["event_key"].tolist(), strict=True))
        scores = list(
            zip(
                rows.propensities.tolist(),
                outcomes["seen"].tolist(),
                outcomes["version"].tolist(),
                (rows.models[number] for number in rows.model.tolist()),
                strict=True,
            )
        )
        came = np.flatnonzero(outcomes["body_row"] != COMPUTED_AGAIN)
        bodies = _bodies(events, outcomes["body_row"][came])
        self._full += [
            (*keys[row], kinds[row], *body, *scores[row]) for row, body in zip(came.tolist(), bodies, strict=True)
        ]
        if len(rows.rivals):
            self._take_rivals(events, rows.rivals)
        again = np.flatnonzero(outcomes["body_row"] == COMPUTED_AGAIN).tolist()
        self._again += [(*scores[row], *keys[row], scores[row][2]) for row in again]
        newest = np.flatnonzero(outcomes["newest"]).tolist()
        for row, said in zip(newest, rows.advice.said(newest), strict=True):
            self._stand(*keys[row], kinds[row], *said, *scores[row])
        if len(rows.credits):
            self._take_credits(rows, keys)
        if len(self._full) + len(self._again) + self._touches >= HELD_ROWS:
            self.flush()

    def _take_rivals(self, events: EventBatch, rivals: NDArray[np.int64]) -> None:
        chosen = events.rows[rivals]
        users = events.texts(TEXTS.index("user_id"), rivals)
        keys = zip(users, chosen["timestamp"].tolist(), chosen["event_key"].tolist(), strict=True)
        kinds = (TYPES[kind] for kind in chosen["type"].tolist())
        self._rivals += [
            (*key, kind, *body) for key, kind, body in zip(keys, kinds, _bodies(events, rivals), strict=True)
        ]

    def _take_credits(self, rows: ScoredRows, keys: list[tuple[str, int, int]]) -> None:
        """Note what conversions are credited to, unless more is known of them already."""
        credits, versions = rows.credits.rows, rows.outcomes["version"].tolist()
        touches = list(
            zip(
                credits["touch_time"].tolist(),
                credits["touch_key"].tolist(),
                [_KINDS[kind] for kind in credits["type"].tolist()],
                [rows.credits.campaigns[campaign] for campaign in credits["campaign"].tolist()],
                *(credits[rule].tolist() for rule in RULES),
                strict=True,
            )
        )
        self._touches += len(touches)
        for outcome, start, stop in rows.credits.conversions():
            held = self._credited.get(keys[outcome])
            if held is None or versions[outcome] >= held.version:
                self._credited[keys[outcome]] = _Credited(
                    versions[outcome], rows.models[rows.model[outcome]], touches[start:stop]
                )

    def _stand(self, *row: Any) -> None:
        """Note where a user stands, unless more is known already."""
        user_id, version = row[0], row[-2]
        held = self._newest.get(user_id)
        if held is None or version >= held[-2]:
            self._newest[user_id] = row

    def write_latest(self, rows: Sequence[Propensity]) -> None:
        """Take where users stand."""
        for row in rows:
            said = row.best_action, row.gain, row.net, row.hold_out
            score = row.propensity, row.seen, row.version, row.model_id
            self._stand(row.user_id, row.timestamp, row.event_key, row.type, *said, *score)

    def write_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters."""
        self._letters += [
            (_UPSERT_LETTER, (x.source, x.partition, x.offset, x.reason, x.detail, x.payload)) for x in letters
        ]

    def clear_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters that are to go."""
        self._letters += [(_CLEAR_LETTER, (x.source, x.partition, x.offset)) for x in letters]

    def write_grades(self, grades: Sequence[Grade]) -> None:
        """Take grades."""
        self._grades += [grade.values for grade in grades]

    def erase(self, erasures: Sequence[Erasure]) -> None:
        """Take erasures."""
        self._erased += erasures

    def erasures(self) -> list[Erasure]:
        """All that was noted."""
        return [Erasure(*row) for row in self._apart("SELECT user_hash, until FROM erasures")]

    def models(self) -> list[StoredModel]:
        """The models that were added."""
        return [StoredModel(*row) for row in self._apart(_MODELS)]

    def add_model(self, model: StoredModel) -> None:
        """Add a model."""
        self._apart("INSERT INTO models VALUES (?, ?, ?) ON CONFLICT DO NOTHING", astuple(model))

    def remove_model(self, model: StoredModel) -> None:
        """Remove a model."""
        self._apart("DELETE FROM models WHERE valid_from = ? AND model_id = ?", (model.valid_from, model.model_id))

    def _apart(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Do a statement through a connection of its own, as any thread may, and beside what is held."""
        with _plainly(self._path), contextlib.closing(_reach(self._path)) as connection:
            return connection.execute(statement, values).fetchall()

    def push(self) -> None:
        """Write all that is held."""
        self.flush()

    def flush(self) -> None:
        """Write all that is held in one transaction."""
        if not any(self._held):
            return
        if identity(self._path) != self._identity:
            raise StoreError(f"SQLite file {self._path}: it was removed or replaced while it was written")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._leave_out_erased()
            self._full.sort(key=lambda row: (row[0], -row[1]))  # neighbours in a table are written together
            self._connection.executemany(_UPSERT, self._full)
            self._connection.executemany(_RIVAL, self._rivals)
            self._connection.executemany(_COMPUTED_AGAIN, self._again)
            self._connection.executemany(_UPSERT_LATEST, [self._newest[user] for user in sorted(self._newest)])
            self._credit()
            for statement, letters in groupby(self._letters, key=itemgetter(0)):
                self._connection.executemany(statement, (values for _, values in letters))
            self._connection.executemany(_UPSERT_GRADE, self._grades)
            self._erase()
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # the first error is the one to tell
                    self._connection.execute("ROLLBACK")
            raise StoreError(f"SQLite file {self._path}: {error}") from error
        for held in self._held:
            held.clear()
        self._touches = 0

    @property
    def _held(self) -> Sequence[list[Any] | dict[Any, Any]]:
        rows = self._full, self._rivals, self._again, self._newest, self._credited
        return *rows, self._letters, self._grades, self._erased

    def _leave_out_erased(self) -> None:
        """Drop held rows of users whom another program has erased since."""
        if self._connection.execute("SELECT 1 FROM erasures LIMIT 1").fetchone() is None:
            return
        users = {row[0] for held in (self._full, self._rivals) for row in held}
        users.update((row[_AGAIN_KEY] for row in self._again), self._newest, (key[0] for key in self._credited))
        hashes = {user: hash_of(user) for user in users}
        until: dict[int, int] = dict(self._connection.execute(_ERASED, (json.dumps(list(hashes.values())),)))
        if not until:
            return

        def stays(user_id: str, event_time: int) -> bool:
            return until.get(hashes[user_id], -1) < event_time

        for held in (self._full, self._rivals):
            held[:] = [row for row in held if stays(row[0], row[1])]
        self._again[:] = [row for row in self._again if stays(row[_AGAIN_KEY], row[_AGAIN_KEY + 1])]
        self._newest = {user: row for user, row in self._newest.items() if stays(user, row[1])}
        self._credited = {key: credited for key, credited in self._credited.items() if stays(*key[:2])}

    def _credit(self) -> None:
        """Replace what conversions are credited to, of those that no greater version is known of."""
        for key, (version, model_id, touches) in sorted(self._credited.items(), key=itemgetter(0)):
            if self._connection.execute(_UPSERT_CREDIT, (*key, version, model_id)).rowcount:
                self._connection.execute(_DROP_TOUCHES, key)
                rows = ((*key, place, *touch) for place, touch in enumerate(touches))
                self._connection.executemany(_INSERT_TOUCH, rows)

    def _erase(self) -> None:
        if self._erased:
            self._connection.execute(
                "PRAGMA secure_delete = ON"
            )  # what goes is overwritten, once the log is in the file
            named = [(each.user_id, each.until) for each in self._erased if each.user_id is not None]
            for statement in _ERASE:
                self._connection.executemany(statement, named)
            self._connection.executemany(_NOTE_ERASURE, [(each.user_hash, each.until) for each in self._erased])

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


def _bounded(time: int) -> int:
    """A time as far as the file can compare it."""
    return min(max(time, -(2**63)), 2**63 - 1)


class SqliteReader:
    """Reads the file; every question sees the newest state that was written."""

    def __init__(self, path: Path) -> None:
        self._path, self._connection = path, connect(path)
        self._identity = identity(path)

    def _ask(self, statement: str, values: Sequence[object] = ()) -> Iterator[Any]:
        if identity(self._path) != self._identity:
            raise StoreError(f"SQLite file {self._path}: it was removed or replaced")
        with _plainly(self._path):
            yield from self._connection.execute(statement, values)

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
        return [Latest(*(*row[:-1], bool(row[-1]))) for row in rows]

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
        rows = self._ask(f'SELECT {_LETTER} FROM dead_letters ORDER BY source, "partition", "offset" LIMIT ?', (count,))
        return [DeadLetter(*row) for row in rows]

    def dead_letter(self, source: str, partition: int, offset: int) -> DeadLetter | None:
        """The dead letter of one place."""
        rows = self._ask(f"SELECT {_LETTER} FROM dead_letters WHERE {_IS_LETTER}", (source, partition, offset))
        return next((DeadLetter(*row) for row in rows), None)

    def each_dead_letter(self) -> Iterator[DeadLetter]:
        """All dead letters."""
        return (DeadLetter(*row) for row in self._ask(f"SELECT {_LETTER} FROM dead_letters"))

    def user_ids(self) -> list[str]:
        """The ids of all users."""
        return [user_id for (user_id,) in self._ask("SELECT user_id FROM latest_propensity")]

    def scores(self, user_ids: Sequence[str]) -> Iterator[list[Score]]:
        """All that is stored of each of the given users."""
        for user_id in user_ids:
            rows = self._ask(
                f"SELECT {_SCORE} FROM propensity_by_user WHERE user_id = ?"
                " ORDER BY event_time, instr('IM CL PS CN', event_type), event_key",
                (user_id,),
            )
            yield list(map(Score._make, rows))

    def credits(self, user_id: str, start: int | None = None, end: int | None = None) -> list[Conversion]:
        """The user's conversions between two times, and what they are credited to."""
        rows = self._ask(_CREDITS, (user_id, -(2**63) if start is None else start, 2**63 - 1 if end is None else end))
        return [
            Conversion(time, key, revenue, model_id, tuple(Share(*row[_OF_CONVERSION:]) for row in shares))
            for (time, key, revenue, model_id), shares in groupby(rows, key=itemgetter(*range(_OF_CONVERSION)))
        ]

    def credit_sums(self, start: int | None = None, end: int | None = None) -> list[CreditSum]:
        """Sums over the conversions of all users, from the rows as they are now."""
        first = _bounded(-(2**63) if start is None else start // _DAY * _DAY)
        last = _bounded(2**63 - 1 if end is None else (end // _DAY + 1) * _DAY - 1)
        rows = self._ask(_SUMS, (first, last))
        return [
            CreditSum(day, campaign, kind, tuple(sums[: len(RULES)]), tuple(sums[len(RULES) :]))
            for day, campaign, kind, *sums in rows
        ]

    def grades(self) -> list[Grade]:
        """The grades of all models."""
        return [Grade(*row) for row in self._ask(f"SELECT {_GRADE_COLUMNS} FROM grades ORDER BY model_id, kind, day")]

    def models(self) -> list[StoredModel]:
        """The models by which rows are scored."""
        return [StoredModel(*row) for row in self._ask(_MODELS)]

    def version(self, user_id: str) -> int | None:
        """The version of where a user stands."""
        return next(
            (row[0] for row in self._ask("SELECT version FROM latest_propensity WHERE user_id = ?", (user_id,))), None
        )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
