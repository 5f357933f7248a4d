"""The file: made whole, opened, and told from another of its name."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from schemas.errors import StoreError

SCHEMA = Path(__file__).parents[2] / "schemas" / "sqlite.sql"
VERSION = 4
"""Version of the tables."""
PATIENCE = 60
"""Seconds to wait for another process's write."""
_NAME_STORE = "INSERT INTO store SELECT hex(randomblob(8)) WHERE NOT EXISTS (SELECT 1 FROM store)"


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, and make it with its tables where it is missing.

    Raises:
        StoreError: it cannot be opened, or is not a database.
    """
    with plainly(path):
        if not path.parent.is_dir():
            raise StoreError(f"SQLite file {path}: no such folder")
        if not path.exists():
            _create(path)
        return _open(path)


@contextlib.contextmanager
def plainly(path: Path) -> Iterator[None]:
    """Turn what an exchange with the file may raise into a `StoreError`."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"SQLite file {path}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise StoreError(f"SQLite file {path}: {error}") from error


def reach(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Connect to a file that is there; with the mode `rwc` to one that may not be."""
    address = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(address, PATIENCE, isolation_level=None, check_same_thread=False, uri=True)


def _open(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Open a file of this version, or an empty one, which becomes a store of its own."""
    with contextlib.ExitStack() as undo:
        connection = undo.enter_context(contextlib.closing(reach(path, mode)))
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
        draft.touch(0o600)  # it holds people, and what SQLite puts beside it gets its mode
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
