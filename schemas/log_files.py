"""Logs of events as files: CSV (also compressed), Parquet and Avro containers in the event's columns."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from schemas.columns import ColumnBatch, check_columns, decode_columns
from schemas.dead_letters import DeadLetter
from schemas.events import TEXTS

ROWS = 50_000
"""Rows of a batch read from Parquet and Avro."""
BLOCK = 1 << 22
"""Bytes of CSV read at a time."""
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}
_ARROW = pa.schema(
    [
        *((name, pa.large_string()) for name in TEXTS),
        ("timestamp", pa.int64()),
        ("type", pa.string()),
        ("quantity", pa.int32()),
        ("revenue", pa.float64()),
    ]
)


class LogFileError(Exception):
    """A file that cannot be read or written; the message is one line that names it."""


def log_kind(path: Path) -> str:
    """`.csv`, `.parquet` or `.avro`, by the file's name."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] and suffixes[-1] in (".csv", ".parquet", ".avro"):
        return suffixes[-1]
    if suffixes[-2:-1] == [".csv"] and suffixes[-1] in _OPENERS:
        return ".csv"
    raise LogFileError(f"{path}: not a .csv, .csv.gz, .parquet or .avro file")


class _Lines(io.RawIOBase):
    """The whole lines of a file that may break off: `failure` is why; what is left of its last line is lost."""

    def __init__(self, file: Any) -> None:
        self._file, self._ready, self._rest = file, b"", b""
        self.failure: Exception | None = None
        self._ended = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._ready and self.failure is None and not self._ended:
            try:
                piece = self._file.read1(BLOCK)
            except (OSError, EOFError, zlib.error) as error:
                self.failure = error
                break
            end = piece.rfind(b"\n") + 1 if piece else 0
            if not piece:
                self._ready, self._rest = self._rest, b""
                break
            if end:
                self._ready, self._rest = self._rest + piece[:end], piece[end:]
            else:
                self._rest += piece
        size = len(self._ready) if size < 0 else size
        taken, self._ready = self._ready[:size], self._ready[size:]
        return b"" if self._ended else taken

    def end(self) -> None:
        """Give no more lines."""
        self._ended = True

    def close(self) -> None:
        self._file.close()
        super().close()


