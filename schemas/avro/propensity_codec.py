"""Bytes <-> propensities: the messages of the topic that the latest score of every user can be rebuilt from."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import NamedTuple

import fastavro
import numpy as np
from numpy.typing import NDArray

from schemas.advice import NO_ACTION
from schemas.avro.codec import load_schema, versions_of
from schemas.avro.framing import SchemaLookup, Writers, header_of
from schemas.avro.program import put_text, put_varint
from schemas.compiled.compiling import compiled
from schemas.dead_letters import DeadLetter
from schemas.errors import Undecodable
from schemas.event_types import NUMBERS
from schemas.events import EVENT_ID, USER_ID, put_bytes
from schemas.messages import MessageBatch
from schemas.scored import COMPUTED_AGAIN, Propensity, ScoredRows

VERSIONS = versions_of("propensity")
_NUMBERS = 3 * 8 + 13 * 10 + 1
"""Bytes of three doubles, 13 varints and a boolean, which are all that a datum has beside its texts."""


class _Scored(NamedTuple):
    """Scored rows (n): outcomes, propensities, models' places and advice, and the events (m) that they are of.

    `rows` (m) are of `schemas.events.ROW`, with texts in `data`; an outcome names its rows by number. `models` and
    `actions` are the joined bytes of names, and their edges.
    """

    rows: NDArray[np.void]
    data: NDArray[np.uint8]
    outcomes: NDArray[np.void]
    propensities: NDArray[np.float64]
    model: NDArray[np.uint8]
    advice: NDArray[np.void]
    models: tuple[NDArray[np.uint8], NDArray[np.int64]]
    actions: tuple[NDArray[np.uint8], NDArray[np.int64]]


@compiled
def _text_size(rows, outcomes, with_event_ids):
    """Bytes of the user ids of all outcomes, and of their event ids."""
    size = 0
    for outcome in outcomes:
        user = rows[outcome.user_row]
        size += user.stop[USER_ID] - user.start[USER_ID]
        if with_event_ids and outcome.body_row != COMPUTED_AGAIN:
            body = rows[outcome.body_row]
            size += body.stop[EVENT_ID] - body.start[EVENT_ID]
    return size


@compiled
def _put_double(out, at, number, number_bytes, value):
    """Write a double by way of `number`, whose bytes are `number_bytes`; returns the byte after it."""
    number[0] = value
    return put_bytes(out, at, number_bytes, 0, 8)


@compiled
def _write(scored, header, out, bounds):
    """Encode each of the `_Scored` behind `header`, its fields in the order of propensity.avsc, into the bytes `out`.

    `bounds` (n + 1) gets the edges of the messages.
    """
    rows, data, outcomes, actions = scored.rows, scored.data, scored.outcomes, scored.actions
    ids, id_edges = scored.models
    number = np.empty(1, np.float64)
    number_bytes = number.view(np.uint8)
    at = 0
    for row in range(len(outcomes)):
        outcome = outcomes[row]
        bounds[row] = at
        at = put_bytes(out, at, header, 0, len(header))
        user = rows[outcome.user_row]
        at = put_text(out, at, data, user.start[USER_ID], user.stop[USER_ID])
        at = put_varint(out, at, outcome.timestamp)
        at = put_varint(out, at, outcome.event_key)
        if outcome.body_row == COMPUTED_AGAIN:
            at = put_varint(out, at, np.int64(0))
        else:
            body = rows[outcome.body_row]
            at = put_varint(out, at, np.int64(1))
            at = put_text(out, at, data, body.start[EVENT_ID], body.stop[EVENT_ID])
        at = put_varint(out, at, NUMBERS[outcome.type])
        at = _put_double(out, at, number, number_bytes, scored.propensities[row])
        at = put_varint(out, at, outcome.seen)
        at = put_varint(out, at, outcome.version)
        model = scored.model[row]
        at = put_text(out, at, ids, id_edges[model], id_edges[model + 1])
        action = scored.advice[row].action
        if action == NO_ACTION:
            for _ in range(3):
                at = put_varint(out, at, np.int64(0))
        else:
            at = put_varint(out, at, np.int64(1))
            at = put_text(out, at, actions[0], actions[1][action], actions[1][action + 1])
            at = put_varint(out, at, np.int64(1))
            at = _put_double(out, at, number, number_bytes, scored.advice[row].gain)
            at = put_varint(out, at, np.int64(1))
            at = _put_double(out, at, number, number_bytes, scored.advice[row].net)
        out[at] = scored.advice[row].held_out
        at += 1
    bounds[len(outcomes)] = at


@compiled
def _write_keys(rows, data, outcomes, out, bounds):
    """Write the user id of each outcome (n) into the bytes `out`; `bounds` (n + 1) gets the edges."""
    at = 0
    for row in range(len(outcomes)):
        bounds[row] = at
        user = rows[outcomes[row].user_row]
        at = put_bytes(out, at, data, user.start[USER_ID], user.stop[USER_ID])
    bounds[len(outcomes)] = at


class PropensityCodec:
    """Encodes scored rows with `schemas/propensity.avsc`, and decodes what any of its versions wrote.

    Args:
        schema_id: the registry's id of that schema: messages then have Confluent's framing, else single-object
            encoding.
        lookup: finds the schemas of a registry by id; without one, messages with an id are not read.
    """

    def __init__(self, schema_id: int | None = None, lookup: SchemaLookup | None = None) -> None:
        schemas = [load_schema(name) for name in VERSIONS]
        self._writers = Writers(schemas, lookup)
        self._header = header_of(schemas[0], schema_id)

    def encode(self, rows: ScoredRows) -> tuple[bytes, NDArray[np.int64]]:
        """All rows as messages, in the order of the outcomes: the joined bytes and the messages' edges (n + 1)."""
        events, outcomes = rows.events, rows.outcomes
        header, models, actions = np.frombuffer(self._header, np.uint8), rows.model_ids, rows.advice.names
        per_row = len(header) + int(np.diff(models[1]).max() + np.diff(actions[1]).max(initial=0)) + _NUMBERS
        out = np.empty(_text_size(events.rows, outcomes, True) + per_row * len(rows), np.uint8)
        bounds = np.empty(len(rows) + 1, np.int64)
        columns = events.rows, events.data, outcomes, rows.propensities, rows.model, rows.advice.rows
        _write(_Scored(*columns, models, actions), header, out, bounds)
        return out[: bounds[-1]].tobytes(), bounds

    def keys(self, rows: ScoredRows) -> tuple[bytes, NDArray[np.int64]]:
        """The keys of the messages, which are the user ids (UTF-8): the joined bytes and the keys' edges (n + 1)."""
        events, outcomes = rows.events, rows.outcomes
        out = np.empty(_text_size(events.rows, outcomes, False), np.uint8)
        bounds = np.empty(len(rows) + 1, np.int64)
        _write_keys(events.rows, events.data, outcomes, out, bounds)
        return out.tobytes(), bounds

    def encode_one(self, propensity: Propensity) -> bytes:
        """One row as one message, by fastavro."""
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self._writers.reader, asdict(propensity))
        return self._header + out.getvalue()

    def decode_one(self, message: bytes) -> Propensity:
        """One message as a row.

        Raises:
            Undecodable: it is not framed, its schema is unknown, or fastavro cannot read it.
        """
        frames = self._writers.frame(message)
        return Propensity(**self._writers.read(frames, 0, message))

    def decode(self, messages: MessageBatch) -> tuple[list[Propensity], list[DeadLetter]]:
        """The rows of a batch of messages, and a dead letter for each message that holds none; for tools and tests.

        A message without a value (a tombstone) is not for this: it has no bytes, and would be `unframed`.
        """
        frames = self._writers.frames(np.frombuffer(messages.data, np.uint8), messages.bounds)
        rows, letters = [], []
        for message, offset in enumerate(messages.offsets.tolist()):
            payload = messages.payload(message)
            try:
                rows.append(Propensity(**self._writers.read(frames, message, payload)))
            except Undecodable as problem:
                letters.append(
                    DeadLetter(messages.source, messages.partition, offset, problem.reason, problem.detail, payload)
                )
        return rows, letters
