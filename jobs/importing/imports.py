"""An import from its files to its report."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np

from jobs.bars import progress
from jobs.console import say
from jobs.importing.delimited import load_delimited
from jobs.importing.header_row import read_names
from jobs.importing.letters import Letters
from jobs.importing.mapping import Mapped, map_rows, mapped_rows
from jobs.importing.names import literal
from jobs.importing.query import Query
from jobs.importing.records import is_flat, load_records
from jobs.importing.sources import Source, find_sources
from jobs.importing.structured import load_objects, load_parquet
from jobs.log_options import print_remarks, print_span
from schemas.errors import JobError
from schemas.logs.columns import ColumnBatch, decode_columns
from schemas.logs.log_writer import LogWriter
from schemas.logs.spans import Span
from schemas.logs.times import AS_FOUND, TimeFormat

MEMORY = "1GB"
"""What DuckDB may hold in memory; more goes to temporary files."""


def import_log(
    logs: list[Path],
    sql: str,
    to: Path,
    rejected: Path | None = None,
    columns: Path | None = None,
    times: TimeFormat = AS_FOUND,
) -> None:
    """Map the rows of some files with `sql` (a SELECT from the table `log`), and write the valid ones in time order.

    Raises:
        JobError: a file cannot be read, or the query is wrong or does not give the event's columns.
        ColumnsError: a column is of a type that no field of an event can have.
        LogFileError: a file cannot be read or written.
    """
    sources = find_sources(logs)
    _check_outputs([source.path for source in sources], columns, to, rejected)
    names = None if columns is None else read_names(columns)
    if names is not None and sources[0].kind != ".csv":
        raise JobError("--columns: only text without a header needs them")
    with LogWriter(to) as out, Letters(rejected) as letters, _database(times.zone) as (connection, folder):
        try:
            _load(connection, sources, names, letters, folder)
            mapped = map_rows(connection, Query(connection, sql).typed(), times)
            span, written = _write(connection, mapped, str(sources[0].path), out, letters)
        except duckdb.Error as error:
            raise JobError(str(error).strip().splitlines()[0]) from None
        unread = letters.count - (mapped.rows - written)
    place = f"in {to}" if written else f"({to} is not written)"
    say(f"{mapped.rows + unread:,} rows: {written:,} events {place}, {letters.count:,} rejected")
    letters.report()
    _report(mapped, span)


def _check_outputs(sources: list[Path], columns: Path | None, to: Path, rejected: Path | None) -> None:
    outputs = [("--to", to)] + ([] if rejected is None else [("--rejected", rejected)])
    for name, path in outputs:
        for source in (*sources, *([columns] if columns else [])):
            if _is_same(path, source):
                raise JobError(f"{name}: {path} is {'the log itself' if source != columns else 'the --columns file'}")
        if path.is_dir():
            raise JobError(f"{name}: {path}: is a directory")
        if not path.parent.is_dir():
            raise JobError(f"{name}: {path}: no such folder")
    if rejected is not None and _is_same(to, rejected):
        raise JobError(f"--rejected: {rejected} is the file of --to")


def _is_same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


@contextmanager
def _database(zone: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """A database in a folder of its own, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="ad-streams-import-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        settings = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": MEMORY,
            "temp_directory": str(folder / "spilled"),
        }
        connection = duckdb.connect(str(folder / "log.db"), config=settings)  # type: ignore[arg-type]
        try:
            connection.execute("SET python_enable_replacements = false")  # names are of tables, not of our variables
            try:
                connection.execute(f"SET TimeZone = {literal(zone)}")
            except duckdb.Error:
                raise JobError(f"--time-zone: DuckDB knows no zone {zone!r}") from None
            yield connection, folder
        finally:
            connection.close()


def _load(
    connection: duckdb.DuckDBPyConnection,
    sources: list[Source],
    names: tuple[str, ...] | None,
    letters: Letters,
    folder: Path,
) -> None:
    match sources[0].kind:
        case ".parquet":
            load_parquet(connection, sources, folder)
        case ".csv":
            load_delimited(connection, sources, names, letters)
        case ".avro" if is_flat(sources):
            load_records(connection, sources, letters)
        case _:
            load_objects(connection, sources, letters)


def _write(
    connection: duckdb.DuckDBPyConnection, mapped: Mapped, name: str, out: LogWriter, letters: Letters
) -> tuple[Span, int]:
    """Write the valid rows: when they were, and how many there are."""
    row = written = 0
    span = Span()
    with progress() as bar:
        task = bar.add_task("importing", total=mapped.rows)
        for columns in mapped_rows(connection, mapped.has_made_ids):
            offsets = row + 1 + np.arange(len(columns))
            row += len(columns)
            decoded = decode_columns(ColumnBatch(name, offsets, columns, [], row, mapped.times), timedelta(0))
            letters.add(decoded.letters)
            bar.advance(task, len(columns))
            if len(decoded.events):
                out.write(decoded.events)
                span.add(decoded.events.rows["timestamp"])
                written += len(decoded.events)
    return span, written


def _report(mapped: Mapped, span: Span) -> None:
    if mapped.times.words:
        say(f"times: {mapped.times.words}")
    if mapped.equal:
        say(
            f"{mapped.equal:,} rows are equal to an earlier one; all count, each with an id of its own "
            "(SELECT DISTINCT takes equal rows once)"
        )
    print_remarks(list(mapped.warnings))
    if span.words:
        print_span(span)
