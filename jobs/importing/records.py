"""Avro containers of flat records -> the table `log`, each value as it was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import duckdb
import pyarrow as pa

from jobs.importing.letters import Letters
from jobs.importing.sources import Source
from jobs.importing.streams import run_on
from schemas.dead_letters import DeadLetter
from schemas.errors import ColumnsError, JobError
from schemas.logs.avro_log import AvroLog


def is_flat(sources: list[Source]) -> bool:
    """Whether containers have the same fields, and a column comes of each.

    Raises:
        JobError: one is broken.
    """
    schemas = []
    for source in sources:
        try:
            log = AvroLog(source.path)
            schemas.append([(name, _kind(log, name)) for name in log.names])
        except ColumnsError:
            return False
        except (OSError, ValueError, KeyError, EOFError, TypeError) as error:
            raise JobError(f"{source.path}: {' '.join(str(error).split())}") from None
    return all(schema == schemas[0] for schema in schemas)


def load_records(connection: duckdb.DuckDBPyConnection, sources: list[Source], letters: Letters) -> None:
    """Fill the table `log`; a record with a text that is not UTF-8 goes to `letters`.

    Raises:
        JobError: a container breaks off.
    """
    log = AvroLog(sources[0].path)
    schema = pa.schema([(name, _kind(log, name)) for name in log.names])
    batches = (batch for source in sources for batch in _batches(source, schema, letters))
    run_on(connection, "records_of_files", schema, batches, "CREATE TABLE log AS FROM records_of_files")


def _kind(log: AvroLog, name: str) -> pa.DataType:
    kind = log.type_of(name)
    is_text = pa.types.is_large_binary(kind) or pa.types.is_null(kind)
    return pa.large_string() if is_text else kind


def _batches(source: Source, schema: pa.Schema, letters: Letters) -> Iterator[pa.RecordBatch]:
    log = AvroLog(source.path)
    rows = log.read({name: name for name in log.names}, 0)
    while True:
        try:
            found = next(rows)
        except StopIteration:
            return
        except (OSError, ValueError) as error:
            raise JobError(f"{source.path}: {' '.join(str(error).split())}") from None
        letters.add(replace(letter, payload=b"null") for letter in found.letters)
        columns = found.columns
        try:
            yield columns.cast(schema)
        except pa.ArrowInvalid:
            good = [_is_readable(columns, row, schema) for row in range(len(columns))]
            for row in (row for row, is_good in enumerate(good) if not is_good):
                values = {name: str(columns.column(name)[row].as_py()) for name in columns.schema.names}
                number, payload = int(found.offsets[row]), json.dumps(values).encode()
                letters.add([DeadLetter(str(source.path), 0, number, "not_utf8", "a text is", payload)])
            yield columns.filter(pa.array(good)).cast(schema)


def _is_readable(columns: pa.RecordBatch, row: int, schema: pa.Schema) -> bool:
    try:
        columns.slice(row, 1).cast(schema)
    except pa.ArrowInvalid:
        return False
    return True
