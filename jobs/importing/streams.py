"""Batches of rows -> a statement of DuckDB that reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import duckdb
import pyarrow as pa


def run_on(
    connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch], sql: str
) -> None:
    """Run a statement that reads batches as the table `name`.

    Raises:
        Exception: what making the batches raised, as it was: DuckDB would wrap it into a traceback.
    """
    failures = list[Exception]()

    def watched() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except Exception as error:
            failures.append(error)
            raise

    connection.register(name, pa.RecordBatchReader.from_batches(schema, watched()))
    try:
        connection.execute(sql)
    except duckdb.Error:
        if failures:
            raise failures[0] from None
        raise
    finally:
        connection.unregister(name)
