"""JSON as a log: one object a line, or an array of objects. Scalars are taken as the text that stands there."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.dead_letters import DeadLetter
from schemas.errors import LogFileError
from schemas.logs.column_names import KNOWN, OPTIONAL, REQUIRED
from schemas.logs.json_elements import MOST, elements
from schemas.logs.log_bytes import BROKEN, Rows, open_bytes
from schemas.valid_json import valid_json

ROWS = 20_000
"""Objects of a batch."""
HEAD = 1_000
"""Objects whose keys are the columns' names; of later ones, the keys that are an event's columns."""
_KEPT = 1_000
_PIECE = 1 << 20
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)


class _Row(NamedTuple):
    """An object; or the reason why there is none, and the bytes."""

    value: Any
    reason: str = ""
    detail: str = ""
    text: bytes = b""


class JsonLog:
    """JSON lines or an array; `names` are the keys of its first objects, and those of an event in any object."""

    is_in_ms = False

    def __init__(self, path: Path) -> None:
        self._path = path
        names: dict[str, None] = {}
        objects, problem = 0, ""
        try:
            for row in self._rows():
                if isinstance(row.value, dict):
                    objects += 1
                    if objects <= HEAD:
                        names |= dict.fromkeys(row.value)
                    elif not row.value.keys() <= names.keys():  # a key that is rare, as the revenue of conversions
                        lower = {name.lower() for name in names}
                        names |= {key: None for key in row.value if key.lower() in KNOWN - lower}
                problem = problem or row.detail
        except (*BROKEN, ValueError) as error:  # reported after the rows before it
            problem = str(error)
        if not objects:
            raise LogFileError(f"{path}: neither one JSON object a line nor an array of objects ({problem or 'empty'})")
        self.names = list(names)

    def type_of(self, name: str) -> pa.DataType:
        """Bytes, whatever the column."""
        return pa.large_binary()

    def read(self, wanted: Mapping[str, str], after: int) -> Iterator[Rows]:
        """The objects after a number, with the columns of the fields in `wanted`.

        A line, or an element of an array, is a row; the first is row 1.
        """
        fields = [field for field in (*REQUIRED, *OPTIONAL) if field in wanted]
        schema = pa.schema([(field, pa.large_binary()) for field in fields])
        number, offsets, letters = 0, list[int](), list[DeadLetter]()
        columns: dict[str, list[bytes | None]] = {field: [] for field in fields}
        try:
            for number, row in enumerate(self._rows(), 1):
                if number <= after or (row.value is None and not row.reason):
                    continue
                values = self._values(row, wanted, fields)
                if isinstance(values, _Row):
                    letters.append(DeadLetter(str(self._path), 0, number, values.reason, values.detail, values.text))
                else:
                    offsets.append(number)
                    for field, value in zip(fields, values, strict=True):
                        columns[field].append(value)
                if len(offsets) + len(letters) == ROWS:
                    yield _batch(offsets, columns, schema, letters, number)
                    offsets, letters = [], []
                    columns = {field: [] for field in fields}
        except (*BROKEN, ValueError) as error:
            if offsets or letters:
                yield _batch(offsets, columns, schema, letters, number)
            raise ValueError(f"broken after row {number:,}: {error}") from None
        if offsets or letters:
            yield _batch(offsets, columns, schema, letters, number)

    def _values(self, row: _Row, wanted: Mapping[str, str], fields: list[str]) -> list[bytes | None] | _Row:
        if row.reason:
            return row
        text = valid_json(row.value).encode()[:MOST]
        if not isinstance(row.value, dict):
            return _Row(None, "wrong_shape", "not a JSON object", text)
        found = row.value
        if not all(name in found for name in wanted.values()):  # other rows may write the names in another case
            lower = {name.lower(): name for name in found}
            found = {**found, **{name: found[lower[name.lower()]] for name in wanted.values()
                                 if name not in found and name.lower() in lower}}  # fmt: skip
        values = list[bytes | None]()
        for field in fields:
            value = found.get(wanted[field])
            if isinstance(value, dict | list):
                return _Row(
                    None, "wrong_type", f"{field} is a JSON {'array' if isinstance(value, list) else 'object'}", text
                )
            if isinstance(value, bool):
                value = "true" if value else "false"
            values.append(None if value is None else str(value).encode(errors="surrogatepass"))
        return values

    def _rows(self) -> Iterator[_Row]:
        with open_bytes(self._path) as file:
            head = file.read(1 << 12).removeprefix(codecs.BOM_UTF8).lstrip()
        return self._elements() if head[:1] == b"[" else self._lines()

    def _lines(self) -> Iterator[_Row]:
        with open_bytes(self._path) as file:
            first = True
            while line := file.readline(MOST + 1):
                size = len(line)
                if size > MOST and not line.endswith(b"\n"):
                    kept = line[:_KEPT]
                    while more := file.readline(_PIECE):
                        size += len(more)
                        if more.endswith(b"\n"):
                            break
                    yield _Row(None, "wrong_shape", f"a line of {size:,} bytes, cut short here", kept)
                    continue
                if first:
                    line, first = line.removeprefix(codecs.BOM_UTF8), False
                yield _parsed(line)

    def _elements(self) -> Iterator[_Row]:
        with open_bytes(self._path) as file:
            for each in elements(file, _DECODER):
                reason = "wrong_shape" if each.detail else ""
                yield _Row(
                    each.value, reason, each.detail, each.text.encode(errors="surrogateescape") if reason else b""
                )


def _parsed(line: bytes) -> _Row:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return _Row(None, "not_utf8", "", line.rstrip())
    if not text.strip():
        return _Row(None)
    try:
        return _Row(_DECODER.decode(text))
    except (ValueError, RecursionError) as error:
        return _Row(None, "wrong_shape", f"not JSON: {error}", line.rstrip())


def _batch(
    offsets: list[int], columns: dict[str, list[bytes | None]], schema: pa.Schema, letters: list[DeadLetter], last: int
) -> Rows:
    arrays = [pa.array(columns[name], pa.large_binary()) for name in schema.names]
    return Rows(np.array(offsets, np.int64), pa.RecordBatch.from_arrays(arrays, schema=schema), letters, last)
