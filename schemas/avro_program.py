"""An Avro writer's schema, compiled into a short program that turns a message into a row, and a row into a message.

Only flat records of the types that an event has are compiled, and the program accepts a message only when it is
sure of it. All other schemas and all other messages are left to fastavro, whose verdict counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.compiling import compiled, inlined
from schemas.events import ROW, TEXTS, put_bytes

TIMESTAMP, TYPE, QUANTITY, REVENUE = range(len(TEXTS), len(TEXTS) + 4)
"""Targets of a program's step beside the text fields."""
SKIP = -1
STRING, VARINT, DOUBLE, ENUM = range(4)
_KINDS = {"string": STRING, "int": VARINT, "long": VARINT, "double": DOUBLE}
_TARGETS = {name: place for place, name in enumerate((*TEXTS, "timestamp", "type", "quantity", "revenue"))}
_LEAST, _GREATEST = -(2**31), 2**31 - 1


@dataclass(frozen=True, slots=True)
class Program:
    """Steps (n, 2) of (kind, target), the reader's symbol for each of the writer's, and a row of defaults.

    The template's spans point into `defaults`, which the decoder appends to a batch's bytes.
    """

    steps: NDArray[np.int64]
    symbols: NDArray[np.int64]
    template: NDArray[np.void]
    defaults: bytes


def _plain(kind: Any) -> Any:
    """A type without its logical type."""
    return kind["type"] if isinstance(kind, dict) and kind.get("type") in _KINDS else kind


def _logical(kind: Any) -> Any:
    """A type's logical type, if it has one."""
    return kind.get("logicalType") if isinstance(kind, dict) else None


def _same_name(writer: dict[str, Any], reader: dict[str, Any]) -> bool:
    """Whether two named types have one name; their namespaces do not count (Avro 1.11, "Schema Resolution")."""
    names = [str(schema.get("name")).rpartition(".")[2] for schema in (writer, reader)]
    return writer["type"] == reader["type"] and names[0] == names[1]


def compile_program(writer: dict[str, Any], reader: dict[str, Any]) -> Program | None:
    """The program that reads `writer`'s messages as `reader`'s, by Avro's resolution rules; None if it is not flat.

    Both are as fastavro parses them. Fields match by name or by one of the reader's aliases; a field that the writer
    lacks takes the reader's default. Where two of the writer's fields match one of the reader's, fastavro decides.
    """
    if not _same_name(writer, reader):
        return None
    wanted = {name: field for field in reader["fields"] for name in (field["name"], *field.get("aliases", ()))}
    steps, symbols, filled = [], np.zeros(0, np.int64), set()
    for field in writer["fields"]:
        kind, match = _plain(field["type"]), wanted.get(field["name"])
        target = SKIP if match is None else _TARGETS[match["name"]]
        if match is not None and _logical(field["type"]) not in (None, _logical(match["type"])):
            return None
        if isinstance(kind, dict) and kind.get("type") == "enum":
            if match is None:
                steps.append((VARINT, SKIP))
            else:
                if not isinstance(match["type"], dict) or not _same_name(kind, match["type"]):
                    return None
                known = match["type"]["symbols"]
                symbols = np.array([known.index(s) if s in known else -1 for s in kind["symbols"]], np.int64)
                steps.append((ENUM, target))
        elif isinstance(kind, str) and kind in _KINDS:
            expected = kind if match is None else _plain(match["type"])
            if kind != expected and (kind, expected) != ("int", "long"):
                return None
            steps.append((_KINDS[kind], target))
        else:
            return None
        if match is not None:
            if match["name"] in filled:
                return None
            filled.add(match["name"])
    template, defaults = np.zeros(1, ROW), b""
    for field in reader["fields"]:
        name = field["name"]
        if name in filled:
            continue
        if "default" not in field:
            return None
        if name in TEXTS:
            place = TEXTS.index(name)
            template[0]["start"][place] = len(defaults)
            defaults += field["default"].encode()
            template[0]["stop"][place] = len(defaults)
        else:
            template[0][name] = field["default"]
    return Program(np.array(steps, np.int64), symbols, template, defaults)


@compiled
def _varint(data, at, stop):
    """A zig-zag number of at most nine bytes and the byte after it; -1 in its place where there is none."""
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


@compiled
def read_rows(data, starts, bounds, chosen, steps, symbols, template, shift, rows, sure):
    """Decode the `chosen` messages into `rows`; `sure` says of which the program could be certain.

    `starts` holds the first byte of each datum, `bounds` the edges of each message, and `shift` the place of the
    program's defaults in `data`. Bytes after a datum are ignored, as fastavro does.
    """
    number = np.empty(1, np.float64)
    number_bytes = number.view(np.uint8)
    for message in chosen:
        record = rows[message]
        rows[message] = template[0]
        for field in range(len(record.start)):
            record.start[field] += shift
            record.stop[field] += shift
        at, stop = starts[message], bounds[message + 1]
        record.payload_start, record.payload_stop = bounds[message], stop
        good = True
        for step in range(len(steps)):
            kind, target = steps[step, 0], steps[step, 1]
            if kind == DOUBLE:
                if at + 8 > stop:
                    good = False
                    break
                if target == REVENUE:
                    for byte in range(8):
                        number_bytes[byte] = data[at + byte]
                    record.revenue = number[0]
                at += 8
                continue
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
                if value < 0 or value >= len(symbols) or symbols[value] < 0:
                    good = False
                    break
                record.type = symbols[value]
            elif target == TIMESTAMP:
                record.timestamp = value
            elif target == QUANTITY:
                if value < _LEAST or value > _GREATEST:
                    good = False
                    break
                record.quantity = value
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
    """Encode every row behind `header`, by the program of the event's own schema. `bounds` gets the edges."""
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
                at = put_varint(out, at, np.int64(record.type))
            elif target == TIMESTAMP:
                at = put_varint(out, at, record.timestamp)
            else:
                at = put_varint(out, at, np.int64(record.quantity))
    bounds[len(rows)] = at
