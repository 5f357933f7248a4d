"""CSV as a log: Arrow reads the columns as bytes, and rows of another shape become letters."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from schemas.dead_letters import DeadLetter
from schemas.errors import ColumnsError, LogFileError
from schemas.event_types import TYPES
from schemas.logs import csv_rows
from schemas.logs.column_names import match_columns
from schemas.logs.csv_rows import CsvRows, has_quotes, too_long
from schemas.logs.log_bytes import Rows, open_bytes

DELIMITERS = (",", ";", "\t", "|")
_DATA = re.compile(r"[-+]?\d{2,}(\.\d*)?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?|" + "|".join(TYPES))
"""What is a value and no name of a column."""


class CsvLog:
    """A CSV; `names` are its columns, `delimiter` is between them: the one by which the event's columns are there.

    Between tabs quotes may be characters like others: `schemas.logs.csv_rows.has_quotes` finds out.
    """

    is_in_ms = False

    def __init__(self, path: Path) -> None:
        self._path = path
        heads = {is_quoted: _head(path, is_quoted) for is_quoted in (True, False)}
        plain, failure = heads[False]
        whole = plain if len(plain) < csv_rows.BLOCK else plain[: plain.rfind(b"\n")]
        are_tabs_quoted = has_quotes(whole.decode(errors="replace"))
        found = dict[str, list[str]]()
        for delimiter in DELIMITERS:
            is_quoted = delimiter != "\t" or are_tabs_quoted
            try:
                convert = pa.csv.ConvertOptions(check_utf8=False)
                with _open_csv(pa.BufferReader(heads[is_quoted][0]), delimiter, is_quoted, convert, []) as reader:
                    found[delimiter] = reader.schema.names
            except pa.ArrowException as error:
                if not found and delimiter == DELIMITERS[-1]:
                    raise failure or error from None
        self.delimiter, self.names = max(found.items(), key=lambda each: (_has_columns(each[1]), len(each[1])))
        self._is_quoted = self.delimiter != "\t" or are_tabs_quoted
        values = [name for name in self.names if _DATA.fullmatch(name.strip())]
        if values and not _has_columns(self.names):
            raise LogFileError(
                f"{path}: the first line is not a header (it has {values[0]!r}): add a line with the column names"
            )

    def type_of(self, name: str) -> pa.DataType:
        """Bytes, whatever the column."""
        return pa.large_binary()

    def read(self, wanted: Mapping[str, str], after: int) -> Iterator[Rows]:
        """The rows after a number, with the columns of the fields in `wanted`; the header is row 1."""
        invalid: list[Any] = []
        names = list(wanted.values())
        convert = pa.csv.ConvertOptions(
            column_types={name: pa.large_binary() for name in names},
            include_columns=names,
            strings_can_be_null=False,
            check_utf8=False,
        )
        row = 1
        with (
            CsvRows(open_bytes(self._path), self.delimiter.encode(), is_quoted=self._is_quoted) as lines,
            _open_csv(pa.PythonFile(lines, mode="r"), self.delimiter, self._is_quoted, convert, invalid) as reader,
            _drained(reader, lines),
        ):
            for columns in reader:
                # The reader parses ahead: rows of later blocks may be among the invalid ones already.
                bad = np.array([held.number for held in invalid], np.int64)
                numbers = np.arange(row + 1, row + 1 + len(columns) + len(bad))
                offsets = np.setdiff1d(numbers, bad, assume_unique=True)[: len(columns)]
                row = int(offsets[-1]) if len(offsets) else row
                letters = self._letters(invalid, row, after)
                fresh = int(np.searchsorted(offsets, after, side="right"))
                if fresh < len(offsets) or letters:
                    yield Rows(offsets[fresh:], columns.slice(fresh).rename_columns(list(wanted)), letters, row)
            if invalid:
                row = max(row, int(invalid[-1].number))
                letters = self._letters(invalid, row, after)
                if letters:
                    none = pa.RecordBatch.from_pylist([], reader.schema).rename_columns(list(wanted))
                    yield Rows(np.empty(0, np.int64), none, letters, row)
            if lines.failure is not None:
                raise ValueError(f"broken after row {row:,}: {lines.failure}")

    def _letters(self, invalid: list[Any], row: int, after: int) -> list[DeadLetter]:
        """Letters for the invalid rows up to `row`, which are taken out of the list."""
        count = sum(held.number <= row for held in invalid)
        taken, invalid[:count] = invalid[:count], []
        return [self._letter(held) for held in taken if held.number > after]

    def _letter(self, row: Any) -> DeadLetter:
        text = row.text if isinstance(row.text, bytes) else row.text.encode(errors="surrogateescape")
        detail = f"{row.actual_columns} fields, expected {row.expected_columns}"
        if long := too_long(text):
            size, text = long
            whole = size <= csv_rows.BLOCK // 2
            detail = "an unclosed quote" if whole else f"a row of {size:,} bytes, cut short here"
        return DeadLetter(str(self._path), 0, row.number, "wrong_shape", detail, text)


def _has_columns(names: list[str]) -> bool:
    try:
        return bool(match_columns(names))
    except ColumnsError:
        return False


def _head(path: Path, is_quoted: bool) -> tuple[bytes, Exception | None]:
    """The first whole rows of a file, and why it breaks off if it does among them."""
    with contextlib.closing(CsvRows(open_bytes(path), is_quoted=is_quoted)) as lines:
        head = b""
        while len(head) < csv_rows.BLOCK and (more := lines.read(csv_rows.BLOCK - len(head))):
            head += more
        return head, lines.failure


def _open_csv(
    file: pa.NativeFile, delimiter: str, is_quoted: bool, convert: pa.csv.ConvertOptions, invalid: list[Any]
) -> pa.csv.CSVStreamingReader:
    """A reader, to be closed; rows that have another number of fields are put into `invalid`."""

    def skip(row: Any) -> str:
        invalid.append(row)
        return "skip"

    return pa.csv.open_csv(
        file,
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=csv_rows.BLOCK),
        parse_options=pa.csv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if is_quoted else False,
            newlines_in_values=is_quoted,
            invalid_row_handler=skip,
        ),
        convert_options=convert,
    )


@contextlib.contextmanager
def _drained(reader: pa.csv.CSVStreamingReader, lines: CsvRows) -> Iterator[None]:
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
