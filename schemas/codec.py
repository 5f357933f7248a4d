"""Bytes <-> events: Avro single-object encoding, in batches and, for a person, one by one.

A message is `C3 01`, the CRC-64-AVRO fingerprint of its writer's schema (8 bytes, little endian) and one Avro datum
(Avro 1.11 specification, "Single-object encoding"). Batches are decoded by compiled programs that accept what they
are sure of; fastavro decides about the rest, message by message, so that a batch decodes exactly as fastavro does.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast

import fastavro
import fastavro.schema
import numpy as np
from numpy.typing import NDArray

from schemas.avro_program import compile_program, read_rows, write_rows
from schemas.compiling import compiled
from schemas.dead_letters import DeadLetter
from schemas.events import ROW, TEXTS, TYPES, Event, EventBatch, fill_hashes
from schemas.messages import MessageBatch
from schemas.validation import VERDICTS, check_rows

FOLDER = Path(__file__).parent
MAGIC = b"\xc3\x01"
HEADER = len(MAGIC) + 8
UNFRAMED, UNKNOWN = -1, -2
_INT = np.iinfo(np.int32)


class Undecodable(ValueError):
    """A message that is not an event; `reason` is one of `schemas.dead_letters.REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a batch: the valid events, and a dead letter for every other message."""

    events: EventBatch
    letters: list[DeadLetter]


def load_schema(name: str) -> dict[str, Any]:
    """A schema of this folder, by file name without its ending."""
    schema: dict[str, Any] = json.loads((FOLDER / f"{name}.avsc").read_text())
    return schema


def fingerprint(schema: dict[str, Any]) -> int:
    """The CRC-64-AVRO fingerprint of a schema's canonical form, as an unsigned number."""
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    return int.from_bytes(bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")), "little")


@compiled
def _frames(data, bounds, fingerprints):
    """For each message the place of its schema among the fingerprints, or `UNFRAMED`, or `UNKNOWN`."""
    found = np.empty(len(bounds) - 1, np.int64)
    for message in range(len(found)):
        at = bounds[message]
        if bounds[message + 1] - at < HEADER or data[at] != 0xC3 or data[at + 1] != 0x01:
            found[message] = UNFRAMED
            continue
        print_ = np.uint64(0)
        for byte in range(8):
            print_ |= np.uint64(data[at + 2 + byte]) << np.uint64(8 * byte)
        found[message] = UNKNOWN
        for place in range(len(fingerprints)):
            if fingerprints[place] == print_:
                found[message] = place
    return found


class Codec:
    """Encodes events with `schemas/event.avsc` and decodes what any of the given versions wrote.

    Args:
        versions: writers' schemas by file name in `schemas/`; the first is the event's own.
    """

    def __init__(self, versions: Iterable[str] = ("event",)) -> None:
        schemas = [load_schema(name) for name in versions]
        self._reader = fastavro.parse_schema(schemas[0])
        self._writers = [fastavro.parse_schema(schema) for schema in schemas]
        self._programs = [compile_program(schema, schemas[0]) for schema in schemas]
        self._fingerprints = np.array([fingerprint(schema) for schema in schemas], np.uint64)
        self._header = MAGIC + int(self._fingerprints[0]).to_bytes(8, "little")

    def encode_one(self, event: Event) -> bytes:
        """One event as one message."""
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self._reader, asdict(event))
        return self._header + out.getvalue()

    def encode(self, batch: EventBatch) -> tuple[bytes, NDArray[np.int64]]:
        """All events of a batch as messages: the joined bytes and the messages' edges (n + 1)."""
        program = self._programs[0]
        assert program is not None, "the event's own schema is flat"
        text = int((batch.rows["stop"] - batch.rows["start"]).sum())
        per_row = HEADER + 10 * len(program.steps)
        out, bounds = np.empty(text + per_row * len(batch), np.uint8), np.empty(len(batch) + 1, np.int64)
        header = np.frombuffer(self._header, np.uint8)
        write_rows(batch.rows, batch.data, program.steps, header, out, bounds)
        return out[: bounds[-1]].tobytes(), bounds

    def decode_one(self, message: bytes) -> Event:
        """One message as an event, by fastavro alone.

        Raises:
            Undecodable: it is not framed, its schema is unknown, or fastavro cannot read it.
        """
        if len(message) < HEADER or message[:2] != MAGIC:
            raise Undecodable("unframed", f"the message starts with {message[:2].hex() or 'nothing'}")
        (known,) = np.nonzero(self._fingerprints == int.from_bytes(message[2:HEADER], "little"))
        if not len(known):
            raise Undecodable("unknown_schema", f"fingerprint {message[2:HEADER].hex()}")
        try:
            datum = fastavro.schemaless_reader(io.BytesIO(message[HEADER:]), self._writers[known[0]], self._reader)
        except Exception as error:  # fastavro raises whatever the bytes provoke
            raise Undecodable("undecodable", f"{type(error).__name__}: {str(error).partition(' from <')[0]}") from error
        fields: dict[str, Any] = dict(cast("dict[str, Any]", datum))
        fields["timestamp"] = _milliseconds(fields["timestamp"])
        return Event(**fields)

    def decode(self, messages: MessageBatch, max_skew: timedelta = timedelta(hours=1)) -> Decoded:
        """Decode and validate a batch of messages. Never raises for what a message holds."""
        raw = np.frombuffer(messages.data, np.uint8)
        bounds = messages.bounds
        schema = _frames(raw, bounds, self._fingerprints)
        pieces, size = [messages.data], len(messages.data)
        rows, sure = np.zeros(len(messages), ROW), np.zeros(len(messages), np.bool_)
        shifts = {}
        for place in np.unique(schema[schema >= 0]).tolist():
            program = self._programs[place]
            if program is not None:
                shifts[place] = size
                pieces.append(program.defaults)
                size += len(program.defaults)
        if size > len(messages.data):
            raw = np.frombuffer(b"".join(pieces), np.uint8)
        for place, shift in shifts.items():
            program = self._programs[place]
            assert program is not None
            chosen = np.flatnonzero(schema == place)
            read_rows(
                raw, bounds[:-1] + HEADER, bounds, chosen, program.steps, program.symbols, program.template,
                shift, rows, sure,
            )  # fmt: skip
        problems: dict[int, tuple[str, str]] = {}
        extra = bytearray()
        for message in np.flatnonzero(~sure).tolist():
            try:
                event = self.decode_one(messages.payload(message))
                _fill_row(rows[message : message + 1], event, len(raw), extra)
            except Undecodable as problem:
                problems[message] = problem.reason, problem.detail
            rows[message]["payload_start"], rows[message]["payload_stop"] = (
                bounds[message],
                bounds[message + 1],
            )
        if extra:
            raw = np.frombuffer(raw.tobytes() + extra, np.uint8)
        rows["offset"] = messages.offsets
        batch = EventBatch(messages.source, messages.partition, rows, raw)
        return settle(batch, problems, messages.times, max_skew, messages.payload)


def settle(
    batch: EventBatch,
    problems: dict[int, tuple[str, str]],
    ceiling: NDArray[np.int64] | None,
    max_skew: timedelta,
    payload: Any,
) -> Decoded:
    """Validate the rows without a problem of their own, fill their hashes, and make dead letters of the rest."""
    verdicts = check_rows(batch.rows, batch.data, ceiling, max_skew)
    for row in np.flatnonzero(verdicts).tolist():
        problems.setdefault(row, (VERDICTS[verdicts[row]], _detail(batch, row, VERDICTS[verdicts[row]])))
    letters = [
        DeadLetter(batch.source, batch.partition, int(batch.rows[row]["offset"]), *problem, payload(row))
        for row, problem in sorted(problems.items())
    ]
    rows = np.delete(batch.rows, list(problems)) if problems else batch.rows
    fill_hashes(rows, batch.data)
    return Decoded(EventBatch(batch.source, batch.partition, rows, batch.data), letters)


def _detail(batch: EventBatch, row: int, reason: str) -> str:
    record = batch.rows[row]
    if reason == "revenue":
        return f"revenue is {record['revenue']}"
    if reason.startswith("time"):
        return f"timestamp is {record['timestamp']}"
    if reason == "id_length":
        size = (record["stop"] - record["start"])[:2]
        return f"event_id has {size[0]} bytes, user_id {size[1]}"
    return ""


def _milliseconds(timestamp: int | datetime) -> int:
    if isinstance(timestamp, datetime):
        return round((timestamp - datetime.fromtimestamp(0, timestamp.tzinfo)) / timedelta(milliseconds=1))
    return timestamp


def _fill_row(row: NDArray[np.void], event: Event, base: int, extra: bytearray) -> None:
    """Write an event into one row, its texts behind `base` bytes and those already in `extra`."""
    if not _INT.min <= event.quantity <= _INT.max:
        raise Undecodable("wrong_type", f"quantity is {event.quantity}, not an int of 32 bits")
    for field, name in enumerate(TEXTS):
        row["start"][0, field] = base + len(extra)
        extra += getattr(event, name).encode()
        row["stop"][0, field] = base + len(extra)
    row["timestamp"], row["type"] = event.timestamp, TYPES.index(event.type)
    row["quantity"], row["revenue"] = event.quantity, event.revenue


@cache
def codec() -> Codec:
    """The codec of the schema versions that this checkout knows."""
    return Codec()
