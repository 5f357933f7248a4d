"""What a message is by fastavro and by the rules as the design words them: the judge of the codec."""

from __future__ import annotations

import copy
import io
import json
import math
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form
from hypothesis import strategies as st

from schemas import codec as codec_module
from schemas.codec import Codec, Decoded, load_schema
from schemas.dead_letters import REASONS
from schemas.events import TEXTS, TYPES, Event
from schemas.messages import MessageBatch
from schemas.writers import NoSchemaError, SchemaLookup

Schema = dict[str, Any]
EPOCH = datetime.fromtimestamp(0, UTC)
TIME = 1_500_000_000_000
FIELDS = (*TEXTS, "timestamp", "type", "quantity", "revenue")


def event_schema() -> Schema:
    """A copy of the event's own schema, to be changed."""
    return copy.deepcopy(load_schema("event"))


def field(schema: Schema, name: str) -> dict[str, Any]:
    """One field of a schema, to be changed."""
    return next(each for each in schema["fields"] if each["name"] == name)


def codec_of(*schemas: Schema, lookup: SchemaLookup | None = None, writes_id: int | None = None) -> Codec:
    """A codec whose folder holds these schemas; the first is the event's own."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec_module, "FOLDER", Path(folder))
        for place, schema in enumerate(schemas):
            (Path(folder) / f"s{place}.avsc").write_text(json.dumps(schema))
        return Codec([f"s{place}" for place in range(len(schemas))], lookup, writes_id)


def header_of(schema: Schema) -> bytes:
    """C3 01 and the schema's fingerprint."""
    return _header_of(json.dumps(schema))


@cache
def _header_of(schema: str) -> bytes:
    return b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(json.loads(schema)), "CRC-64-AVRO"))


@cache
def _parsed(schema: str) -> Any:
    return fastavro.parse_schema(json.loads(schema))


def message_of(schema: Schema, datum: dict[str, Any]) -> bytes:
    """A datum as one message, by fastavro."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(copy.deepcopy(schema)), datum)
    return header_of(schema) + out.getvalue()


def registered_message_of(schema: Schema, schema_id: int, datum: dict[str, Any]) -> bytes:
    """A datum as one message in Confluent's framing."""
    return b"\0" + schema_id.to_bytes(4, "big") + message_of(schema, datum)[10:]


class Shelf:
    """The schemas of a registry by id, with a note of each question; a text is the reason why there is none."""

    def __init__(self, schemas: dict[int, Schema | str]) -> None:
        self.schemas, self.asked = schemas, list[int]()

    def schema(self, schema_id: int) -> Schema:
        self.asked.append(schema_id)
        found = self.schemas.get(schema_id, "not on the shelf")
        if isinstance(found, str):
            raise NoSchemaError(found)
        return found


def writer_of(payload: bytes, schemas: tuple[Schema, ...], shelf: Shelf | None) -> tuple[Schema, bytes] | None:
    """The schema that a message names, and its datum; None where there is no such schema."""
    for schema in schemas:
        if payload[:10] == header_of(schema):
            return schema, payload[10:]
    if shelf is not None and payload[:1] == b"\0" and len(payload) >= 5:
        found = shelf.schemas.get(int.from_bytes(payload[1:5], "big"))
        return (found, payload[5:]) if isinstance(found, dict) else None
    return None


def verdict(payload: bytes, schemas: tuple[Schema, ...], shelf: Shelf | None = None) -> Event | None:
    """The event of a message, by fastavro and the rules; None where it is none."""
    found = writer_of(payload, schemas, shelf)
    if found is None:
        return None
    try:
        writer, reader = (_parsed(json.dumps(schema)) for schema in (found[0], schemas[0]))
        datum = fastavro.schemaless_reader(io.BytesIO(found[1]), writer, reader)
    except Exception:  # fastavro raises whatever the bytes provoke
        return None
    time = datum["timestamp"]
    if isinstance(time, datetime):
        datum["timestamp"] = (time.replace(tzinfo=time.tzinfo or UTC) - EPOCH) // timedelta(milliseconds=1)
    event = Event(**datum)
    return event if is_valid(event) else None


def is_valid(event: Event) -> bool:
    """The rules of `design.md` for a message without a time of its own."""
    return (
        all(isinstance(getattr(event, name), str) for name in TEXTS)
        and all(isinstance(each, int) for each in (event.timestamp, event.quantity))
        and isinstance(event.revenue, (int, float))
        and all(1 <= len(each.encode()) <= 1_024 for each in (event.user_id, event.event_id))
        and math.isfinite(event.revenue)
        and 0 <= event.timestamp <= 4_102_444_800_000
        and -(2**31) <= event.quantity < 2**31
    )


def assert_as_judged(
    codec: Codec, payloads: list[bytes], schemas: tuple[Schema, ...], shelf: Shelf | None = None
) -> Decoded:
    """A batch holds just the events that the judge finds in it, and a dead letter for every other message."""
    decoded = codec.decode(MessageBatch.of("source", 3, 100, payloads))
    judged = {offset: verdict(payload, schemas, shelf) for offset, payload in enumerate(payloads, start=100)}
    good = {offset: event for offset, event in judged.items() if event is not None}
    assert decoded.events.rows["offset"].tolist() == list(good)
    for found, expected in zip(decoded.events.events(), good.values(), strict=True):
        for name in FIELDS:
            assert repr(getattr(found, name)) == repr(type(getattr(found, name))(getattr(expected, name))), name
    assert [decoded.events.payload(row) for row in range(len(good))] == [payloads[offset - 100] for offset in good]
    letters = {letter.offset: letter for letter in decoded.letters}
    assert list(letters) == [offset for offset, event in judged.items() if event is None]
    for offset, letter in letters.items():
        assert (letter.source, letter.partition, letter.payload) == ("source", 3, payloads[offset - 100])
        assert letter.reason in REASONS
    return decoded


ids = st.one_of(st.text(min_size=1, max_size=6), st.sampled_from(["\0", "'; --", "<b>", "🙂", "a" * 1_024, "é" * 512]))
texts = st.one_of(st.just("NA"), st.text(max_size=8))
events = st.builds(
    Event,
    ids,
    ids,
    st.one_of(st.integers(TIME, TIME + 10**9), st.sampled_from([0, 1, 63, 64, 4_102_444_800_000])),
    st.sampled_from(TYPES),
    **dict.fromkeys(TEXTS[2:], texts),
    quantity=st.one_of(st.integers(-3, 3), st.sampled_from([-(2**31), 2**31 - 1])),
    revenue=st.floats(allow_nan=False, allow_infinity=False),
)


@st.composite
def damaged(draw: st.DrawFn, messages: list[bytes], header: int = 10) -> bytes:
    """A message that something happened to, most often behind its header."""
    message = draw(st.sampled_from(messages))
    place = draw(st.one_of(st.integers(header, len(message)), st.integers(0, len(message))))
    noise = draw(st.binary(max_size=12))
    match draw(st.integers(0, 7)):
        case 0:
            return message
        case 1:
            return message[:place]
        case 2:
            return message + noise
        case 3:
            return message[:place] + noise + message[place + len(noise) :]
        case 4:
            return message[:place] + noise + message[place:]
        case 5:
            other = draw(st.sampled_from(messages))
            return message[:place] + other[draw(st.integers(0, len(other))) :]
        case 6:
            return message[:header] + draw(st.binary(max_size=80))
        case _:
            changed = bytearray(message)
            for _ in range(draw(st.integers(1, 4))):
                at = draw(st.integers(0, len(message) - 1))
                changed[at] = draw(st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 0x7F, 0x80, 0xFF])))
            return bytes(changed)
