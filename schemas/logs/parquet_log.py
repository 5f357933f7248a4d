"""Parquet as a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from schemas.logs.log_bytes import IN_MS, Rows

ROWS = 50_000
"""Rows of a batch."""


class ParquetLog:
    """A Parquet file; `names` are its columns, and `is_in_ms` is whether it was written here."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._schema: pa.Schema = self._open().schema_arrow
        self.names: list[str] = self._schema.names
        said = [field.metadata or {} for field in self._schema if field.name == "timestamp"]
        self.is_in_ms = any(IN_MS.items() <= metadata.items() for metadata in said)

    def type_of(self, name: str) -> pa.DataType:
        """A column's type."""
        return self._schema.field(name).type

    def _open(self) -> pa.parquet.ParquetFile:
        """The file; INT96, Spark's times, reach any year as µs, where as ns they turn into others without a word."""
        return pa.parquet.ParquetFile(self._path, coerce_int96_timestamp_unit="us")

    def read(self, wanted: Mapping[str, str], after: int) -> Iterator[Rows]:
        """The rows after a number, with the columns of the fields in `wanted`; the first is row 1."""
        file, row = self._open(), 0
        for group in range(file.num_row_groups):
            if row + file.metadata.row_group(group).num_rows <= after:
                row += file.metadata.row_group(group).num_rows
                continue
            for columns in file.iter_batches(ROWS, row_groups=[group], columns=list(wanted.values())):
                skipped = min(max(after - row, 0), len(columns))
                row += len(columns)
                if skipped < len(columns):
                    rest = columns.slice(skipped)
                    arrays = [rest.column(name) for name in wanted.values()]
                    offsets = np.arange(row - len(rest) + 1, row + 1)
                    yield Rows(offsets, pa.RecordBatch.from_arrays(arrays, list(wanted)), [], row)
