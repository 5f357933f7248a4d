"""An Avro writer's schema, compiled into a short program that turns a message into a row, and a row into a message.

Only records whose fields are of simple types, or unions of these, are compiled, and the program accepts a message only
when it is sure of it. All other schemas and all other messages are left to fastavro and `schemas.avro.resolution`,
whose verdict counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.avro.references import definitions
from schemas.avro.resolution import Branch, Field, Reading, Resolution
from schemas.compiled.compiling import compiled, inlined
from schemas.event_types import NUMBERS, TYPES
from schemas.events import ROW, TEXTS, put_bytes
from schemas.time_units import AUTO, NO_TIME, to_millis, unit_of_size

TIMESTAMP, TYPE, QUANTITY, REVENUE = range(len(TEXTS), len(TEXTS) + 4)
"""Targets of a program's step beside the text fields."""
SKIP = -1
STRING, VARINT, DOUBLE, ENUM, NULL, FLOAT, BYTE, BLOCK, UNION, REFUSED = range(10)
"""Kinds of steps. The steps of a union's branches follow it."""
_KINDS = {
    "string": STRING,
    "bytes": STRING,
    "int": VARINT,
    "long": VARINT,
    "enum": VARINT,
    "double": DOUBLE,
    "float": FLOAT,
    "boolean": BYTE,
    "null": NULL,
    "fixed": BLOCK,
}
_TARGETS = {name: place for place, name in enumerate((*TEXTS, "timestamp", "type", "quantity", "revenue"))}
_LEAST, _GREATEST = -(2**31), 2**31 - 1
UNDECLARED = 16
"""Added to a time's unit where the writer's schema has none."""


@dataclass(frozen=True, slots=True)
class Program:
    """Steps (n, 4) of (kind, target, number, count), the reader's symbol for each of the writer's, a row of defaults.

    `number` is a time's unit, the place of an enum's first symbol, or a block's size, and `count` how many symbols or
    branches there are. The template's spans point into `defaults`, which the decoder appends to a batch's bytes.
    """

    steps: NDArray[np.int64]
    symbols: NDArray[np.int64]
    template: NDArray[np.void]
    defaults: bytes


def compile_program(resolution: Resolution) -> Program | None:
    """The program that reads a writer's messages as events; None where it is not flat, or none can be read."""
    if resolution.problem is not None:
        return None
    steps, symbols = list[tuple[int, int, int, int]](), list[int]()
    named, template, defaults = definitions([resolution.writer]), np.zeros(1, ROW), bytearray()
    for field, written in zip(resolution.fields, resolution.writer["fields"], strict=True):
        if field is None:
            kinds = written["type"] if isinstance(written["type"], list) else [written["type"]]
            if isinstance(written["type"], list):
                steps.append((UNION, SKIP, 0, len(kinds)))
            for kind in kinds:
                step = _skipping(named.get(kind, kind) if isinstance(kind, str) else kind)
                if step is None:
                    return None
                steps.append(step)
            continue
        if field.is_union:
            steps.append((UNION, SKIP, 0, len(field.branches)))
        steps += [_reading(field, branch, symbols) for branch in field.branches]
        for value in field.default:
            _fill(template, defaults, field.name, value)
    for name, value in resolution.absent.items():
        _fill(template, defaults, name, value)
    rows = np.array(steps, np.int64).reshape(len(steps), 4)
    return Program(rows, np.array(symbols, np.int64), template, bytes(defaults))


def _skipping(kind: Any) -> tuple[int, int, int, int] | None:
    """The step over an unused value; None where one step is not enough."""
    base = str(kind["type"] if isinstance(kind, dict) else kind)
    if base not in _KINDS:
        return None
    return _KINDS[base], SKIP, int(kind["size"]) if base == "fixed" else 0, 0


def _reading(field: Field, branch: Branch, symbols: list[int]) -> tuple[int, int, int, int]:
    """The step that reads a value of one of the event's fields; what it cannot be sure of it refuses."""
    target = _TARGETS[field.name]
    match branch.reading:
        case Reading.TEXT | Reading.WHOLE | Reading.NUMBER:
            return _KINDS[branch.base], target, 0, 0
        case Reading.TIME:
            return VARINT, target, branch.number + (0 if branch.declared else UNDECLARED), 0
        case Reading.SYMBOL:
            first = len(symbols)
            symbols += [TYPES.index(mine) if mine in TYPES else -1 for _, mine in branch.symbols]
            return ENUM, target, first, len(branch.symbols)
        case Reading.NULL if field.default:
            return NULL, target, 0, 0
    return REFUSED, target, 0, 0


def _fill(template: NDArray[np.void], defaults: bytearray, name: str, value: Any) -> None:
    """Write a field's default into the template."""
    if name in TEXTS:
        place = TEXTS.index(name)
        template[0]["start"][place] = len(defaults)
        defaults += value.encode()
        template[0]["stop"][place] = len(defaults)
    else:
        template[0][name] = TYPES.index(value) if name == "type" else value


@compiled
def _varint(data, at, stop):
    """A zig-zag number of at most nine bytes and the byte after it; -1 as its place where there is no valid number."""
    value, shift = np.uint64(0), np.uint64(0)
    while at < stop and shift < 63:
        byte = np.uint64(data[at])
        at += 1
        value |= (byte & np.uint64(0x7F)) << shift
        if byte < 0x80:
            half = np.int64(value >> np.uint64(1))
            return (half if value & np.uint64(1) == 0 else ~half), at
        shift += np.uint64(7)
    return np.int64(0), np.int64(-1)


