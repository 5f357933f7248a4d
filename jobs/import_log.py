"""Somebody's log -> a log in the event's columns, mapped with SQL."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np

from jobs.bars import progress
from jobs.problems import JobError
from schemas.columns import ColumnBatch, ColumnsError, check_columns, decode_columns
from schemas.dead_letters import REASONS, DeadLetter
from schemas.log_writer import LogWriter

ROWS = 50_000
"""Rows decoded at a time."""


def import_log(log: Path, sql: str, to: Path, rejected: Path | None = None) -> None:
    """Map the rows of `log` with `sql` (a SELECT from the table `log`), and write the valid ones in time order.

    Where the query gives no event_id, a row's id is a hash of the row and its number among equal rows, so that the same
    row has the same id at every import. Rejected rows are summed up by reason, and kept in `rejected` if it is given.

    Raises:
        JobError: the log cannot be read, or the query is wrong or does not give the event's columns.
        ColumnsError: a column is of a type that no field of an event can have.
        LogFileError: the file cannot be written.
    """
    for name, path in (("--to", to), ("--rejected", rejected)):
        if path is not None and path.exists() and log.exists() and path.samefile(log):
            raise JobError(f"{name}: {path} is the log itself")
    written = 0
    connection = _mapped(log, sql)
    letters = _unread(connection, log)
    unread = len(letters)
    ((total,),) = connection.sql("SELECT count(*) FROM mapped").fetchall()
    with LogWriter(to) as out, progress() as bar:
        task = bar.add_task("importing", total=total)
        row = 0
        for columns in connection.sql("SELECT * FROM mapped ORDER BY timestamp, event_id").to_arrow_reader(ROWS):
            offsets = row + 1 + np.arange(len(columns))
            row += len(columns)
            decoded = decode_columns(ColumnBatch(str(log), offsets, columns, [], row), timedelta(0))
            out.write(decoded.events)
            written += len(decoded.events)
            letters += decoded.letters
            bar.advance(task, len(columns))
    print(f"{total + unread:,} rows: {written:,} events in {to}, {len(letters):,} rejected")
    _report(letters)
    if rejected is not None:
        rejected.write_text("".join(_json_line(letter) for letter in letters))


def _mapped(log: Path, sql: str) -> duckdb.DuckDBPyConnection:
    """A connection with the table `mapped`: the rows of the query, with event ids."""
    if not log.is_file():
        raise JobError(f"{log}: no such file")
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    connection.sql("SET TimeZone = 'UTC'")  # of times that name none
    try:
        if log.suffix.lower() == ".parquet":
            connection.read_parquet(str(log)).create_view("log")
        else:  # all of it decides about the types, and a line that has other columns does not stop it
            connection.read_csv(str(log), sample_size=-1, store_rejects=True).create_view("log")
    except (duckdb.Error, OSError) as error:
        raise JobError(f"{log}: {_first_line(error)}") from None
    try:
        query = connection.sql(sql)
        if query is None:
            raise JobError("--sql: not a SELECT")
        query.create_view("chosen")
        try:
            check_columns(["event_id", *(name for name in query.columns if name != "event_id")])
        except ColumnsError as error:
            raise JobError(f"--sql: {error}") from None
        made = "" if "event_id" in query.columns else _MADE_ID
        times = _TIMES if query.types[query.columns.index("timestamp")] == "VARCHAR" else ""
        connection.sql(f"CREATE TABLE mapped AS SELECT *{times}{made} FROM chosen")
    except duckdb.Error as error:
        raise JobError(f"--sql: {_first_line(error)}") from None
    return connection


def _unread(connection: duckdb.DuckDBPyConnection, log: Path) -> list[DeadLetter]:
    """Dead letters for the lines of a CSV that are no rows."""
    if log.suffix.lower() == ".parquet":
        return []
    rows = connection.sql(
        "SELECT line, any_value(csv_line), any_value(error_message) FROM reject_errors GROUP BY line ORDER BY line"
    ).fetchall()
    return [
        DeadLetter(str(log), 0, line, "wrong_shape", error.splitlines()[0], json.dumps(text).encode())
        for line, text, error in rows
    ]


_TIMES = " REPLACE (coalesce(CAST(epoch_ms(TRY_CAST(timestamp AS TIMESTAMPTZ)) AS VARCHAR), timestamp) AS timestamp)"
"""One value that is no time makes texts of a CSV's whole column: those that are times are read none the less."""
_MADE_ID = """, left(md5(CAST(to_json(chosen) AS VARCHAR)), 16) || '-' ||
  row_number() OVER (PARTITION BY CAST(to_json(chosen) AS VARCHAR)) AS event_id"""


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _report(letters: list[DeadLetter]) -> None:
    for reason, count in Counter(letter.reason for letter in letters).most_common():
        first = next(letter for letter in letters if letter.reason == reason)
        print(f"  {count:,} {reason} ({REASONS[reason]}); the first: {first.detail}: {first.payload.decode()}")


def _json_line(letter: DeadLetter) -> str:
    line = {"reason": letter.reason, "detail": letter.detail, "values": json.loads(letter.payload)}
    return json.dumps(line, ensure_ascii=False) + "\n"
