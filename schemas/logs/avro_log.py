"""Avro containers as logs: values as they were written, without Python's types, which not all of them fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import MAX_PREC, Context, Decimal
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa

from schemas.dead_letters import DeadLetter
from schemas.errors import ColumnsError, LogFileError
from schemas.logs.log_bytes import Rows

ROWS = 50_000
_TIMES = {
    f"{local}timestamp-{name}": pa.timestamp(unit, None if local else "UTC")
    for local in ("", "local-")
    for name, unit in (("millis", "ms"), ("micros", "us"), ("nanos", "ns"))
}
_PLAIN = {
    "string": pa.large_binary(),
    "bytes": pa.large_binary(),
    "int": pa.int64(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "null": pa.null(),
}


_EXACT = Context(prec=MAX_PREC)
"""Decimals keep all of their digits, of which Python's own context keeps 28."""


class AvroLog:
    """An Avro container; `names` are the fields of its records."""

    is_in_ms = False

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            schema: Any = fastavro.reader(file).writer_schema
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise LogFileError(f"{path}: holds no records")
        named = dict[str, Any]()
        self._schema = fastavro.parse_schema(_without_logic(schema, named))
        self._fields = {field["name"]: field["type"] for field in schema["fields"]}
        self._named = named
        self.names = list(self._fields)

    def type_of(self, name: str) -> pa.DataType:
        """The type that a field's values have as a column.

        Raises:
            ColumnsError: no column comes of it.
        """
        return self._column(name)[0]

    def _column(self, name: str) -> tuple[pa.DataType, Callable[[Any], Any]]:
        """A field's type as a column, and what makes its values of those that are read."""
        branches = [each for each in _branches(self._fields[name], self._named) if each != "null"]
        found = [self._branch(name, each) for each in branches]
        if not found:
            return pa.null(), lambda value: None
        kinds = {kind for kind, _ in found}
        if len(kinds) == 1:
            return found[0]
        if not all(pa.types.is_large_binary(kind) or pa.types.is_int64(kind) for kind in kinds):
            raise ColumnsError(f"column {name!r} has values of several types: {', '.join(map(_word, branches))}")
        return pa.large_binary(), lambda value: value if isinstance(value, bytes) else _encoded(str(value))

    def _branch(self, name: str, kind: Any) -> tuple[pa.DataType, Callable[[Any], Any]]:
        logical = kind.get("logicalType") if isinstance(kind, dict) else None
        plain = kind["type"] if isinstance(kind, dict) else kind
        if plain == "enum":
            symbols = [each.encode() for each in kind["symbols"]]
            return (
                pa.large_binary(),
                lambda place: symbols[place] if 0 <= place < len(symbols) else b"symbol %d" % place,
            )
        if logical == "decimal" and plain in ("bytes", "fixed"):
            scale = kind.get("scale", 0)
            return pa.large_binary(), lambda value: _decimal(value, scale)
        if logical in _TIMES and plain == "long":
            return _TIMES[logical], _same
        if logical == "date" and plain == "int":
            return pa.date32(), _same
        if logical in ("time-millis", "time-micros"):
            return (pa.time32("ms"), _same) if plain == "int" else (pa.time64("us"), _same)
        if plain == "fixed":
            return pa.binary(kind["size"]), _same
        if plain == "string":
            return pa.large_binary(), _encoded
        if isinstance(plain, str) and plain in _PLAIN:
            return _PLAIN[plain], _same
        raise ColumnsError(f"column {name!r} is a {_word(kind)}, which no field of an event can hold")

    def read(self, wanted: Mapping[str, str], after: int) -> Iterator[Rows]:
        """The records after a number, with the columns of the fields in `wanted`; the first is row 1."""
        columns = {field: (name, *self._column(name)) for field, name in wanted.items()}
        row = 0
        records, failure = list[Any](), None
        blocks = self._blocks(after)
        while failure is None:
            try:
                first, some, letter = next(blocks)
                records += some
                row = first + len(some)
                if letter is not None:
                    yield _batch(records, columns, row)._replace(letters=[letter[0]], last=letter[1])
                    records, row = [], letter[1]
            except StopIteration:
                break
            except Exception as error:  # fastavro raises whatever the bytes provoke
                failure = error
            if len(records) >= ROWS:
                yield _batch(records, columns, row)
                records = []
        if records:
            yield _batch(records, columns, row)
        if failure is not None:
            raise ValueError(f"broken after {row:,} rows: {type(failure).__name__}: {failure}")

    def _blocks(self, after: int) -> Iterator[tuple[int, list[Any], tuple[DeadLetter, int] | None]]:
        """The number before the first of some records, and the records; those up to `after` are left out.

        With them a letter for the rest of a block that is damaged, and the number of the last record in it.
        """
        row = 0
        with self._path.open("rb") as file:
            blocks: Any = fastavro.block_reader(file)
            for block in blocks:
                if row + block.num_records <= after:
                    row += block.num_records
                    continue
                records: list[Any] = []
                data, before, last, letter = block.bytes_, row, row + block.num_records, None
                try:
                    while row < last:
                        record = fastavro.schemaless_reader(
                            data, self._schema, None, handle_unicode_errors="surrogateescape"
                        )
                        row += 1
                        if row > after:
                            records.append(record)
                except Exception as error:  # fastavro raises whatever the bytes provoke
                    lost = f"{last - row:,} records of a damaged block are lost: {type(error).__name__}: {error}"
                    letter = DeadLetter(str(self._path), 0, row + 1, "undecodable", lost, b""), last
                yield max(before, after), records, letter
                row = last


