"""Logs of events as files: CSV, JSON (also compressed), Parquet and Avro containers in the event's columns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from schemas.errors import ColumnsError, LogFileError, TimesError
from schemas.events import TEXTS
from schemas.logs.avro_log import AvroLog
from schemas.logs.column_names import match_columns, nearest
from schemas.logs.column_values import plain, text_of
from schemas.logs.columns import OPTIONAL, REQUIRED, ColumnBatch, decode_columns
from schemas.logs.csv_log import CsvLog
from schemas.logs.json_log import JsonLog
from schemas.logs.log_bytes import BROKEN, Rows, check_content, log_kind
from schemas.logs.parquet_log import ParquetLog
from schemas.logs.time_finding import find_time_format
from schemas.logs.time_texts import DateOrder
from schemas.logs.times import AS_FOUND, TimeFormat, TimeUnit, is_told_by_type

__all__ = ["LogFile", "LogFileError", "log_kind"]


class _Log(Protocol):
    """A file of some kind."""

    names: list[str]
    is_in_ms: bool

    def type_of(self, name: str) -> pa.DataType: ...

    def read(self, wanted: Mapping[str, str], after: int) -> Iterator[Rows]: ...


_KINDS: dict[str, Callable[[Path], _Log]] = {
    ".csv": CsvLog,
    ".json": JsonLog,
    ".parquet": ParquetLog,
    ".avro": AvroLog,
}


class LogFile:
    """A log to read.

    Opening it checks that the content matches the name and the columns exist, and detects the format of its times,
    for which all of them are read unless their type determines it.

    `ignored` columns are no field of an event; `times` is how times are written.

    Args:
        path: the file.
        asked: how times are written, as far as that is known; the rest is found.

    Raises:
        LogFileError: it cannot be read, a required column is missing, or one has a type that no field can have, or its
            times can be read in several ways.
    """

    def __init__(self, path: Path, asked: TimeFormat = AS_FOUND) -> None:
        self.path, kind = path, log_kind(path)
        with self._plainly():
            check_content(path, kind)
            self._log = _KINDS[kind](path)
            self._wanted = match_columns(self._log.names)
            self.ignored = [name for name in self._log.names if name not in self._wanted.values()]
            self._check_types()
            self.times = self._find_times(asked)

    @property
    def remarks(self) -> list[str]:
        """What a person should know of how the file is read, line by line."""
        lines = [f"{self.path}: {self.times.words}"] if self.times.words else []
        if self.ignored:
            fields = [each for each in (*REQUIRED, *OPTIONAL) if each not in self._wanted]
            meant = {name: nearest(name, fields) for name in self.ignored}
            named = [f"{name!r}{f' (is {meant[name]} meant?)' if meant[name] else ''}" for name in self.ignored]
            lines.append(f"{self.path}: ignored columns: {', '.join(named)}")
        return lines

    def batches(self, after: int = 0) -> Iterator[ColumnBatch]:
        """The rows whose number is greater than `after`. Rows are numbered from 1, a CSV's header included.

        Raises:
            LogFileError: the file breaks off or cannot be decoded; all rows before that were given.
        """
        with self._plainly():
            for rows in self._log.read(self._wanted, after):
                yield ColumnBatch(str(self.path), rows.offsets, rows.columns, rows.letters, rows.last, self.times)

    @contextlib.contextmanager
    def _plainly(self) -> Iterator[None]:
        """Turn any error from a damaged file into one line."""
        try:
            yield
        except LogFileError:
            raise
        except (*BROKEN, ValueError, KeyError, IndexError, TypeError, OverflowError, AttributeError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            line = " ".join(reason.split()) or type(error).__name__
            raise LogFileError(f"{self.path}: {line}") from error

    def _check_types(self) -> None:
        """Tell of types that no row can have before anything starts."""
        types = {field: self._log.type_of(name) for field, name in self._wanted.items()}
        floats = [field for field, kind in types.items() if pa.types.is_floating(kind) and field in (*TEXTS, "type")]
        for field in floats:  # a column of nothing but nulls is often one of floats
            name = self._wanted[field]
            for rows in self._log.read({field: name}, 0) if field not in REQUIRED else ():
                self._check(name, rows.columns.column(0))
            if field in REQUIRED:
                self._check(name, pa.array([0.0]))
        schema = pa.schema([(field, kind) for field, kind in types.items() if field not in floats])
        none = pa.RecordBatch.from_pylist([], schema)
        decode_columns(ColumnBatch("", np.empty(0, np.int64), none, [], 0), timedelta(0))

    @staticmethod
    def _check(name: str, column: pa.Array) -> None:
        try:
            text_of(plain(column))
        except ColumnsError as error:
            raise ColumnsError(f"column {name!r} is of type {column.type}: {error}") from None

    def _find_times(self, asked: TimeFormat) -> TimeFormat:
        column = {"timestamp": self._wanted["timestamp"]}
        if self._log.is_in_ms:
            return TimeFormat(TimeUnit.MS)
        is_said = asked.unit is not TimeUnit.AUTO and asked.order is not DateOrder.AUTO
        if is_said or is_told_by_type(self._log.type_of(column["timestamp"])):
            return asked
        try:
            return find_time_format(self._until_broken(column), asked)
        except TimesError as error:
            raise ColumnsError(f"column {column['timestamp']!r}: {error}") from None

    def _until_broken(self, column: dict[str, str]) -> Iterator[pa.Array]:
        """A column's chunks; a truncated file is reported when its rows are read."""
        with contextlib.suppress(*BROKEN, ValueError, KeyError, IndexError, TypeError):
            for rows in self._log.read(column, 0):
                yield rows.columns.column(0)
