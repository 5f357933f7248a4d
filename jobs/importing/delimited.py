"""Delimited text -> the table `log`, every column a text as it is written."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from jobs.importing.header_row import Form, find_form
from jobs.importing.letters import Letters
from jobs.importing.names import identifier
from jobs.importing.sources import Source
from jobs.importing.streams import run_on
from schemas.dead_letters import DeadLetter
from schemas.errors import JobError
from schemas.logs.csv_rows import BLOCK, CsvRows, stand_in, too_long
from schemas.logs.log_bytes import BROKEN, open_bytes

_MARK = "\x1f\x1eT"
"""Stands for a tab of a value while lines are split at their tabs."""
_ESCAPED_TAB = re.compile(rb"(?<!\\)((?:\\\\)*)\\\t")


def load_delimited(
    connection: duckdb.DuckDBPyConnection, sources: list[Source], names: tuple[str, ...] | None, letters: Letters
) -> None:
    """Fill the table `log`; a column that one of the files lacks is NULL in its rows, as an empty cell is.

    Raises:
        JobError: a file has no header, names of columns differ in case only, or a compressed file breaks off.
    """
    forms = [find_form(source, names) for source in sources]
    columns: dict[str, str] = {}
    for source, form in zip(sources, forms, strict=True):
        own = {name.lower(): name for name in form.names}
        if len(own) < len(form.names):
            raise JobError(f"{source.path}: two column names differ only in case")
        for key, name in own.items():
            columns.setdefault(key, name)
    connection.execute(f"CREATE TABLE log ({', '.join(f'{identifier(name)} VARCHAR' for name in columns.values())})")
    for source, form in zip(sources, forms, strict=True):
        schema = pa.schema([(name, pa.large_string()) for name in form.names])
        insert = "INSERT INTO log BY NAME SELECT * FROM rows_of_file"
        run_on(connection, "rows_of_file", schema, _rows(source, form, letters), insert)


def _rows(source: Source, form: Form, letters: Letters) -> Iterator[pa.RecordBatch]:
    """The rows of a file as texts, empty ones null; what is no row goes to `letters`."""
    invalid: list[Any] = []

    def skip(row: Any) -> str:
        invalid.append(row)
        return "skip"

    convert = pa.csv.ConvertOptions(
        column_types={name: pa.large_binary() for name in form.names}, strings_can_be_null=False, check_utf8=False
    )
    parse = pa.csv.ParseOptions(
        delimiter=form.delimiter,
        quote_char='"' if form.is_quoted else False,
        newlines_in_values=form.is_quoted,
        invalid_row_handler=skip,
    )
    read = pa.csv.ReadOptions(
        use_threads=False, block_size=BLOCK, column_names=list(form.names), skip_rows_after_names=form.skip
    )
    file = open_bytes(source.path)
    with contextlib.closing(CsvRows(file, form.delimiter.encode()) if form.is_quoted else _PlainRows(file)) as lines:
        try:
            with pa.csv.open_csv(pa.PythonFile(lines, mode="r"), read, parse, convert) as reader:
                for columns in reader:
                    _reject(source, invalid, letters)
                    yield _texts(source, columns, letters, not form.is_quoted)
                _reject(source, invalid, letters)
        except pa.ArrowException as error:
            if "Empty CSV" not in str(error):
                raise JobError(f"{source.path}: {error}") from None
        finally:
            lines.end()
        if lines.failure is not None:
            raise JobError(f"{source.path}: the file breaks off: {lines.failure}")


def _reject(source: Source, invalid: list[Any], letters: Letters) -> None:
    for row in invalid:
        text = row.text if isinstance(row.text, bytes) else row.text.encode(errors="surrogateescape")
        detail = f"{row.actual_columns} fields, expected {row.expected_columns}"
        if long := too_long(text):
            size, text = long
            whole = size <= BLOCK // 2
            detail = "an unclosed quote" if whole else f"a row of {size:,} bytes, cut short here"
        payload = json.dumps(text.decode(errors="backslashreplace")).encode()
        letters.add([DeadLetter(str(source.path), 0, row.number or 0, "wrong_shape", detail, payload)])
    invalid.clear()


def _texts(source: Source, columns: pa.RecordBatch, letters: Letters, has_marks: bool) -> pa.RecordBatch:
    """The same rows as texts, without those that are not UTF-8."""
    try:
        texts = [column.cast(pa.large_string()) for column in columns.columns]
    except pa.ArrowInvalid:
        good = [True] * len(columns)
        for name, column in zip(columns.schema.names, columns.columns, strict=True):
            for row, cell in enumerate(column.to_pylist()):
                if good[row] and not _is_utf8(cell):
                    good[row] = False
                    cells = {each: columns.column(each)[row].as_py() for each in columns.schema.names}
                    shown = {each: value.decode(errors="backslashreplace") for each, value in cells.items()}
                    letter = DeadLetter(str(source.path), 0, 0, "not_utf8", f"{name} is", json.dumps(shown).encode())
                    letters.add([letter])
        return _texts(source, columns.filter(pa.array(good)), letters, has_marks)
    if has_marks:
        texts = [pc.replace_substring(column, _MARK, "\t") for column in texts]
    empty = pa.scalar("", pa.large_string())
    texts = [pc.if_else(pc.equal(column, empty), pa.scalar(None, pa.large_string()), column) for column in texts]
    return pa.RecordBatch.from_arrays(texts, columns.schema.names)


def _is_utf8(cell: bytes) -> bool:
    try:
        cell.decode()
    except UnicodeDecodeError:
        return False
    return True


class _PlainRows(io.RawIOBase):
    """The lines of a text in which quotes mean nothing, with a mark for each tab behind a backslash.

    A line that is longer than half a block becomes one of a single field that tells its size.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._ready, self._ended, self._is_first = file, b"", False, True
        self.failure: Exception | None = None

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; none at the end."""
        if not self._ready and not self._ended:
            self._ready = self._more()
        size = len(self._ready) if size < 0 else size
        taken, self._ready = self._ready[:size], self._ready[size:]
        return b"" if self._ended else taken

    def end(self) -> None:
        """Give no more lines."""
        self._ended = True

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        super().close()

    def _more(self) -> bytes:
        pieces, size = [], 0
        try:
            while size < BLOCK // 2 and (line := self._file.readline(BLOCK // 2)):
                if len(line) == BLOCK // 2 and not line.endswith(b"\n"):
                    line = self._long(line)
                if self._is_first:
                    self._is_first, line = False, line.removeprefix(b"\xef\xbb\xbf")
                pieces.append(_ESCAPED_TAB.sub(rb"\1" + _MARK.encode(), line) if b"\\\t" in line else line)
                size += len(line)
        except BROKEN as error:
            self.failure = error
        return b"".join(pieces)

    def _long(self, head: bytes) -> bytes:
        size = len(head)
        while more := self._file.readline(BLOCK):
            size += len(more)
            if more.endswith(b"\n"):
                break
        return stand_in(size, head[:1_000])
