"""What a message is by fastavro and by the rules as the design words them: the judge of the codec."""

from __future__ import annotations

import copy
import io
import json
import math
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form
from hypothesis import strategies as st

from schemas.avro import codec as codec_module
from schemas.avro.codec import Codec, Decoded, load_schema
from schemas.avro.framing import SchemaLookup
from schemas.dead_letters import REASONS
from schemas.errors import NoSchemaError
from schemas.event_types import TYPES
from schemas.events import TEXTS, Event
from schemas.messages import MessageBatch

Schema = dict[str, Any]
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
    """The schemas of a registry by id or GUID, with a note of each question; a text is the reason why there is none."""

    def __init__(self, schemas: Mapping[Any, Schema | str]) -> None:
        self.schemas, self.asked = dict(schemas), list[Any]()

    def schema(self, schema_id: int | UUID) -> Schema:
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
    found: Schema | str | None = None
    size = 0
    if shelf is not None and payload[:1] == b"\0" and len(payload) >= 5:
        found, size = shelf.schemas.get(int.from_bytes(payload[1:5], "big")), 5
    elif shelf is not None and payload[:1] == b"\1" and len(payload) >= 17:
        found, size = shelf.schemas.get(UUID(bytes=payload[1:17])), 17
    return (found, payload[size:]) if isinstance(found, dict) else None


UNITS = {"s": 10**9, "millis": 10**6, "micros": 10**3, "nanos": 1}
"""Nanoseconds that a time counts."""


def options(kind: Any) -> list[Any]:
    """The branches of a type, those of a union or one."""
    return kind if isinstance(kind, list) else [kind]


def base(kind: Any) -> Any:
    """A type without logical types."""
    if isinstance(kind, list):
        return [base(each) for each in kind]
    if isinstance(kind, dict):
        kept = {key: value for key, value in kind.items() if key not in ("logicalType", "scale", "precision")}
        return {key: base(value) if key in ("items", "values", "type") else value for key, value in kept.items()}
    return kind


def logical(kind: Any) -> str:
    """A type's logical type."""
    return str(kind.get("logicalType", "")) if isinstance(kind, dict) else ""


def for_fastavro(writer: Schema, reader: Schema) -> tuple[Schema, Schema, dict[str, Any]]:
    """A writer's and the reader's schema that fastavro resolves as the rules say, and the types that values had."""
    written, wanted, kinds = copy.deepcopy(writer), copy.deepcopy(reader), dict[str, Any]()
    there = [each["name"] for each in written["fields"]]
    for field in wanted["fields"]:
        names = [name for name in (field["name"], *field.pop("aliases", ())) if name in there]
        field["type"] = base(field["type"])
        if not names:
            continue
        for place, each in enumerate(written["fields"]):
            if each["name"] in names:
                each["name"] = field["name"] if each["name"] == names[0] else f"shadowed{place}"
        (mine,) = [each for each in written["fields"] if each["name"] == field["name"]]
        kind = kinds[field["name"]] = mine["type"]
        known = {logical(each) for each in options(kind)}
        timed = known & {
            f"{local}timestamp-{unit}" for local in ("", "local-") for unit in ("millis", "micros", "nanos")
        }
        foreign = known & {"date", "time-millis", "time-micros"}
        more: list[Any] = ["null"] if "null" in options(kind) else []
        if "long" in map(_type, options(kind)) and field["type"] == "int":
            field["type"] = "long"
        for each in options(kind):
            if field["type"] == "string" and logical(each) == "uuid" and _type(each) == "fixed":
                more.append(base(each))
            if field["type"] == "double" and logical(each) == "decimal":
                more.append(base(each))
        if foreign or (timed and field["name"] != "timestamp") or (known & {"decimal"} and field["type"] == "string"):
            field["type"], field["default"] = "null", None  # it cannot be read
        elif more:
            field["type"] = [field["type"], *more]
    for each in written["fields"]:
        each["type"] = base(each["type"])
    return written, wanted, kinds


def _type(kind: Any) -> Any:
    return kind["type"] if isinstance(kind, dict) else kind


def in_millis(number: int, kind: Any, time_unit: str = "auto") -> int | None:
    """A time of a writer's type as ms, cut off towards the past; None where nobody knows what it counts."""
    declared = [logical(each).rpartition("-")[2] for each in options(kind) if "timestamp" in logical(each)]
    if declared and "int" not in map(_type, options(kind)):
        return number * UNITS[declared[0]] // 10**6
    units = [unit for unit, size in UNITS.items() if 10**17 <= number * size <= 4_102_444_800 * 10**9]
    if time_unit != "auto":
        units = [{"ms": "millis", "us": "micros", "ns": "nanos"}.get(time_unit, time_unit)]
    return number * UNITS[units[0]] // 10**6 if units else None


def verdict(
    payload: bytes, schemas: tuple[Schema, ...], shelf: Shelf | None = None, time_unit: str = "auto"
) -> Event | None:
    """The event of a message, by fastavro and the rules; None where it is none."""
    found = writer_of(payload, schemas, shelf)
    if found is None:
        return None
    try:
        _parsed(json.dumps(found[0]))
        written, wanted, kinds = for_fastavro(found[0], schemas[0])
        writer, reader = (_parsed(json.dumps(schema)) for schema in (written, wanted))
        datum = fastavro.schemaless_reader(io.BytesIO(found[1]), writer, reader)
    except Exception:  # fastavro raises whatever the bytes provoke
        return None
    defaults = {each["name"]: each["default"] for each in schemas[0]["fields"] if "default" in each}
    for name, kind in kinds.items():
        if datum[name] is None and "null" in options(kind):
            datum[name] = defaults.get(name)
        if isinstance(datum[name], bytes):
            (shape,) = [each for each in options(kind) if logical(each) in ("uuid", "decimal")] or [{}]
            if logical(shape) == "uuid":
                datum[name] = str(UUID(bytes=datum[name]))
            elif logical(shape) == "decimal":
                whole = int.from_bytes(datum[name], "big", signed=True)
                datum[name] = float(Fraction(whole, 10 ** shape.get("scale", 0)))
    if isinstance(datum["timestamp"], int):
        datum["timestamp"] = in_millis(datum["timestamp"], kinds["timestamp"], time_unit)
    event = Event(**datum)
    return event if is_valid(event) else None


def is_valid(event: Event) -> bool:
    """The rules of `design.md` for a message without a time of its own."""
    return (
        all(isinstance(getattr(event, name), str) for name in (*TEXTS, "type"))
        and all(isinstance(each, int) for each in (event.timestamp, event.quantity))
        and isinstance(event.revenue, (int, float))
        and all(1 <= len(each.encode()) <= 1_024 for each in (event.user_id, event.event_id))
        and math.isfinite(event.revenue)
        and 0 <= event.timestamp <= 4_102_444_800_000
        and -(2**31) <= event.quantity < 2**31
    )


def assert_as_judged(
    codec: Codec, payloads: list[bytes], schemas: tuple[Schema, ...], shelf: Shelf | None = None, unit: str = "auto"
) -> Decoded:
    """A batch holds just the events that the judge finds in it, and a dead letter for every other message."""
    decoded = codec.decode(MessageBatch.of("source", 3, 100, payloads))
    judged = {offset: verdict(payload, schemas, shelf, unit) for offset, payload in enumerate(payloads, start=100)}
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
