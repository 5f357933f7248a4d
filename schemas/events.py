"""An event, and a batch of events as packed arrays: the item that flows through the stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from schemas.compiled.compiling import compiled, inlined
from schemas.compiled.hashing import xxh3
from schemas.event_fields import COLUMNS, Hashed
from schemas.event_fields import MISSING as MISSING
from schemas.event_fields import TEXTS as TEXTS
from schemas.event_fields import Event as Event
from schemas.event_types import TYPES

EVENT_ID, USER_ID, CAMPAIGN = TEXTS.index("event_id"), TEXTS.index("user_id"), TEXTS.index("campaign")

ROW = np.dtype(
    [
        ("offset", np.int64),  # place in the source
        ("timestamp", np.int64),  # event time, ms since 1970
        ("event_key", np.int64),  # xxh3 of the event id
        ("user_hash", np.uint64),  # xxh3 of the user id: decides the bucket
        ("revenue", np.float64),
        ("body", np.uint32),  # hash of the columns that `schemas.event_fields` says
        ("quantity", np.int32),
        ("start", np.int32, (len(TEXTS),)),  # spans of the text fields in the batch's data
        ("stop", np.int32, (len(TEXTS),)),
        ("payload_start", np.int32),  # span of the original message; empty for an event from columns
        ("payload_stop", np.int32),
        ("origin", np.uint16),  # index into the batch's origins
        ("type", np.uint8),  # index into `schemas.event_types.TYPES`
    ],
    align=True,
)
"""One event of a batch: numbers, and spans of text and message in the batch's data."""


