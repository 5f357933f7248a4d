"""A log file as a source: CSV, compressed CSV, Parquet or an Avro container, in the event's columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from schemas.columns import ColumnBatch
from schemas.log_files import LogFile, LogFileError
from steps.ending import give_up, is_asked


class FileSource(FixedPartitionedSource[ColumnBatch, int]):
    """The rows of a file, in order; a recovered flow goes on after the last row that it had."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def list_parts(self) -> list[str]:
        """One partition: rows of one file are in one order. Another file is another partition."""
        return [str(self._path.absolute())]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _FilePartition:
        """The rows after the last one that was read."""
        return _FilePartition(self._path, resume_state or 0)


class _FilePartition(StatefulSourcePartition[ColumnBatch, int]):
    def __init__(self, path: Path, last: int) -> None:
        self._last = last
        self._batches: Iterator[ColumnBatch] = LogFile(path).batches(after=last)

    def next_batch(self) -> list[ColumnBatch]:
        if is_asked():
            raise StopIteration
        try:
            batch = next(self._batches)
        except LogFileError as error:
            give_up(error)
            raise StopIteration from None
        self._last = batch.last
        return [batch]

    def snapshot(self) -> int:
        return self._last