class Data(NamedTuple):
    """Messages (n) to decode.

    Attributes:
        bytes: of all messages, uint8, and behind them the defaults of programs.
        starts: the first byte of each datum (n), behind the header.
        bounds: the edges of the messages (n + 1).
    """

    bytes: NDArray[np.uint8]
    starts: NDArray[np.int64]
    bounds: NDArray[np.int64]


class Code(NamedTuple):
    """A `Program` as compiled code runs it: its arrays, and the place of its defaults in the data."""

    steps: NDArray[np.int64]
    symbols: NDArray[np.int64]
    template: NDArray[np.void]
    shift: int


class Results(NamedTuple):
    """What decoding fills in for each message (n).

    Attributes:
        rows: the events, `ROW`.
        sure: whether the program is certain of its row; fastavro decides about the others.
        units: the unit of a time that was found by its size (`schemas.time_units`); others stay as they are.
    """

    rows: NDArray[np.void]
    sure: NDArray[np.bool_]
    units: NDArray[np.uint8]


@compiled
def read_rows(messages, chosen, code, results):
    """Decode the `chosen` (k) of the messages; bytes after a datum are ignored, as in fastavro.

    Args:
        messages: `Data`.
        chosen: the numbers of messages that `code` decodes.
        code: `Code`.
        results: `Results`, filled in for the chosen messages.
    """
    data, starts, bounds = messages
    steps, symbols, template, shift = code
    rows, sure, units = results
    number, small = np.empty(1, np.float64), np.empty(1, np.float32)
    number_bytes, small_bytes = number.view(np.uint8), small.view(np.uint8)
    for message in chosen:
        record = rows[message]
        rows[message] = template[0]
        for field in range(len(record.start)):
            record.start[field] += shift
            record.stop[field] += shift
        at, stop = starts[message], bounds[message + 1]
        record.payload_start, record.payload_stop = bounds[message], stop
        good, step = True, 0
        while step < len(steps):
            after = step + 1
            if steps[step, 0] == UNION:
                value, at = _varint(data, at, stop)
                if at < 0 or value < 0 or value >= steps[step, 3]:
                    good = False
                    break
                after += steps[step, 3]
                step += 1 + value
            kind, target, size, count = steps[step, 0], steps[step, 1], steps[step, 2], steps[step, 3]
            step = after
            if kind == NULL:
                continue
            if kind in (DOUBLE, FLOAT, BYTE, BLOCK):
                if kind == DOUBLE:
                    size = 8
                elif kind == FLOAT:
                    size = 4
                elif kind == BYTE:
                    size = 1
                if size > stop - at:
                    good = False
                    break
                if target == REVENUE and kind == DOUBLE:
                    for byte in range(8):
                        number_bytes[byte] = data[at + byte]
                    record.revenue = number[0]
                elif target == REVENUE:
                    for byte in range(4):
                        small_bytes[byte] = data[at + byte]
                    record.revenue = np.float64(small[0])
                at += size
                continue
            if kind == REFUSED:
                good = False
                break
            value, at = _varint(data, at, stop)
            if at < 0:
                good = False
                break
            if kind == STRING:
                if value < 0 or value > stop - at:
                    good = False
                    break
                if target >= 0:
                    record.start[target] = at
                    record.stop[target] = at + value
                at += value
            elif kind == ENUM:
                if value < 0 or value >= count or symbols[size + value] < 0:
                    good = False
                    break
                record.type = symbols[size + value]
            elif target == TIMESTAMP:
                if size == UNDECLARED + AUTO:
                    units[message] = unit_of_size(value)
                time = to_millis(value, size & (UNDECLARED - 1))
                if time == NO_TIME:
                    good = False
                    break
                record.timestamp = time
            elif target == QUANTITY:
                if value < _LEAST or value > _GREATEST:
                    good = False
                    break
                record.quantity = value
            elif target == REVENUE:
                record.revenue = np.float64(value)
        sure[message] = good


@compiled
def put_varint(out, at, value):
    """Write a zig-zag number, ten bytes at the most; returns the byte after it."""
    left = np.uint64((value << 1) ^ (value >> 63))
    while left >= 0x80:
        out[at] = (left & np.uint64(0x7F)) | np.uint64(0x80)
        left >>= np.uint64(7)
        at += 1
    out[at] = left
    return at + 1


@inlined
def put_text(out, at, data, start, stop):
    """Write `data[start:stop]` as a string of Avro; returns the byte after it."""
    return put_bytes(out, put_varint(out, at, np.int64(stop - start)), data, start, stop)


@compiled
def write_rows(rows, data, steps, header, out, bounds):
    """Encode every row (n) behind `header`, by the steps of the event's own schema, into the bytes `out`.

    Texts of rows lie in `data`. `bounds` (n + 1) gets the edges of the messages.
    """
    number = np.empty(1, np.float64)
    number_bytes = number.view(np.uint8)
    at = 0
    for row in range(len(rows)):
        record = rows[row]
        bounds[row] = at
        at = put_bytes(out, at, header, 0, len(header))
        for step in range(len(steps)):
            kind, target = steps[step, 0], steps[step, 1]
            if kind == STRING:
                at = put_text(out, at, data, record.start[target], record.stop[target])
            elif kind == DOUBLE:
                number[0] = record.revenue
                for byte in range(8):
                    out[at + byte] = number_bytes[byte]
                at += 8
            elif kind == ENUM:
                at = put_varint(out, at, NUMBERS[record.type])
            elif target == TIMESTAMP:
                at = put_varint(out, at, record.timestamp)
            else:
                at = put_varint(out, at, np.int64(record.quantity))
    bounds[len(rows)] = at
