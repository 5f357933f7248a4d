"""Bytes <-> events: Avro behind either framing, in batches and, for a person, one by one.

A message is a header with the writer's schema (`schemas.avro.framing`), and one Avro datum. Batches are decoded
by compiled programs that accept what they are sure of; fastavro decides about the rest, message by message, so that a
batch decodes exactly as fastavro does.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
from numpy.typing import NDArray

from schemas.avro.framing import SchemaLookup, Writers, header_of
from schemas.avro.keys import Keys
from schemas.avro.program import Code, Data, Program, Results, compile_program, read_rows, write_rows
from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure
from schemas.errors import Undecodable
from schemas.event_types import TYPES
from schemas.events import ROW, TEXTS, Event, EventBatch, fill_hashes
from schemas.messages import MessageBatch
from schemas.time_units import AUTO, UNITS
from schemas.validation import FIRST_TIME, LAST_TIME, VERDICTS, check_rows

FOLDER = Path(__file__).parent.parent
_INT = np.iinfo(np.int32)
_SHOWN = 64
"""Bytes of a key in a letter's detail."""
_IDENTITY = frozenset({"user_id", "timestamp"})


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a batch: the valid events, and a dead letter for every other message.

    But for those without a value whose key is a user id: they are `requests` to erase the user up to the message's
    time. `erased` is how many more would be dead letters, of users who were erased. `units` has, with the source, the
    units of times that were inferred from their size (`schemas.time_units`).
    """

    events: EventBatch
    letters: list[DeadLetter]
    requests: tuple[Erasure, ...] = ()
    erased: int = 0
    units: frozenset[tuple[str, int]] = frozenset()


def load_schema(name: str) -> dict[str, Any]:
    """A schema of this folder, by file name without its ending."""
    schema: dict[str, Any] = json.loads((FOLDER / f"{name}.avsc").read_text())
    return schema


def versions_of(name: str) -> tuple[str, ...]:
    """The versions of a schema of this folder by file name, the current one first, then the newest.

    >>> versions_of("event")
    ('event', 'event_v1')
    """
    former = [path.stem for path in FOLDER.glob(f"{name}_v*.avsc")]
    return name, *sorted(former, key=lambda stem: -int(stem.removeprefix(f"{name}_v")))


VERSIONS = versions_of("event")


class Codec:
    """Encodes events with the first of some versions of their schema, and decodes what any of them wrote.

    Args:
        versions: writers' schemas by file name in `schemas/`; the first is the event's own.
        lookup: finds the schemas of a registry by id. With one, messages may have Confluent's framing too, mixed
            freely with single-object encoding; without one they are dead letters (`unframed`).
        writes_id: the registry's id of the first version: `encode` then writes Confluent's framing.
        time_unit: the unit of times whose schema has none: s, ms, us or ns since 1970, or auto, inferred from their
            size.
    """

    def __init__(
        self,
        versions: Iterable[str] = VERSIONS,
        lookup: SchemaLookup | None = None,
        writes_id: int | None = None,
        time_unit: str = UNITS[AUTO],
    ) -> None:
        schemas = [load_schema(name) for name in versions]
        self._writers = Writers(schemas, lookup, UNITS.index(time_unit))
        self._keys = Keys(lookup)
        self._programs: dict[int, Program | None] = {}
        self._header = header_of(schemas[0], writes_id)

    def _program(self, place: int) -> Program | None:
        """The program of one of the writers' schemas; None where it is not flat."""
        if place not in self._programs:
            self._programs[place] = compile_program(self._writers.resolutions[place])
        return self._programs[place]

    def encode_one(self, event: Event) -> bytes:
        """One event as one message."""
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self._writers.reader, asdict(event))
        return self._header + out.getvalue()

    def encode(self, batch: EventBatch) -> tuple[bytes, NDArray[np.int64]]:
        """All events of a batch as messages: the joined bytes and the messages' edges (n + 1)."""
        program = self._program(0)
        assert program is not None, "the event's own schema is flat"
        text = int((batch.rows["stop"] - batch.rows["start"]).sum())
        per_row = len(self._header) + 10 * len(program.steps)
        out, bounds = np.empty(text + per_row * len(batch), np.uint8), np.empty(len(batch) + 1, np.int64)
        header = np.frombuffer(self._header, np.uint8)
        write_rows(batch.rows, batch.data, program.steps, header, out, bounds)
        return out[: bounds[-1]].tobytes(), bounds

    def decode_one(self, message: bytes) -> Event:
        """One message as an event, by fastavro alone.

        Raises:
            Undecodable: it is not framed, its schema is unknown, or fastavro cannot read it.
        """
        frames = self._writers.frame(message)
        return Event(**self._writers.read(frames, 0, message))

    def time_of(self, message: bytes) -> int | None:
        """The event time in one message, in ms since 1970; None where no valid event could have it."""
        try:
            time = self.decode_one(message).timestamp
        except Undecodable:
            return None
        return time if FIRST_TIME <= time <= LAST_TIME else None

    def readable(self, message: bytes) -> tuple[dict[str, Any], Undecodable | None]:
        """For a person: the first fields of a message as far as they can be read, and what is wrong with it.

        >>> whole = codec().encode_one(Event("e", "u", 0, "IM"))
        >>> fields, problem = codec().readable(whole[:-20])
        >>> fields["user_id"], problem is None
        ('u', False)
        """
        frames = self._writers.frame(message)
        fields = self._writers.prefix(frames, 0, message)
        try:
            Event(**self._writers.read(frames, 0, message))
        except Undecodable as problem:
            return fields, problem
        return fields, None

    def identity(self, message: bytes) -> dict[str, Any]:
        """The user and time of a message, as far as they can be read: the first fields, up to `_IDENTITY`."""
        return self._writers.prefix(self._writers.frame(message), 0, message, _IDENTITY)

    def decode(self, messages: MessageBatch, max_skew: timedelta = timedelta(hours=1)) -> Decoded:
        """Decode and validate a batch of messages. Never raises for what a message holds."""
        if messages.erasing:
            requests, refused = self._requests(messages)
            rest = self.decode(messages.without([number for number, _ in messages.erasing]), max_skew)
            letters = sorted(rest.letters + refused, key=lambda letter: letter.offset)
            return replace(rest, requests=tuple(requests), letters=letters)
        raw, bounds = np.frombuffer(messages.data, np.uint8), messages.bounds
        frames = self._writers.frames(raw, bounds)
        starts = bounds[:-1] + frames.headers
        pieces, size = [messages.data], len(messages.data)
        rows, sure = np.zeros(len(messages), ROW), np.zeros(len(messages), np.bool_)
        units = np.full(len(messages), AUTO, np.uint8)
        programs = []
        for place in np.unique(frames.places[frames.places >= 0]).tolist():
            program = self._program(place)
            if program is not None:
                programs.append((place, program, size))
                pieces.append(program.defaults)
                size += len(program.defaults)
        if size > len(messages.data):
            raw = np.frombuffer(b"".join(pieces), np.uint8)
        for place, program, shift in programs:
            chosen = np.flatnonzero(frames.places == place)
            code = Code(program.steps, program.symbols, program.template, shift)
            read_rows(Data(raw, starts, bounds), chosen, code, Results(rows, sure, units))
        problems: dict[int, tuple[str, str]] = {}
        extra = bytearray()
        for message in np.flatnonzero(~sure).tolist():
            try:
                event = Event(**self._writers.read(frames, message, messages.payload(message)))
                _fill_row(rows[message : message + 1], event, len(raw), extra)
            except Undecodable as problem:
                problems[message] = problem.reason, problem.detail
            rows[message]["payload_start"], rows[message]["payload_stop"] = (
                bounds[message],
                bounds[message + 1],
            )
        if extra:
            raw = np.frombuffer(raw.tobytes() + extra, np.uint8)
        rows["offset"], rows["origin"] = messages.offsets, messages.origin_of
        batch = EventBatch(messages.origins, rows, raw)
        found = frozenset[tuple[str, int]]()
        if (units != AUTO).any():
            sources = [origin.source for origin in messages.origins]
            pairs = np.unique(np.column_stack([np.broadcast_to(rows["origin"], len(rows)), units]), axis=0)
            found = frozenset((sources[origin], unit) for origin, unit in pairs.tolist() if unit != AUTO)
        return replace(settle(batch, problems, messages.times, max_skew, messages.payload), units=found)

    def user_of(self, key: bytes) -> str:
        """The user id in the key of a message without a value, which asks to erase that user.

        Raises:
            Undecodable: the user cannot be identified.
        """
        return self._keys.user_id(key)

    def _requests(self, messages: MessageBatch) -> tuple[list[Erasure], list[DeadLetter]]:
        """The requests to erase a user among a batch's messages, and a letter for each that cannot be granted."""
        requests, letters, origin_of = list[Erasure](), list[DeadLetter](), messages.origin_of
        for number, key in messages.erasing:
            try:
                time = 0 if messages.times is None else max(int(messages.times[number]), 0)
                requests.append(_request(self.user_of(key), time))
            except Undecodable as problem:
                origin = messages.origins[int(np.broadcast_to(origin_of, len(messages))[number])]
                place = *origin, int(messages.offsets[number])
                detail = f"erasure request, key {key[:_SHOWN].hex() or 'empty'}: {problem.detail}"
                letters.append(DeadLetter(*place, problem.reason, detail, b""))
        return requests, letters


def _request(user_id: str, time: int) -> Erasure:
    if time > LAST_TIME:
        raise Undecodable("time_range", f"its time is {time}")
    return Erasure.of(user_id, time)


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
        DeadLetter(*batch.origin(row), int(batch.rows[row]["offset"]), *problem, payload(row))
        for row, problem in sorted(problems.items())
    ]
    rows = np.delete(batch.rows, list(problems)) if problems else batch.rows
    fill_hashes(rows, batch.data)
    return Decoded(EventBatch(batch.origins, rows, batch.data), letters)


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
