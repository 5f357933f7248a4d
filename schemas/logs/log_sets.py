"""Several files as one log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

from schemas.avro.codec import Decoded
from schemas.logs.columns import decode_columns
from schemas.logs.log_files import LogFile
from schemas.logs.log_paths import log_paths
from schemas.logs.spans import Span
from schemas.logs.times import AS_FOUND, TimeFormat


class LogSet:
    """A log of one or several files, all of which can be read.

    `span` is that of the events that were read so far, `rejected` the number of rows that were none.

    Raises:
        LogFileError: a file is not there, or cannot be read.
    """

    def __init__(self, names: Iterable[str | Path], asked: TimeFormat = AS_FOUND) -> None:
        self.files = [LogFile(path, asked) for path in log_paths(names)]
        self.span, self.rejected = Span(), 0

    @property
    def remarks(self) -> list[str]:
        """What a person should know of how the files are read, line by line."""
        return [line for file in self.files for line in file.remarks]

    def decoded(self) -> Iterator[Decoded]:
        """The events of all files, file by file.

        Raises:
            LogFileError: a file breaks off; what it had before was given.
        """
        for file in self.files:
            for batch in file.batches():
                decoded = decode_columns(batch, timedelta(0))
                self.span.add(decoded.events.rows["timestamp"])
                self.rejected += len(decoded.letters)
                yield decoded
