"""The query's rows -> the table `mapped`: columns under the names of the event's fields, ids, and times in ms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from jobs.importing.names import identifier
from jobs.importing.streams import run_on
from schemas.errors import ColumnsError, JobError, TimesError
from schemas.logs.column_names import OPTIONAL, REQUIRED, match_columns, nearest
from schemas.logs.time_finding import find_time_format
from schemas.logs.times import TimeFormat, to_milliseconds

ROWS = 50_000
"""Rows that are held at a time."""
_WHOLE = {f"{sign}{size}" for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")}


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of a query: `rows` in all, of which `equal` repeat another; how times are written; the rest."""

    rows: int
    equal: int
    times: TimeFormat
    has_made_ids: bool
    warnings: tuple[str, ...]


def map_rows(connection: duckdb.DuckDBPyConnection, sql: str, asked: TimeFormat) -> Mapped:
    """Fill the table `mapped` with the rows of a query, and a column `instant` of ms since 1970.

    Where the query gives no event_id, it is a hash of the texts of the row and the row's number among equal ones.

    Raises:
        JobError: the query fails, gives no columns of events, or its times can be read in several ways.
    """
    try:
        chosen = connection.sql(sql)
        names, kinds = chosen.columns, [str(kind) for kind in chosen.types]
        is_made = "event_id" not in {name.lower() for name in names}
        fields = _match(names, REQUIRED[1:] if is_made else REQUIRED)
        listed = [f"{_value(name, kinds[names.index(name)], field)} AS {field}" for field, name in fields.items()]
        made = [f"left(md5({_text(names, kinds)}), 16) AS made"] if is_made else []
        connection.execute(f"CREATE TABLE chosen AS SELECT {', '.join(listed + made)} FROM ({sql})")
    except duckdb.Error as error:
        raise JobError(f"--sql: {_first_line(error)}") from None
    number = "*, row_number() OVER (PARTITION BY made) AS number" if is_made else "*"
    try:
        times = find_time_format(_times(connection), asked)
        _with_instants(connection, number, times)
    except TimesError as error:
        raise JobError(f"--sql: timestamp: {error}") from None
    ((rows, equal),) = connection.execute(
        f"SELECT count(*), {'count(*) FILTER (number > 1)' if is_made else '0'} FROM mapped"
    ).fetchall()
    return Mapped(rows, equal, times, is_made, tuple(_unknown(names, set(fields.values()))))


def mapped_rows(connection: duckdb.DuckDBPyConnection, has_made_ids: bool) -> Iterator[pa.RecordBatch]:
    """The rows in the order of time, and of ids at one time."""
    made = "EXCLUDE (instant, made, number), made || '-' || number AS event_id" if has_made_ids else "EXCLUDE instant"
    yield from connection.sql(f"SELECT * {made} FROM mapped ORDER BY instant, event_id").to_arrow_reader(ROWS)


def _match(names: list[str], needed: Sequence[str]) -> dict[str, str]:
    try:
        return match_columns(names, needed)
    except ColumnsError as error:
        raise JobError(f"--sql: {error}") from None


def _value(name: str, kind: str, field: str) -> str:
    """A column as it goes on: of types that others do not know, its text."""
    column = identifier(name)
    if kind == "JSON":
        return f"({column} ->> '$')"
    if field != "timestamp" and kind in ("UUID", "HUGEINT", "UHUGEINT", "BIGNUM"):
        return f"CAST({column} AS VARCHAR)"
    return column


def _text(names: list[str], kinds: list[str]) -> str:
    """A row's texts, by name: the same for the same row, whatever type the rest of a file gives its columns."""
    texts = []
    for name, kind in sorted(zip(names, kinds, strict=True), key=lambda each: each[0].lower()):
        column, label = identifier(name), name.lower().replace("'", "''")
        texts.append(f"'{label}=' || {_canonical(column, kind)}")
    return f"CAST(to_json(list_filter([{', '.join(texts)}], lambda each: each IS NOT NULL)) AS VARCHAR)"


def _canonical(column: str, kind: str) -> str:
    if kind == "VARCHAR" or kind in _WHOLE:
        return f"CAST({column} AS VARCHAR)"
    if kind in ("DOUBLE", "FLOAT"):
        whole = f"CAST(CAST({column} AS HUGEINT) AS VARCHAR)"
        is_whole = f"abs({column}) < 1e15 AND {column} = trunc({column})"
        return f"CASE WHEN {is_whole} THEN {whole} ELSE CAST({column} AS VARCHAR) END"
    if kind.startswith("DECIMAL"):
        return (
            f"regexp_replace(CAST({column} AS VARCHAR), '\\.?0*$', '')"
            if not kind.endswith(",0)")
            else (f"CAST({column} AS VARCHAR)")
        )
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"CAST({column} AT TIME ZONE 'UTC' AS VARCHAR)"
    if kind.startswith(("TIMESTAMP", "DATE", "TIME", "BOOL", "UUID", "ENUM")):
        return f"CAST({column} AS VARCHAR)"
    return f"CAST(to_json({column}) AS VARCHAR)"


def _times(connection: duckdb.DuckDBPyConnection) -> Iterator[pa.Array]:
    for columns in connection.cursor().sql("SELECT timestamp FROM chosen").to_arrow_reader(ROWS):
        yield columns.column(0)


def _with_instants(connection: duckdb.DuckDBPyConnection, chosen: str, times: TimeFormat) -> None:
    """Make the table `mapped` of `chosen`."""
    source = connection.cursor().sql(f"SELECT {chosen} FROM chosen").to_arrow_reader(ROWS)
    schema = source.schema.append(pa.field("instant", pa.int64()))

    def batches() -> Iterator[pa.RecordBatch]:
        for columns in source:
            instants, good = to_milliseconds(columns.column("timestamp"), times)
            yield pa.RecordBatch.from_arrays([*columns.columns, pa.array(instants, mask=~good)], schema=schema)

    run_on(connection, "placed", schema, batches(), "CREATE TABLE mapped AS FROM placed")
    connection.execute("DROP TABLE chosen")


def _unknown(names: list[str], known: set[str]) -> Iterator[str]:
    for name in names:
        if name not in known:
            near = nearest(name, (*REQUIRED, *OPTIONAL))
            yield f"column {name!r} is not an event column and is left out{f'; did you mean {near!r}?' if near else ''}"


def _first_line(error: Any) -> str:
    return str(error).strip().splitlines()[0]
