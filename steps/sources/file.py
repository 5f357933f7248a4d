"""Log files as a source, one behind the other: what `schemas.logs.log_files` reads."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import xxhash
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from model.sealed import sealed
from schemas.errors import LogFileError
from schemas.logs.columns import ColumnBatch
from schemas.logs.log_files import LogFile
from steps.process.ending import end, fail, give_up, is_asked

log = logging.getLogger("adstreams")

HEAD = 1 << 16
"""Bytes of a file's start that distinguish it from another of the same name."""


class Read(NamedTuple):
    """How far a file was read: the number of its last row, and its start (bytes and their hash) at that time.

    `size` is the file's own at that time, and `is_whole` whether all of it was read; versions before knew neither.
    """

    row: int
    head: int
    digest: int
    size: int = 0
    is_whole: bool = True


def _digest(path: Path, head: int) -> int:
    with path.open("rb") as file:
        return xxhash.xxh3_64_intdigest(file.read(head))


class FileSource(FixedPartitionedSource[ColumnBatch, dict[str, Read]]):
    """The rows of files, in order; a recovered flow resumes after the last row that it had, then reads new files."""

    def __init__(self, files: Sequence[LogFile]) -> None:
        self._files = files

    def list_parts(self) -> list[str]:
        """One partition: rows of one log are in one order."""
        return ["file"]

    def build_part(self, step_id: str, for_part: str, resume_state: dict[str, Read] | None) -> _FilePartition:
        """The rows of each file after the last one that was read of this very file."""
        return _FilePartition(self._files, resume_state or {})


class _FilePartition(StatefulSourcePartition[ColumnBatch, dict[str, Read]]):
    def __init__(self, files: Sequence[LogFile], read: dict[str, Read]) -> None:
        self._read = {name: Read(*held) for name, held in read.items()}
        for name, held in self._read.items():
            if not held.is_whole and not Path(name).exists():
                fail(f"{name}: was read up to row {held.row:,} and is missing: restore it, or start without recovery")
        self._batches = self._all(files)

    def _all(self, files: Sequence[LogFile]) -> Iterator[tuple[str, Read, ColumnBatch | None]]:
        """What is read next, and how far that is; the batch is None at a file's end."""
        places = [(file, *self._place(file.path)) for file in files]  # all of them, before one is read
        for file, name, held in places:
            for batch in file.batches(held.row):
                held = held._replace(row=batch.last)
                yield name, held, batch
            yield name, held._replace(is_whole=True), None

    def _place(self, path: Path) -> tuple[str, Read]:
        """The name under which a file is kept, and the row to resume at."""
        name, size = str(path.absolute()), path.stat().st_size
        before, after = self._read.get(name), 0
        if before is not None and size < before.size:
            fail(f"{path}: is shorter than when it was read: put it back, or start anew without recovery")
        if before is not None and _digest(path, before.head) == before.digest:
            after = before.row
            log.info("%s: resuming after row %s", path, f"{after:,}")
        elif before is not None:
            log.warning("%s: another file than before, read from its start", path)
        head = min(HEAD, size)
        return name, Read(after, head, _digest(path, head), size, False)

    def next_batch(self) -> list[ColumnBatch]:
        if is_asked():
            raise StopIteration
        try:
            name, self._read[name], batch = next(self._batches)
        except StopIteration:
            end()
            raise
        except (LogFileError, OSError) as error:
            give_up(error)
            raise StopIteration from None
        return [] if batch is None else [batch]

    def snapshot(self) -> dict[str, Read]:
        return sealed(dict(self._read))
