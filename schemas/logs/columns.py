"""Events from columns: what a file or a generator holds, packed into a batch by the rules that messages follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.avro.codec import Decoded, settle
from schemas.dead_letters import DeadLetter
from schemas.errors import ColumnsError, TimesError
from schemas.events import MISSING, ROW, TEXTS, EventBatch, Origin
from schemas.logs.column_names import OPTIONAL, REQUIRED, check_columns, match_columns
from schemas.logs.column_values import Problems, kinds_of, numbers_from, plain, readable, reject, text_of, value_of
from schemas.logs.times import TimeFormat, TimeUnit, to_milliseconds
from schemas.valid_json import valid_json

__all__ = [
    "IN_MS",
    "OPTIONAL",
    "REQUIRED",
    "ColumnBatch",
    "ColumnsError",
    "TextColumn",
    "check_columns",
    "decode_columns",
    "match_columns",
    "pack",
]

IN_MS = TimeFormat(TimeUnit.MS, found=True)
"""Times are ms, or texts with their own format; numbers that look like seconds are invalid."""


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """Rows of a file in the event's columns.

    `offsets` are the rows' numbers in the file, `letters` the rows before `last` that have no columns, and `last`
    is the number of the newest row that was read. `times` is the file's format of times.
    """

    source: str
    offsets: NDArray[np.int64]
    columns: pa.RecordBatch
    letters: list[DeadLetter]
    last: int
    times: TimeFormat = IN_MS


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


def decode_columns(rows: ColumnBatch, max_skew: timedelta) -> Decoded:
    """Events of rows with the event's columns, by the validator that messages pass.

    Numbers may be numbers or text, times what `schemas.logs.times` reads. A row whose value is missing or of a wrong
    type becomes a dead letter with the row as JSON; a time that was read stands in it in ms.

    Raises:
        ColumnsError: a column is of a type that no event's field can have.
    """
    problems: Problems = {}
    columns = rows.columns
    numbers: dict[str, NDArray[Any]] = {"offset": rows.offsets}
    texts, is_time = {}, np.zeros(len(columns), np.bool_)
    for name in (*REQUIRED, *OPTIONAL):
        if name not in columns.schema.names:
            continue
        column = plain(columns.column(name))
        if name in REQUIRED:
            reject(problems, column.is_null(), "missing", f"no {name}", column, quote=False)
        try:
            if name == "timestamp":
                numbers[name], is_time = to_milliseconds(column, rows.times)
                reject(problems, pa.array(~is_time), "wrong_type", "timestamp is", column)
            elif name in TEXTS:
                texts[name] = _spans(text_of(column).fill_null(MISSING.encode()))
            elif name == "type":
                numbers[name] = kinds_of(text_of(column), problems)
            else:
                numbers[name] = numbers_from(name, column, problems)
        except (pa.ArrowException, TimesError, ColumnsError) as error:
            raise ColumnsError(f"column {name!r} is of type {column.type}: {error}") from None
    batch = pack(rows.source, 0, numbers, texts)

    def payload(row: int) -> bytes:
        return _as_json(columns, row, int(numbers["timestamp"][row]) if is_time[row] else None)

    decoded = settle(batch, problems, None, max_skew, payload)
    return Decoded(decoded.events, rows.letters + decoded.letters)


def _spans(column: pa.Array) -> TextColumn:
    """The texts of a column of large_binary without nulls."""
    _, offsets, data = column.buffers()
    edges = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    held = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return TextColumn(held[edges[0] : edges[-1]], edges[:-1] - edges[0], edges[1:] - edges[0])


def _as_json(columns: pa.RecordBatch, row: int, time: int | None) -> bytes:
    values = {name: value_of(plain(columns.column(name))[row]) for name in columns.schema.names}
    shown = {name: readable(value) for name, value in values.items()}
    if time is not None:
        shown["timestamp"] = time
    return valid_json(shown).encode()
