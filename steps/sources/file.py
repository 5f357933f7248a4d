"""A log file as a source: CSV, compressed CSV, Parquet or an Avro container, in the event's columns."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import xxhash
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from model.sealed import sealed
from schemas.columns import ColumnBatch
from schemas.log_files import LogFile, LogFileError
from steps.ending import end, give_up, is_asked

log = logging.getLogger("adstreams")

HEAD = 1 << 16
"""Bytes of a file's start that tell it from another of the same name."""


class Read(NamedTuple):
    """How far a file was read: the number of its last row, and its start (bytes and their hash) at that time."""

    row: int
    head: int
    digest: int


def _digest(path: Path, head: int) -> int:
    with path.open("rb") as file:
        return xxhash.xxh3_64_intdigest(file.read(head))


class FileSource(FixedPartitionedSource[ColumnBatch, dict[str, Read]]):
    """The rows of a file, in order; a recovered flow goes on after the last row that it had."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def list_parts(self) -> list[str]:
        """One partition: rows of one file are in one order."""
        return ["file"]

    def build_part(self, step_id: str, for_part: str, resume_state: dict[str, Read] | None) -> _FilePartition:
        """The rows after the last one that was read of this very file."""
        return _FilePartition(self._path, resume_state or {})


class _FilePartition(StatefulSourcePartition[ColumnBatch, dict[str, Read]]):
    def __init__(self, path: Path, read: dict[str, Read]) -> None:
        self._name, self._read = str(path.absolute()), dict(read)
        before, after = read.get(self._name), 0
        if before is not None and _digest(path, before.head) == before.digest:
            after = before.row
            log.info("%s: goes on after row %s", path, f"{after:,}")
        elif before is not None:
            log.warning("%s: another file than before, read from its start", path)
        self._head = min(HEAD, path.stat().st_size)
        self._start = _digest(path, self._head)
        self._batches: Iterator[ColumnBatch] = LogFile(path).batches(after)

    def next_batch(self) -> list[ColumnBatch]:
        if is_asked():
            raise StopIteration
        try:
            batch = next(self._batches)
        except StopIteration:
            end()
            raise
        except LogFileError as error:
            give_up(error)
            raise StopIteration from None
        self._read[self._name] = Read(batch.last, self._head, self._start)
        return [batch]

    def snapshot(self) -> dict[str, Read]:
        return sealed(dict(self._read))
