"""Writes the file, in transactions."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.credits import PARTS, RULES
from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure, hash_of
from schemas.errors import StoreError
from schemas.event_types import TYPES
from schemas.events import TEXTS, EventBatch
from schemas.flow_status import FlowStatus
from schemas.grades import Grade
from schemas.scored import COMPUTED_AGAIN, Propensity, ScoredRows
from schemas.stored_models import StoredModel
from stores.sqlite.database import connect, identity, plainly, reach
from stores.sqlite.statements import (
    BODY_TEXTS,
    CLEAR_LETTER,
    DROP_TOUCHES,
    ERASE,
    ERASED,
    FILLED,
    GRADE_COLUMNS,
    INSERT_TOUCH,
    MODELS,
    NOTE_ERASURE,
    RIVAL,
    UPDATE_COMPUTED,
    UPSERT,
    UPSERT_CREDIT,
    UPSERT_GRADE,
    UPSERT_LATEST,
    UPSERT_LETTER,
)

HELD_ROWS = 100_000
"""Rows held before they are written without being asked to."""
_KINDS = (*TYPES, "")
"""Types of touches by number; the last, BASELINE, is none."""
_AGAIN_KEY = 4
"""Where the key begins in the values of that."""


def _bodies(events: EventBatch, rows: NDArray[np.integer]) -> Iterator[tuple[Any, ...]]:
    """The bodies of the given rows of a batch, without their types."""
    texts = [events.texts(TEXTS.index(name), rows) for name in BODY_TEXTS]
    quantities, revenues = events.rows["quantity"][rows], events.rows["revenue"][rows] + 0.0  # -0.0 is 0.0
    return zip(*texts, quantities.tolist(), revenues.tolist(), strict=True)


class _Credited(NamedTuple):
    """What a conversion is to its order, when that was, and what it is credited to: its touches, and the baseline."""

    part: str
    order_time: int
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
        with plainly(path):
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
        with plainly(self._path):
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
                    PARTS[credits["part"][start]],
                    int(credits["order_time"][start]),
                    versions[outcome],
                    rows.models[rows.model[outcome]],
                    touches[start:stop],
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
            (UPSERT_LETTER, (x.source, x.partition, x.offset, x.reason, x.detail, x.payload)) for x in letters
        ]

    def clear_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters that are to go."""
        self._letters += [(CLEAR_LETTER, (x.source, x.partition, x.offset)) for x in letters]

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
        return [StoredModel(*row) for row in self._apart(MODELS)]

    def grades(self) -> list[Grade]:
        """The grades of all models."""
        return [Grade(*row) for row in self._apart(f"SELECT {GRADE_COLUMNS} FROM grades")]

    def add_model(self, model: StoredModel) -> None:
        """Add a model."""
        self._apart("INSERT INTO models VALUES (?, ?, ?) ON CONFLICT DO NOTHING", astuple(model))

    def remove_model(self, model: StoredModel) -> None:
        """Remove a model."""
        self._apart("DELETE FROM models WHERE valid_from = ? AND model_id = ?", (model.valid_from, model.model_id))

    def note_status(self, status: FlowStatus) -> None:
        """Note how a process of the flow is."""
        self._apart("INSERT OR REPLACE INTO flow_status VALUES (?, ?)", (status.process, status.to_json()))

    def provenance(self) -> str | None:
        """What filled the store."""
        return next((text for (text,) in self._apart("SELECT told FROM provenance")), None)

    def note_provenance(self, text: str, before: str | None) -> None:
        """Note what fills the store, unless that has changed."""
        if before is None:
            self._apart("INSERT INTO provenance SELECT ? WHERE NOT EXISTS (SELECT 1 FROM provenance)", (text,))
        else:
            self._apart("UPDATE provenance SET told = ? WHERE told = ?", (text, before))

    def is_empty(self) -> bool:
        """Whether nothing is stored."""
        return not any(self._apart(f"SELECT 1 FROM {table} LIMIT 1") for table in FILLED)

    def _apart(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Do a statement through a connection of its own, as any thread may, and beside what is held."""
        with plainly(self._path), contextlib.closing(reach(self._path)) as connection:
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
            self._connection.executemany(UPSERT, self._full)
            self._connection.executemany(RIVAL, self._rivals)
            self._connection.executemany(UPDATE_COMPUTED, self._again)
            self._connection.executemany(UPSERT_LATEST, [self._newest[user] for user in sorted(self._newest)])
            self._credit()
            for statement, letters in groupby(self._letters, key=itemgetter(0)):
                self._connection.executemany(statement, (values for _, values in letters))
            self._connection.executemany(UPSERT_GRADE, self._grades)
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
        until: dict[int, int] = dict(self._connection.execute(ERASED, (json.dumps(list(hashes.values())),)))
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
        for key, (*values, touches) in sorted(self._credited.items(), key=itemgetter(0)):
            if self._connection.execute(UPSERT_CREDIT, (*key, *values)).rowcount:
                self._connection.execute(DROP_TOUCHES, key)
                rows = ((*key, place, *touch) for place, touch in enumerate(touches))
                self._connection.executemany(INSERT_TOUCH, rows)

    def _erase(self) -> None:
        if self._erased:
            self._connection.execute(
                "PRAGMA secure_delete = ON"
            )  # what goes is overwritten, once the log is in the file
            named = [(each.user_id, each.until) for each in self._erased if each.user_id is not None]
            for statement in ERASE:
                self._connection.executemany(statement, named)
            self._connection.executemany(NOTE_ERASURE, [(each.user_hash, each.until) for each in self._erased])

    def close(self) -> None:
        """Close the file, with all that was flushed in it rather than beside it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout = 1000")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