class LogFile:
    """A log to read. Opening it checks that it is there and has the columns.

    Raises:
        LogFileError: it cannot be read, or a required column is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._kind = path, log_kind(path)
        with self._plainly():
            self._names = self._columns()
            self.ignored = check_columns(self._names)
            self._wanted = [name for name in self._names if name not in self.ignored]
            if self._kind == ".parquet":  # types that no row can have are told before anything starts
                schema = pa.parquet.ParquetFile(path).schema_arrow
                none = pa.RecordBatch.from_pylist([], pa.schema([schema.field(name) for name in self._wanted]))
                decode_columns(ColumnBatch(str(path), np.empty(0, np.int64), none, [], 0), timedelta(0))

    @contextlib.contextmanager
    def _plainly(self) -> Iterator[None]:
        """Turn whatever a damaged file provokes into one line."""
        try:
            yield
        except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, pa.ArrowException) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            line = " ".join(reason.split()) or type(error).__name__
            raise LogFileError(f"{self._path}: {line}") from error

    def _columns(self) -> list[str]:
        match self._kind:
            case ".parquet":
                names: list[str] = pa.parquet.ParquetFile(self._path).schema_arrow.names
            case ".avro":
                with self._path.open("rb") as file:
                    schema: Any = fastavro.reader(file).writer_schema
                    names = [field["name"] for field in schema["fields"]]
            case _:
                with self._lines() as lines:
                    head = b""
                    while len(head) < BLOCK and (more := lines.read(BLOCK - len(head))):
                        head += more
                    try:
                        with _open_csv(pa.BufferReader(head), pa.csv.ConvertOptions(check_utf8=False), []) as reader:
                            names = reader.schema.names
                    except pa.ArrowException as error:
                        raise lines.failure or error from None
        return names

    def batches(self, after: int = 0) -> Iterator[ColumnBatch]:
        """The rows whose number is greater than `after`. Rows are numbered from 1, a CSV's header included.

        Raises:
            LogFileError: the file breaks off or cannot be decoded; all rows before that were given.
        """
        read = {".parquet": self._parquet, ".avro": self._avro, ".csv": self._csv}[self._kind]
        with self._plainly():
            yield from read(after)

    def _batch(self, first: int, columns: pa.RecordBatch) -> ColumnBatch:
        offsets = first + np.arange(len(columns))
        return ColumnBatch(str(self._path), offsets, columns, [], first + len(columns) - 1)

    def _parquet(self, after: int) -> Iterator[ColumnBatch]:
        file, row = pa.parquet.ParquetFile(self._path), 0
        for group in range(file.num_row_groups):
            if row + file.metadata.row_group(group).num_rows <= after:
                row += file.metadata.row_group(group).num_rows
                continue
            for columns in file.iter_batches(ROWS, row_groups=[group], columns=self._wanted):
                skipped = min(max(after - row, 0), len(columns))
                row += len(columns)
                if skipped < len(columns):
                    rest = columns.slice(skipped)
                    yield self._batch(row - len(rest) + 1, rest)

    def _avro(self, after: int) -> Iterator[ColumnBatch]:
        schema = pa.schema([field for field in _ARROW if field.name in self._wanted])
        with self._path.open("rb") as file:
            records: Iterator[Any] = islice(fastavro.reader(file), after, None)
            row, failure = after, None
            while True:
                rows: list[Any] = []
                try:
                    rows.extend(islice(records, ROWS))
                except Exception as error:  # fastavro raises whatever the bytes provoke
                    failure = error
                if rows:
                    plain = [{**record, "timestamp": _plain_time(record["timestamp"])} for record in rows]
                    yield self._batch(row + 1, pa.RecordBatch.from_pylist(plain, schema))
                    row += len(rows)
                if failure is not None:
                    raise ValueError(f"broken after {row:,} rows: {type(failure).__name__}: {failure}")
                if not rows:
                    return

    def _lines(self) -> _Lines:
        return _Lines(_OPENERS.get(self._path.suffix.lower(), open)(self._path, "rb"))

    def _csv(self, after: int) -> Iterator[ColumnBatch]:
        invalid: list[Any] = []
        convert = pa.csv.ConvertOptions(
            column_types={name: pa.large_binary() for name in self._wanted},
            include_columns=self._wanted,
            strings_can_be_null=False,
            check_utf8=False,
        )
        row = 1
        with (
            self._lines() as lines,
            _open_csv(pa.PythonFile(lines, mode="r"), convert, invalid) as reader,
            _drained(reader, lines),
        ):
            for columns in reader:
                # The reader parses ahead: rows of later blocks may be among the invalid ones already.
                bad = np.array([held.number for held in invalid], np.int64)
                numbers = np.arange(row + 1, row + 1 + len(columns) + len(bad))
                offsets = np.setdiff1d(numbers, bad, assume_unique=True)[: len(columns)]
                row = int(offsets[-1]) if len(offsets) else row
                letters = self._shape_letters(invalid, row, after)
                fresh = int(np.searchsorted(offsets, after, side="right"))
                if fresh < len(offsets) or letters:
                    yield ColumnBatch(str(self._path), offsets[fresh:], columns.slice(fresh), letters, row)
            if invalid:
                row = max(row, int(invalid[-1].number))
                letters = self._shape_letters(invalid, row, after)
                if letters:
                    none = pa.RecordBatch.from_pylist([], reader.schema)
                    yield ColumnBatch(str(self._path), np.empty(0, np.int64), none, letters, row)
            if lines.failure is not None:
                raise ValueError(f"broken after row {row:,}: {lines.failure}")

    def _shape_letters(self, invalid: list[Any], row: int, after: int) -> list[DeadLetter]:
        """Letters for the invalid rows up to `row`, which are taken out of the list."""
        count = sum(held.number <= row for held in invalid)
        taken, invalid[:count] = invalid[:count], []
        return [self._shape_letter(held) for held in taken if held.number > after]

    def _shape_letter(self, row: Any) -> DeadLetter:
        detail = f"{row.actual_columns} fields where {row.expected_columns} are expected"
        text = row.text if isinstance(row.text, bytes) else row.text.encode(errors="surrogateescape")
        return DeadLetter(str(self._path), 0, row.number, "wrong_shape", detail, text)


def _open_csv(file: pa.NativeFile, convert: pa.csv.ConvertOptions, invalid: list[Any]) -> pa.csv.CSVStreamingReader:
    """A reader, to be closed; rows that have another number of fields are put into `invalid`."""

    def skip(row: Any) -> str:
        invalid.append(row)
        return "skip"

    return pa.csv.open_csv(
        file,
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=BLOCK),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        convert_options=convert,
    )


@contextlib.contextmanager
def _drained(reader: pa.csv.CSVStreamingReader, lines: _Lines) -> Iterator[None]:
    """A reader's thread has read all it will in the end, also where no more is wanted.

    A program that ends while that thread is in Python, as it is for the lines, aborts.
    """
    try:
        yield
    finally:
        lines.end()
        with contextlib.suppress(pa.ArrowException):
            for _ in reader:
                pass


def _plain_time(time: Any) -> int:
    return time if isinstance(time, int) else round(time.timestamp() * 1000)
