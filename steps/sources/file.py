"""A log file as a source: CSV, compressed CSV, Parquet or an Avro container, in the event's columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from schemas.columns import ColumnBatch
from schemas.log_files import LogFile, LogFileError
from steps.ending import give_up, is_asked


class FileSource(FixedPartitionedSource[ColumnBatch, dict[str, int]]):
    """The rows of a file, in order; a recovered flow goes on after the last row that it had."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def list_parts(self) -> list[str]:
        """One partition: rows of one file are in one order."""
        return ["file"]

    def build_part(self, step_id: str, for_part: str, resume_state: dict[str, int] | None) -> _FilePartition:
        """The rows after the last one that was read of this very file."""
        return _FilePartition(self._path, resume_state or {})


class _FilePartition(StatefulSourcePartition[ColumnBatch, dict[str, int]]):
    def __init__(self, path: Path, read: dict[str, int]) -> None:
        self._name, self._read = str(path.absolute()), dict(read)
        self._batches: Iterator[ColumnBatch] = LogFile(path).batches(after=read.get(self._name, 0))

    def next_batch(self) -> list[ColumnBatch]:
        if is_asked():
            raise StopIteration
        try:
            batch = next(self._batches)
        except LogFileError as error:
            give_up(error)
            raise StopIteration from None
        self._read[self._name] = batch.last
        return [batch]

    def snapshot(self) -> dict[str, int]:
        return dict(self._read)
