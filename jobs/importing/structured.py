"""JSON, Avro containers and Parquet -> the view `log`, texts as they are written."""

from __future__ import annotations

import base64
import itertools
import json
import math
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import fastavro
import pyarrow as pa
import pyarrow.parquet

from jobs.importing.letters import Letters
from jobs.importing.names import identifier, literal
from jobs.importing.sources import Source
from jobs.importing.streams import run_on
from schemas.dead_letters import DeadLetter
from schemas.errors import JobError
from schemas.logs.json_elements import elements
from schemas.logs.log_bytes import BROKEN, open_bytes

LONGEST = 1 << 21
"""Bytes of the longest object that is a row."""
_ROWS = 10_000
_UTF8 = "decode({0}) AS {0}"
_UUID = r"regexp_replace(lower(hex({0})), '^(.{{8}})(.{{4}})(.{{4}})(.{{4}})(.{{12}})$', '\1-\2-\3-\4-\5') AS {0}"


def load_parquet(connection: duckdb.DuckDBPyConnection, sources: list[Source], folder: Path) -> None:
    """Make the view `log` of Parquet files; a column that one of the files lacks is NULL in its rows."""
    links = []
    fixed: dict[str, bool] = {}
    for number, source in enumerate(sources):  # a name in DuckDB is a pattern
        try:
            with pyarrow.parquet.ParquetFile(source.path) as file:
                fixed |= _bytes_of(file.schema_arrow)
        except (OSError, pa.ArrowException) as error:
            raise JobError(f"{source.path}: {' '.join(str(error).split())}") from None
        link = folder / f"source-{number}.parquet"
        link.symlink_to(source.path.resolve())
        links.append(literal(str(link)))
    files = f"[{', '.join(links)}], union_by_name=true, hive_partitioning=false"
    if any(fixed.values()):  # DuckDB would take 16 bytes of a UUID for text
        texts = [f"{(_UUID if of_uuid else _UTF8).format(identifier(name))}" for name, of_uuid in fixed.items()]
        columns = f"* REPLACE ({', '.join(texts)})"
        connection.execute(f"CREATE VIEW log AS SELECT {columns} FROM read_parquet({files}, binary_as_string=false)")
    else:
        connection.execute(f"CREATE VIEW log AS FROM read_parquet({files}, binary_as_string=true)")


def _bytes_of(schema: pa.Schema) -> dict[str, bool]:
    """The columns of bytes, and whether each holds UUIDs: values of 16 fixed bytes, as where the flow reads them."""
    is_fixed, is_binary = pa.types.is_fixed_size_binary, pa.types.is_binary
    return {
        column.name.lower(): is_fixed(column.type) and column.type.byte_width == 16
        for column in schema
        if is_fixed(column.type) or is_binary(column.type) or pa.types.is_large_binary(column.type)
    }


def load_objects(connection: duckdb.DuckDBPyConnection, sources: list[Source], letters: Letters) -> None:
    """Make the view `log` of the objects in JSON files or Avro containers.

    Types are those of JSON: texts stay texts whatever they look like, whole numbers are BIGINT, others DOUBLE. A key
    with values of several kinds is a text.

    Raises:
        JobError: there is no object, or a file breaks off.
    """
    numbers = _Numbers()
    schema = pa.schema([("object", pa.large_string())])
    batches = itertools.chain.from_iterable(_batches(source, letters, numbers) for source in sources)
    run_on(connection, "objects_of_files", schema, batches, "CREATE TABLE objects AS FROM objects_of_files")
    ((structure,),) = connection.execute(
        "SELECT CAST(json_group_structure(CAST(object AS JSON)) AS VARCHAR) FROM objects"
    ).fetchall()
    if structure is None:
        raise JobError(f"{sources[0].path}: holds no JSON object that could be a row")
    wanted = literal(json.dumps(_types(json.loads(structure), "HUGEINT" if numbers.are_long else "BIGINT")))
    connection.execute(f"CREATE VIEW log AS SELECT unnest(from_json(object, {wanted})) FROM objects")


