"""Values of a log's columns as an event's fields: text stays what it is, numbers come of numbers and of text."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.errors import ColumnsError
from schemas.event_types import TYPES
from schemas.logs.times import is_text

Problems = dict[int, tuple[str, str]]
"""Reason and detail of rows that are no events, by row; the first that is found counts."""
_WHOLE = r"^\s*[-+]?[0-9]{1,18}(\.0*)?\s*$"
_NUMBER = r"^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?\s*$|^[-+]?(?i:nan|inf|infinity)$"
_SPACE = r"^\s+|\s+$"


def plain(column: pa.Array) -> pa.Array:
    """A column without the wrappings that change none of its values: dictionaries, views, extensions, decimals.

    A UUID becomes its text, and so does a decimal: all of its digits stay.
    """
    if isinstance(column, pa.UuidArray):
        return _uuids(column.storage)
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if isinstance(column, pa.RunEndEncodedArray):
        column = pc.run_end_decode(column)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_fixed_size_binary(column.type) and column.type.byte_width == 16:
        return _uuids(column)
    if pa.types.is_string_view(column.type) or pa.types.is_decimal(column.type):
        return column.cast(pa.large_string())
    if pa.types.is_binary_view(column.type):
        return column.cast(pa.large_binary())
    return column


def _uuids(column: pa.Array) -> pa.Array:
    texts = [None if each is None else str(UUID(bytes=each)) for each in column.to_pylist()]
    return pa.array(texts, pa.large_string())


def text_of(column: pa.Array) -> pa.Array:
    """A plain column's texts, as they stand in the log (large_binary): whole numbers, dates and truth values too.

    Raises:
        ColumnsError: its values have no text of their own, as floats and times have none.
    """
    kind = column.type
    if pa.types.is_floating(kind):
        if column.null_count + int(np.isnan(column.drop_null().to_numpy(zero_copy_only=False)).sum()) == len(column):
            return pa.nulls(len(column), pa.large_binary())
        raise ColumnsError("floats are not text; write whole numbers or text, in SQL by CAST(… AS BIGINT) or VARCHAR")
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_date32(kind) or pa.types.is_null(kind):
        column = column.cast(pa.large_string())
    elif not is_text(kind):
        raise ColumnsError("it cannot be converted to text; cast it")
    return column.cast(pa.large_binary())


def reject(problems: Problems, bad: pa.Array, reason: str, detail: str, column: pa.Array, quote: bool = True) -> None:
    """Note the rows that are `bad`, with their value where it is to be quoted."""
    for row in np.flatnonzero(bad.to_numpy(zero_copy_only=False)).tolist():
        problems.setdefault(row, (reason, f"{detail} {readable(value_of(column[row]))!r}" if quote else detail))


def value_of(value: pa.Scalar) -> Any:
    """A value for a person; a time that Python's calendar does not reach is its number."""
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        return value.cast(pa.int64()).as_py()


def readable(value: Any) -> Any:
    """Bytes as text, whatever they are; other values as they are."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def kinds_of(column: pa.Array, problems: Problems) -> NDArray[np.uint8]:
    """The types of events (indexes into `TYPES`) that texts name; unknown ones are rejected."""
    found = pc.index_in(column, value_set=pa.array([name.encode() for name in TYPES], pa.large_binary()))
    reject(problems, found.is_null(), "wrong_type", "type is", column)
    kinds: NDArray[np.uint8] = found.fill_null(0).to_numpy(zero_copy_only=False).astype(np.uint8)
    return kinds


def numbers_from(name: str, column: pa.Array, problems: Problems) -> NDArray[Any]:
    """A column of numbers, each bad value noted and zero."""
    if is_text(column.type):
        column = _number_of_text(name, column, problems)
    elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
        raise ColumnsError("it cannot be converted to a number")
    if name == "revenue":
        return np.asarray(column.cast(pa.float64(), safe=False).fill_null(0))
    if pa.types.is_uint64(column.type):
        good = pc.less(column, pa.scalar(1 << 63, pa.uint64())).fill_null(True)
        reject(problems, pc.invert(good), "wrong_type", f"{name} is", column)
        column = pc.if_else(good, column, pa.scalar(0, pa.uint64()))
    if pa.types.is_floating(column.type):
        floats = np.asarray(column.cast(pa.float64()).fill_null(0))
        good = pa.array(np.isfinite(floats) & (np.floor(floats) == floats) & (np.abs(floats) < 2**53))
        reject(problems, pc.invert(good), "wrong_type", f"{name} is", column)
        column = pc.if_else(good, pa.array(floats), 0.0)
    whole: NDArray[np.int64] = np.asarray(column.cast(pa.int64()).fill_null(0))
    limits = np.iinfo(np.int32)
    fits = (whole >= limits.min) & (whole <= limits.max)
    reject(problems, pa.array(~fits), "wrong_type", "quantity is", column)
    return np.where(fits, whole, 0)


def _number_of_text(name: str, column: pa.Array, problems: Problems) -> pa.Array:
    """Numbers that stand as text; an empty one is the default."""
    column = column.cast(pa.large_binary())
    column = pc.if_else(pc.equal(column, b""), pa.scalar(None, pa.large_binary()), column)
    good = pc.match_substring_regex(column, _NUMBER if name == "revenue" else _WHOLE).fill_null(True)
    reject(problems, pc.invert(good), "wrong_type", f"{name} is", column)
    text = pc.if_else(good, column, pa.scalar(b"0", pa.large_binary())).cast(pa.large_string())
    text = pc.replace_substring_regex(text, _SPACE, "")
    text = pc.replace_substring_regex(text, r"^\+", "")
    if name == "revenue":
        return text.cast(pa.float64())
    return pc.replace_substring_regex(text, r"\.0*$", "").cast(pa.int64())
