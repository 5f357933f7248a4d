"""Creating, opening and identifying the file."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from schemas.errors import StoreError
from schemas.event_fields import STORED, Column

SCHEMA = Path(__file__).parents[2] / "schemas" / "sqlite.sql"
VERSION = 4
"""Version of the tables."""
KINDS = {str: "TEXT", int: "INTEGER", float: "REAL"}
"""Types of the event's columns."""
PATIENCE = 60
"""Seconds to wait for another process's write."""
_NAME_STORE = "INSERT INTO store SELECT hex(randomblob(8)) WHERE NOT EXISTS (SELECT 1 FROM store)"


def connect(path: Path) -> sqlite3.Connection:
    """Open the file; create it with its tables where it does not exist.

    Raises:
        StoreError: it cannot be opened, or is not a database.
    """
    with store_errors(path):
        if not path.parent.is_dir():
            raise StoreError(f"SQLite file {path}: no such folder")
        if not path.exists():
            _create(path)
        return _open(path)


@contextlib.contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Raise SQLite's and the file system's errors as a `StoreError` of one line."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"SQLite file {path}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise StoreError(f"SQLite file {path}: {error}") from error


def reach(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Connect to an existing file; the mode `rwc` creates it."""
    address = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(address, PATIENCE, isolation_level=None, check_same_thread=False, uri=True)


def _open(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Open a file of this version, or make a new store of an empty one."""
    with contextlib.ExitStack() as undo:
        connection = undo.enter_context(contextlib.closing(reach(path, mode)))
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # an epoch is committed after its rows: they must be on disk
        ((version,),) = connection.execute("PRAGMA user_version")
        ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
        if tables and version != VERSION:
            raise StoreError(f"SQLite file {path}: its tables are of version {version}, this program uses {VERSION}")
        connection.executescript(f"{SCHEMA.read_text()} PRAGMA user_version = {VERSION};")
        _add_columns(connection)
        if not connection.execute("SELECT count(*) FROM store").fetchone()[0]:
            connection.execute(_NAME_STORE)
        undo.pop_all()
    return connection


def _add_columns(connection: sqlite3.Connection) -> None:
    """Give a file of an earlier version the event's columns that it lacks, with their defaults."""
    if not _missing_columns(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    for column in _missing_columns(connection):  # another process may have been faster
        default = repr(column.default)  # a literal of SQL too
        connection.execute(
            f"ALTER TABLE propensity_by_user ADD COLUMN {column.name} {KINDS[column.kind]} NOT NULL DEFAULT {default}"
        )
    connection.execute("COMMIT")


def _missing_columns(connection: sqlite3.Connection) -> list[Column]:
    there = {name for _, name, *_ in connection.execute("PRAGMA table_info(propensity_by_user)")}
    return [column for column in STORED if column.name not in there]


def _create(path: Path) -> None:
    """Complete the file before it gets its name: two processes that switch it to WAL at once lock each other out."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        draft = Path(folder) / path.name
        draft.touch(0o600)  # it holds personal data; SQLite's files beside it get its mode
        _open(draft, "rwc").close()
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)


def identity(path: Path) -> tuple[int, int] | None:
    """What identifies the file at this path; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
