"""Writing logs of events: CSV (also compressed), Parquet and Avro containers in the event's columns."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from schemas.avro.codec import load_schema
from schemas.compiled.compiling import compiled
from schemas.errors import LogFileError
from schemas.event_types import TYPES
from schemas.events import TEXTS, EventBatch
from schemas.logs.log_bytes import IN_MS, WRITTEN, log_kind


@compiled
def _column(rows, data, field, edges, out):
    """Join one text field of the rows (n) into the bytes `out`; `edges` (n + 1) gets where each text begins."""
    at = 0
    for row in range(len(rows)):
        edges[row] = at
        for byte in range(rows[row].start[field], rows[row].stop[field]):
            out[at] = data[byte]
            at += 1
    edges[len(rows)] = at


def to_arrow(batch: EventBatch) -> pa.RecordBatch:
    """A batch of events as Arrow columns, in the order of the event's fields."""
    rows = batch.rows
    arrays: dict[str, Any] = {}
    for field, name in enumerate(TEXTS):
        edges = np.empty(len(rows) + 1, np.int64)
        out = np.empty(int((rows["stop"][:, field] - rows["start"][:, field]).sum()), np.uint8)
        _column(rows, batch.data, field, edges, out)
        arrays[name] = pa.LargeStringArray.from_buffers(len(rows), pa.py_buffer(edges), pa.py_buffer(out))
    arrays["type"] = pa.DictionaryArray.from_arrays(rows["type"].astype(np.int8), pa.array(TYPES)).cast(pa.string())
    for name in ("timestamp", "quantity", "revenue"):
        arrays[name] = pa.array(np.ascontiguousarray(rows[name]))
    names = [field["name"] for field in load_schema("event")["fields"]]
    return pa.RecordBatch.from_arrays([arrays[name] for name in names], names)


class LogWriter:
    """Writes a log of events; the file has its name only once it is whole.

    Raises:
        LogFileError: the file cannot be written, or its name has no known ending.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._kind = path, log_kind(path, WRITTEN)
        if not path.parent.is_dir():
            raise LogFileError(f"{path}: no such folder")
        self._draft = path.with_name(f".{os.getpid()}-{path.name}")
        self._sink: Any = None
        self._stream: Any = None

    def __enter__(self) -> LogWriter:
        return self

    def write(self, batch: EventBatch) -> None:
        """Add events."""
        columns = to_arrow(batch)
        try:
            if self._sink is None:
                self._sink = self._open(columns.schema)
            self._sink.write(columns)
        except OSError as error:
            raise LogFileError(f"{self._path}: {error.strerror or error}") from None

    def _open(self, schema: pa.Schema) -> Any:
        match self._kind:
            case ".parquet":
                place = schema.get_field_index("timestamp")
                said = schema.set(place, schema.field(place).with_metadata(IN_MS))
                return pa.parquet.ParquetWriter(self._draft, said, compression="zstd")
            case ".avro":
                return _AvroSink(self._draft)
            case _:
                self._stream = pa.output_stream(str(self._draft), compression="detect")
                return pa.csv.CSVWriter(self._stream, schema)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in (self._sink, self._stream):
            if part is not None:
                part.close()
        if kind is None and self._sink is not None:
            self._draft.replace(self._path)
        else:
            self._draft.unlink(missing_ok=True)


class _AvroSink:
    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._writer = fastavro.write.Writer(self._file, fastavro.parse_schema(load_schema("event")), codec="deflate")

    def write(self, columns: pa.RecordBatch) -> None:
        for record in columns.to_pylist():
            self._writer.write(record)

    def close(self) -> None:
        self._writer.flush()
        self._file.close()
