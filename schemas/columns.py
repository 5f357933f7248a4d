"""Events from columns: what a file or a generator holds, packed into a batch by the rules that messages follow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.codec import Decoded, settle
from schemas.dead_letters import DeadLetter
from schemas.events import MISSING, ROW, TEXTS, TYPES, EventBatch, Origin

REQUIRED = ("event_id", "user_id", "timestamp", "type")
OPTIONAL = (*(name for name in TEXTS if name not in REQUIRED), "quantity", "revenue")
_WHOLE = r"^-?[0-9]{1,18}$"
_NUMBER = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?$|^[-+]?(?i:nan|inf|infinity)$"


class ColumnsError(ValueError):
    """Columns that no row can be read from; the message names the column."""


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """Rows of a file in the event's columns.

    `offsets` are the rows' numbers in the file, `letters` the rows before `last` that have no columns, and `last`
    is the number of the newest row that was read.
    """

    source: str
    offsets: NDArray[np.int64]
    columns: pa.RecordBatch
    letters: list[DeadLetter]
    last: int


@dataclass(frozen=True, slots=True)
class TextColumn:
    """Texts as spans of some bytes: `data[start[row]:stop[row]]` (UTF-8)."""

    data: NDArray[np.uint8]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> TextColumn:
        """One span for each text."""
        encoded = [text.encode() for text in texts]
        stop = np.cumsum([len(text) for text in encoded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), np.concatenate(([0], stop[:-1])), stop)

    def at(self, rows: NDArray[Any]) -> TextColumn:
        """The texts of the given rows."""
        return TextColumn(self.data, self.start[rows], self.stop[rows])


def pack(
    source: str,
    partition: int,
    numbers: Mapping[str, NDArray[Any]],
    texts: Mapping[str, TextColumn],
) -> EventBatch:
    """A batch of columns; `numbers` are offset, timestamp, type (indexes into `TYPES`), quantity and revenue.

    Text fields without a column are "NA". Hashes are not filled.
    """
    rows = np.zeros(len(numbers["offset"]), ROW)
    for name, values in numbers.items():
        rows[name] = values
    pieces, size = [], 0
    for field, name in enumerate(TEXTS):
        column = texts.get(name) or TextColumn.of([MISSING]).at(np.zeros(len(rows), np.int64))
        rows["start"][:, field], rows["stop"][:, field] = column.start + size, column.stop + size
        pieces.append(column.data)
        size += len(column.data)
    if size > np.iinfo(np.int32).max:
        raise ColumnsError(f"{len(rows)} rows hold {size} bytes of text, more than 2 GB at once")
    return EventBatch((Origin(source, partition),), rows, np.concatenate(pieces))


def check_columns(names: Sequence[str]) -> list[str]:
    """The names that no field of an event has.

    Raises:
        ColumnsError: a required column is not there, or one is there twice.
    """
    for name in REQUIRED:
        if name not in names:
            raise ColumnsError(f"no column {name!r}")
    for name in (*REQUIRED, *OPTIONAL):
        if list(names).count(name) > 1:
            raise ColumnsError(f"column {name!r} is there twice")
    return [name for name in names if name not in (*REQUIRED, *OPTIONAL)]


def decode_columns(rows: ColumnBatch, max_skew: timedelta) -> Decoded:
    """Events of rows with the event's columns, by the validator that messages pass.

    Numbers may be numbers or text, times whole ms or Arrow timestamps. A row whose value is missing or of a wrong
    type becomes a dead letter with the row as JSON.

    Raises:
        ColumnsError: a column is of a type that no event's field can have.
    """
    problems: dict[int, tuple[str, str]] = {}
    columns = rows.columns
    numbers: dict[str, NDArray[Any]] = {"offset": rows.offsets}
    texts = {}
    for name in (*REQUIRED, *OPTIONAL):
        if name not in columns.schema.names:
            continue
        column = columns.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if name in REQUIRED:
            _reject(problems, column.is_null(), "missing", f"no {name}", column, quote=False)
        try:
            if name in TEXTS:
                texts[name] = _text(column)
            elif name == "type":
                numbers[name] = _type(column, problems)
            else:
                numbers[name] = _number(name, column, problems)
        except pa.ArrowException as error:
            raise ColumnsError(f"column {name!r} is of type {column.type}: {error}") from None
    batch = pack(rows.source, 0, numbers, texts)
    decoded = settle(batch, problems, None, max_skew, lambda row: _as_json(columns, row))
    return Decoded(decoded.events, rows.letters + decoded.letters)


def _reject(
    problems: dict[int, tuple[str, str]],
    bad: pa.Array,
    reason: str,
    detail: str,
    column: pa.Array,
    quote: bool = True,
) -> None:
    for row in np.flatnonzero(bad.to_numpy(zero_copy_only=False)).tolist():
        problems.setdefault(row, (reason, f"{detail} {_readable(column[row].as_py())!r}" if quote else detail))


def _readable(value: Any) -> Any:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _text(column: pa.Array) -> TextColumn:
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        column = column.cast(pa.large_string())  # ids are often numbers
    column = column.cast(pa.large_binary()).fill_null(MISSING.encode())
    _, offsets, data = column.buffers()
    edges = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    held = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return TextColumn(held[edges[0] : edges[-1]], edges[:-1] - edges[0], edges[1:] - edges[0])


def _type(column: pa.Array, problems: dict[int, tuple[str, str]]) -> NDArray[np.uint8]:
    column = column.cast(pa.large_binary())
    found = pc.index_in(column, value_set=pa.array([name.encode() for name in TYPES], pa.large_binary()))
    _reject(problems, found.is_null(), "wrong_type", "type is", column)
    kinds: NDArray[np.uint8] = found.fill_null(0).to_numpy(zero_copy_only=False).astype(np.uint8)
    return kinds


def _number(name: str, column: pa.Array, problems: dict[int, tuple[str, str]]) -> NDArray[Any]:
    """A column of numbers, each bad value noted and zero."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
    elif pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type) or _is_text(column.type):
        if name in OPTIONAL:
            column = pc.if_else(pc.equal(column, pa.scalar(b"", column.type)), pa.scalar(None, column.type), column)
        good = pc.match_substring_regex(column, _NUMBER if name == "revenue" else _WHOLE).fill_null(True)
        _reject(problems, pc.invert(good), "wrong_type", f"{name} is", column)
        text = pc.if_else(good, column, pa.scalar(b"0", column.type)).cast(pa.string())
        column = text.cast(pa.float64() if name == "revenue" else pa.int64())
    if pa.types.is_uint64(column.type):
        good = pc.less(column, pa.scalar(1 << 63, pa.uint64())).fill_null(True)
        _reject(problems, pc.invert(good), "wrong_type", f"{name} is", column)
        column = pc.if_else(good, column, pa.scalar(0, pa.uint64()))
    values = column.cast(pa.float64() if name == "revenue" else _whole_type(column.type)).fill_null(0)
    if name == "revenue":
        return np.asarray(values)
    if pa.types.is_floating(values.type):
        floats = np.asarray(values)
        good = pa.array(np.isfinite(floats) & (np.floor(floats) == floats) & (np.abs(floats) < 2**53))
        _reject(problems, pc.invert(good), "wrong_type", f"{name} is", column)
        values = pc.if_else(good, values, 0.0).cast(pa.int64())
    whole: NDArray[np.int64] = np.asarray(values)
    if name == "quantity":
        limits = np.iinfo(np.int32)
        fits = (whole >= limits.min) & (whole <= limits.max)
        _reject(problems, pa.array(~fits), "wrong_type", "quantity is", column)
        return np.where(fits, whole, 0)
    return whole


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _whole_type(kind: pa.DataType) -> pa.DataType:
    return pa.float64() if pa.types.is_floating(kind) or pa.types.is_decimal(kind) else pa.int64()


def _as_json(columns: pa.RecordBatch, row: int) -> bytes:
    values = {name: columns.column(name)[row].as_py() for name in columns.schema.names}
    readable = {name: _readable(value) for name, value in values.items()}
    return json.dumps(readable, ensure_ascii=False, default=str).encode(errors="backslashreplace")