def _batch(records: list[Any], columns: Mapping[str, tuple[str, pa.DataType, Callable[[Any], Any]]], last: int) -> Rows:
    arrays = []
    for name, kind, made in columns.values():
        values = [None if (value := record[name]) is None else made(value) for record in records]
        plain = pa.int64() if pa.types.is_timestamp(kind) else pa.int32() if pa.types.is_date32(kind) else kind
        arrays.append(pa.array(values, plain).cast(kind))
    offsets = np.arange(last - len(records) + 1, last + 1)
    return Rows(offsets, pa.RecordBatch.from_arrays(arrays, list(columns)), [], last)


def _same(value: Any) -> Any:
    return value


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _decimal(value: bytes, scale: int) -> bytes:
    number = Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-scale, _EXACT)
    return format(number, "f").encode()


def _word(kind: Any) -> str:
    """A type's name for a person."""
    return str(kind.get("logicalType") or kind["type"]) if isinstance(kind, dict) else str(kind)


def _branches(kind: Any, named: Mapping[str, Any]) -> list[Any]:
    """The types of a union, or the one type; names stand for what they name."""
    kinds = kind if isinstance(kind, list) else [kind]
    return [named.get(each, each) if isinstance(each, str) else each for each in kinds]


def _without_logic(kind: Any, named: dict[str, Any]) -> Any:
    """A schema that reads the same bytes as plain values: numbers for enums, too, for one may be out of range."""
    if isinstance(kind, list):
        return [_without_logic(each, named) for each in kind]
    if isinstance(kind, str):
        known = named.get(kind)
        return "int" if known is not None and known["type"] == "enum" else kind
    if kind["type"] in ("enum", "fixed", "record", "error"):
        for name in {kind["name"], kind["name"].rpartition(".")[2]}:
            named[name] = kind
    if kind["type"] == "enum":
        return "int"
    plain = {key: value for key, value in kind.items() if key in ("type", "name", "size", "items", "values")}
    if "fields" in kind:
        plain["fields"] = [
            {"name": field["name"], "type": _without_logic(field["type"], named)} for field in kind["fields"]
        ]
    for key in ("items", "values"):
        if key in plain:
            plain[key] = _without_logic(plain[key], named)
    if isinstance(plain["type"], dict | list):
        plain["type"] = _without_logic(plain["type"], named)
    return plain
