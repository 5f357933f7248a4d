"""Writes the file in transactions."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure
from schemas.errors import StoreError
from schemas.flow_status import FlowStatus
from schemas.grades import Grade
from schemas.scored import Propensity, ScoredRows
from schemas.stored_models import StoredModel
from stores.held_rows import HeldRows
from stores.sqlite.database import connect, identity, reach, store_errors
from stores.sqlite.statements import (
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
"""Rows that are held at most before they are written without a `push`."""


class SqliteWriter:
    """Writes rows in transactions of at most `HELD_ROWS`; several processes take turns.

    Raises:
        StoreError: the file cannot be opened, or is not a database.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> writer = SqliteWriter(Path(folder.name) / "rows.db")
    >>> writer.erase([Erasure.of("user-17", until=1_498_089_600_000)])
    >>> writer.flush()
    >>> [(each.user_hash, each.until) for each in writer.erasures()], writer.is_empty()
    ([(9048858901848095873, 1498089600000)], True)
    >>> writer.close()
    >>> folder.cleanup()
    """

    push_interval = 0.25
    """Seconds: shorter intervals would cost more than readers gain."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path)
        self._identity = identity(path)
        with store_errors(path):
            self._connection.execute("PRAGMA cache_size = -200000")  # 200 MB: an old log is loaded in no order of users
            self._connection.execute("PRAGMA wal_autocheckpoint = 16384")
        self._held = HeldRows()

    @property
    def store_id(self) -> str:
        """Identifies this store; another one made later at the same place has another id."""
        with store_errors(self._path):
            return "".join(name for (name,) in self._connection.execute("SELECT id FROM store"))

    def write(self, rows: ScoredRows) -> None:
        """Take rows."""
        self._held.take(rows)
        if len(self._held) >= HELD_ROWS:
            self.flush()

    def write_latest(self, rows: Sequence[Propensity]) -> None:
        """Take users' latest rows."""
        self._held.take_latest(rows)

    def write_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters."""
        self._held.letters += ((letter, True) for letter in letters)

    def clear_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters to delete."""
        self._held.letters += ((letter, False) for letter in letters)

    def write_grades(self, grades: Sequence[Grade]) -> None:
        """Take grades."""
        self._held.grades += grades

    def erase(self, erasures: Sequence[Erasure]) -> None:
        """Take erasures."""
        self._held.erased += erasures

    def erasures(self) -> list[Erasure]:
        """All recorded erasures."""
        return [Erasure(*row) for row in self._apart("SELECT user_hash, until FROM erasures")]

    def models(self) -> list[StoredModel]:
        """The models."""
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
        """Replace a process's status."""
        self._apart("INSERT OR REPLACE INTO flow_status VALUES (?, ?)", (status.process, status.to_json()))

    def provenance(self) -> str | None:
        """What filled the store."""
        return next((text for (text,) in self._apart("SELECT told FROM provenance")), None)

    def note_provenance(self, text: str, before: str | None) -> None:
        """Record what fills the store, unless that has changed."""
        if before is None:
            self._apart("INSERT INTO provenance SELECT ? WHERE NOT EXISTS (SELECT 1 FROM provenance)", (text,))
        else:
            self._apart("UPDATE provenance SET told = ? WHERE told = ?", (text, before))

    def is_empty(self) -> bool:
        """Whether nothing is stored."""
        return not any(self._apart(f"SELECT 1 FROM {table} LIMIT 1") for table in FILLED)

    def _apart(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement on a connection of its own: any thread may, and held rows are not involved."""
        with store_errors(self._path), contextlib.closing(reach(self._path)) as connection:
            return connection.execute(statement, values).fetchall()

    def push(self) -> None:
        """Write all held rows."""
        self.flush()

    def flush(self) -> None:
        """Write all held rows in one transaction."""
        if not self._held:
            return
        if identity(self._path) != self._identity:
            raise StoreError(f"SQLite file {self._path}: it was removed or replaced while it was written")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._write_held()
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # the first error is the one to report
                    self._connection.execute("ROLLBACK")
            raise StoreError(f"SQLite file {self._path}: {error}") from error
        self._held.clear()

    def _write_held(self) -> None:
        held, write = self._held, self._connection.executemany
        if self._connection.execute("SELECT 1 FROM erasures LIMIT 1").fetchone() is not None:
            held.drop_erased(lambda hashes: dict(self._connection.execute(ERASED, (json.dumps(hashes),))))
        held.full.sort(key=lambda row: (row[0], -row[1]))  # neighbours in a table are written together
        write(UPSERT, held.full)
        write(RIVAL, held.rivals)
        write(UPDATE_COMPUTED, held.again)
        write(UPSERT_LATEST, [held.latest[user] for user in sorted(held.latest)])
        self._credit()
        for is_kept, letters in groupby(held.letters, key=itemgetter(1)):
            if is_kept:
                write(UPSERT_LETTER, (astuple(letter) for letter, _ in letters))
            else:
                write(CLEAR_LETTER, (letter.place for letter, _ in letters))
        write(UPSERT_GRADE, (grade.values for grade in held.grades))
        self._erase()

    def _credit(self) -> None:
        """Replace the credit of conversions, except where a greater version is stored."""
        for key, (*values, touches) in sorted(self._held.credited.items(), key=itemgetter(0)):
            if self._connection.execute(UPSERT_CREDIT, (*key, *values)).rowcount:
                self._connection.execute(DROP_TOUCHES, key)
                rows = ((*key, place, *touch) for place, touch in enumerate(touches))
                self._connection.executemany(INSERT_TOUCH, rows)

    def _erase(self) -> None:
        erased = self._held.erased
        if erased:
            # Deleted rows are overwritten, once the write-ahead log is in the file.
            self._connection.execute("PRAGMA secure_delete = ON")
            named = [(each.user_id, each.until) for each in erased if each.user_id is not None]
            for statement in ERASE:
                self._connection.executemany(statement, named)
            self._connection.executemany(NOTE_ERASURE, [(each.user_hash, each.until) for each in erased])

    def close(self) -> None:
        """Close the file, with all flushed rows in it rather than in the write-ahead log beside it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout = 1000")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