class Origin(NamedTuple):
    """A partition of a source."""

    source: str
    partition: int


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events: `rows` (n records of `ROW`), the bytes their spans point into, and their source partitions.

    Several batches may share their bytes. Python's cost is paid per batch and never per event; between processes a
    batch travels as two blocks of bytes.
    """

    origins: tuple[Origin, ...]
    rows: NDArray[np.void]
    data: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.rows)

    def __reduce__(self) -> tuple[Any, ...]:
        own = self.take(np.arange(len(self)))  # bytes that are shared with others stay here
        return _unpack, (self.origins, own.rows.tobytes(), own.data.tobytes())

    def origin(self, row: int) -> Origin:
        """The source partition of one row."""
        return self.origins[int(self.rows[row]["origin"])]

    def text(self, row: int, field: int) -> str:
        """The text of one field (an index into `TEXTS`) of one row."""
        record = self.rows[row]
        return self.data[record["start"][field] : record["stop"][field]].tobytes().decode()

    def texts(self, field: int, rows: NDArray[np.integer] | None = None) -> list[str]:
        """The texts of one field of all rows, or of the given ones."""
        chosen = self.rows if rows is None else self.rows[rows]
        raw = self.data.data
        spans = zip(chosen["start"][:, field].tolist(), chosen["stop"][:, field].tolist(), strict=True)
        return [str(raw[start:stop], "utf-8") for start, stop in spans]

    def payload(self, row: int) -> bytes:
        """The original message; empty for an event from columns."""
        record = self.rows[row]
        return self.data[record["payload_start"] : record["payload_stop"]].tobytes()

    def take(self, order: NDArray[np.integer]) -> EventBatch:
        """The given rows in the given order, with only the bytes that they need."""
        rows, data = gather(self.rows, self.data, np.ascontiguousarray(order, np.int64))
        return EventBatch(self.origins, rows, data)

    def event(self, row: int) -> Event:
        """One row as an `Event`."""
        record = self.rows[row]
        return Event(
            **{name: self.text(row, field) for field, name in enumerate(TEXTS)},
            timestamp=int(record["timestamp"]),
            type=TYPES[record["type"]],
            quantity=int(record["quantity"]),
            revenue=float(record["revenue"]),
        )

    def events(self) -> Iterator[Event]:
        """All rows as `Event`s, slowly: for people and tests."""
        return (self.event(row) for row in range(len(self)))


def _unpack(origins: tuple[Origin, ...], rows: bytes, data: bytes) -> EventBatch:
    return EventBatch(origins, np.frombuffer(rows, ROW), np.frombuffer(data, np.uint8))


@inlined
def put_bytes(out, at, data, start, stop):
    """Copy `data[start:stop]` to `out[at:]`; returns the byte after it."""
    for byte in range(start, stop):
        out[at] = data[byte]
        at += 1
    return at


@compiled
def _needed(rows, order):
    """Bytes of the payloads of the rows `order` (k), and of their texts that lie outside of them."""
    total = 0
    for row in order:
        record = rows[row]
        total += record.payload_stop - record.payload_start
        for field in range(len(record.start)):
            inside = record.start[field] >= record.payload_start and record.stop[field] <= record.payload_stop
            if not inside:
                total += record.stop[field] - record.start[field]
    return total


@compiled
def _gather_into(rows, data, order, out_rows, out_data):
    """Copy rows and their bytes; a text inside its message is moved with the message."""
    at = 0
    for place in range(len(order)):
        source = rows[order[place]]
        out_rows[place] = source
        target = out_rows[place]
        low, high = source.payload_start, source.payload_stop
        shift = at - low
        for byte in range(low, high):
            out_data[byte + shift] = data[byte]
        target.payload_start = at
        at += high - low
        target.payload_stop = at
        for field in range(len(source.start)):
            start, stop = source.start[field], source.stop[field]
            if start >= low and stop <= high:
                target.start[field] = start + shift
                target.stop[field] = stop + shift
            else:
                target.start[field] = at
                at = put_bytes(out_data, at, data, start, stop)
                target.stop[field] = at


def gather(
    rows: NDArray[np.void], data: NDArray[np.uint8], order: NDArray[np.int64]
) -> tuple[NDArray[np.void], NDArray[np.uint8]]:
    """Rows in the given order and a copy of just their bytes, spans mended."""
    out_rows = np.empty(len(order), ROW)
    out_data = np.empty(_needed(rows, order), np.uint8)
    _gather_into(rows, data, order, out_rows, out_data)
    return out_rows, out_data


_PRIME = np.uint64(0x9E3779B185EBCA87)
_FIRST = ("state", "segment", "publisher", None, None, "product")
"""Texts of the first version of the hash, in its order; None stands for one that it took as missing."""
_FIRST_FIELDS = np.array([-1 if name is None else TEXTS.index(name) for name in _FIRST])
_LATER = [column for column in COLUMNS if column.hashed is Hashed.WHERE_SET]
_LATER_FIELDS = np.array([TEXTS.index(column.name) for column in _LATER], np.int64)


def _hash_of(text: object) -> int:
    return xxhash.xxh3_64_intdigest(str(text).encode())


_HASH_OF_MISSING = np.uint64(_hash_of(MISSING))
_LATER_DEFAULTS = np.array([_hash_of(column.default) for column in _LATER], np.uint64)
_LATER_NAMES = np.array([_hash_of(column.name) for column in _LATER], np.uint64)


@compiled
def fill_hashes(rows, data):
    """Fill `event_key`, `user_hash` and `body` of every row (n) from its text, in `data`, and its numbers.

    Recovery directories hold these hashes. So a column that was added later is mixed in, with its name, only where it
    differs from its default: an event without it has the hash that it had before.
    """
    number = np.empty(2, np.float64)
    number_bytes = number.view(np.uint8)
    for row in range(len(rows)):
        record = rows[row]
        record.event_key = np.int64(xxh3(data, record.start[EVENT_ID], record.stop[EVENT_ID]))
        record.user_hash = xxh3(data, record.start[USER_ID], record.stop[USER_ID])
        number[0] = record.revenue + 0.0  # -0.0 is 0.0
        number[1] = record.quantity
        mixed = xxh3(number_bytes, 0, 16)
        for field in _FIRST_FIELDS:
            hashed = _HASH_OF_MISSING
            if field >= 0:
                hashed = xxh3(data, record.start[field], record.stop[field])
            mixed = (mixed ^ hashed) * _PRIME
        for place in range(len(_LATER_FIELDS)):
            field = _LATER_FIELDS[place]
            hashed = xxh3(data, record.start[field], record.stop[field])
            if hashed != _LATER_DEFAULTS[place]:
                mixed = (mixed ^ hashed ^ _LATER_NAMES[place]) * _PRIME
        record.body = np.uint32(mixed >> np.uint64(32))