def _types(structure: Any, whole: str) -> Any:
    """The structure that DuckDB found, with the types that columns get; of keys that differ in case, the first."""
    if isinstance(structure, dict):
        keys: dict[str, str] = {}
        for name in structure:
            keys.setdefault(name.lower(), name)
        return {name: _types(structure[name], whole) for name in keys.values()} or "JSON"
    if isinstance(structure, list):
        return [_types(each, whole) for each in structure] or "JSON"
    return {"UBIGINT": whole, "BIGINT": whole, "NULL": "VARCHAR"}.get(structure, structure)


class _Numbers:
    """Notes whether a whole number needs more than 64 bits."""

    def __init__(self) -> None:
        self.are_long = False

    def __call__(self, text: str) -> int:
        if len(text) > 18:
            self.are_long = True
        return 0


def _batches(source: Source, letters: Letters, numbers: _Numbers) -> Iterator[pa.RecordBatch]:
    objects = _of_avro(source) if source.kind == ".avro" else _of_json(source, letters, numbers)
    while rows := list(itertools.islice(objects, _ROWS)):
        yield pa.record_batch({"object": pa.array(rows, pa.large_string())})


def _of_json(source: Source, letters: Letters, numbers: _Numbers) -> Iterator[str]:
    if source.is_array:
        yield from _of_document(source, letters, numbers)
        return
    number = 0
    try:
        with open_bytes(source.path) as file:
            while line := file.readline(LONGEST):
                number += 1
                size = len(line)
                while size >= LONGEST and not line.endswith(b"\n") and (more := file.readline(LONGEST)):
                    size += len(more)
                    if more.endswith(b"\n"):
                        break
                if size > len(line):
                    detail, text = f"a line of {size:,} bytes, cut short here", line[:1_000]
                elif not line.strip():
                    continue
                else:
                    line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                    problem = _problem(line, numbers)
                    if problem is None:
                        yield line.decode().strip()
                        continue
                    detail, text = problem, line.rstrip(b"\r\n")
                payload = json.dumps(text.decode(errors="backslashreplace")).encode()
                letters.add([DeadLetter(str(source.path), 0, number, "wrong_shape", detail, payload)])
    except BROKEN as error:
        raise JobError(f"{source.path}: the file breaks off: {error}") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _problem(line: bytes, numbers: _Numbers) -> str | None:
    try:
        text = line.decode()
        return _why_not(json.loads(text, parse_constant=_refuse, parse_int=numbers), text)
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"


def _why_not(value: Any, text: str) -> str | None:
    """Why a value is no row."""
    if not isinstance(value, dict):
        return "no JSON object"
    try:
        if "\\u" in text:  # half of a pair of escapes is no character
            json.dumps(value, ensure_ascii=False).encode()
        text.encode()
    except UnicodeEncodeError:
        return "a text is not UTF-8"
    return None


def _of_document(source: Source, letters: Letters, numbers: _Numbers) -> Iterator[str]:
    """The objects of an array, or of objects over several lines."""
    decoder, number = json.JSONDecoder(parse_constant=_refuse, parse_int=numbers), 0
    try:
        with open_bytes(source.path) as file:
            for number, each in enumerate(elements(file, decoder), 1):
                detail = each.detail or _why_not(each.value, each.text)
                if detail is None:
                    yield each.text
                else:
                    shown = each.text[:1_000].encode(errors="surrogateescape").decode(errors="backslashreplace")
                    payload = json.dumps(shown).encode()
                    letters.add([DeadLetter(str(source.path), 0, number, "wrong_shape", detail, payload)])
    except (*BROKEN, ValueError) as error:
        raise JobError(f"{source.path}: broken after {number:,} objects: {error}") from None


def _of_avro(source: Source) -> Iterator[str]:
    number = 0
    try:
        with source.path.open("rb") as file:
            for record in fastavro.reader(file):
                number += 1
                yield json.dumps(_plain(record), ensure_ascii=False)
    except Exception as error:  # fastavro raises whatever the bytes provoke
        words = " ".join(str(error).split()) or type(error).__name__
        raise JobError(f"{source.path}: broken after {number:,} rows: {words}") from None


def _plain(value: Any) -> Any:
    """A value of an Avro record as JSON has it."""
    match value:
        case dict():
            return {str(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case bytes():
            return base64.b64encode(value).decode()
        case datetime() | date():
            return value.isoformat()
        case UUID() | Decimal():
            return str(value)
        case float() if not math.isfinite(value):
            return None
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
