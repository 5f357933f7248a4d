"""Both framings in one batch: single-object encoding, and Confluent's with a registry's ids."""

import random
from dataclasses import asdict
from itertools import pairwise

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro.codec import VERSIONS, Codec, load_schema
from schemas.errors import Undecodable
from schemas.events import Event
from schemas.messages import MessageBatch
from tests.schemas.oracle import (
    TIME,
    Shelf,
    assert_as_judged,
    codec_of,
    damaged,
    event_schema,
    events,
    field,
    message_of,
    registered_message_of,
)
from tests.schemas.test_evolution import READER, WRITERS, samples

SCHEMAS = tuple(load_schema(name) for name in VERSIONS)
NEW, OLD = SCHEMAS
NAMES = list(WRITERS)
LARGEST = 2**32 - 1
EVENT = Event("e", "u", TIME, "CL", publisher="P", quantity=2, revenue=9.5)


def with_id(message, schema_id):
    """A single-object message as one in Confluent's framing."""
    return b"\0" + schema_id.to_bytes(4, "big") + message[10:]


def event_message(schema_id, **changes):
    return with_id(message_of(NEW, {**asdict(EVENT), **changes}), schema_id)


def letters_of(schema, payload=None, shelf=None):
    """The letters of an event with id 5, where `schema` is what the registry has under that."""
    codec = Codec(lookup=shelf or Shelf({5: schema}))
    return codec.decode(MessageBatch.of("s", 0, 0, [payload or event_message(5)])).letters


def test_every_writer_and_both_framings_mix_in_one_batch():
    """Each message by its own writer's schema, whether that is flat or not."""
    shelf = Shelf(dict(enumerate(WRITERS.values())))
    payloads = [
        message if bare else with_id(message, schema_id)
        for schema_id, writer in enumerate(WRITERS.values())
        for message in samples(writer, 3)
        for bare in (False, writer is WRITERS["no product"])
    ]
    random.Random(3).shuffle(payloads)
    codec = codec_of(READER, WRITERS["no product"], lookup=shelf)
    assert_as_judged(codec, payloads, (READER, WRITERS["no product"]), shelf)
    assert sorted(shelf.asked) == sorted(shelf.schemas)
    assert_as_judged(codec, payloads[::-1], (READER, WRITERS["no product"]), shelf)
    assert len(shelf.asked) == len(shelf.schemas), "a schema that was found stays"


@settings(max_examples=150)
@given(st.data(), st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
def test_damaged_messages_of_both_framings_are_read_as_fastavro_reads_them(data, names):
    shelf = Shelf({NAMES.index(name): WRITERS[name] for name in names} | {LARGEST: OLD, 7: "lost"})
    own = [*samples(READER, 2), with_id(samples(OLD, 1)[0], LARGEST), with_id(samples(READER, 1)[0], 7)]
    payloads = [with_id(sample, NAMES.index(name)) for name in names for sample in samples(WRITERS[name], 2)]
    drawn = data.draw(st.lists(damaged([*own, *payloads], header=5), min_size=1, max_size=8))
    assert_as_judged(codec_of(READER, lookup=shelf), drawn, (READER,), shelf)


@given(st.lists(st.one_of(st.binary(max_size=12), st.binary(max_size=60).map(b"\0\0\0\0\1".__add__)), max_size=6))
def test_any_bytes_are_events_or_dead_letters(payloads):
    shelf = Shelf({1: OLD})
    assert_as_judged(Codec(lookup=shelf), payloads, SCHEMAS, shelf)


@given(st.lists(events, max_size=6), st.sampled_from([0, 1, 258, LARGEST]))
def test_events_are_written_in_confluents_framing_where_their_schema_has_an_id(drawn, schema_id):
    codec = Codec(lookup=Shelf({schema_id: NEW}), writes_id=schema_id)
    one_by_one = [codec.encode_one(event) for event in drawn]
    assert one_by_one == [registered_message_of(NEW, schema_id, asdict(event)) for event in drawn]
    decoded = codec.decode(MessageBatch.of("s", 0, 0, one_by_one))
    assert list(decoded.events.events()) == drawn == [codec.decode_one(message) for message in one_by_one]
    data, bounds = codec.encode(decoded.events)
    assert [data[start:stop] for start, stop in pairwise(bounds)] == one_by_one


def test_a_flat_writer_of_a_registry_is_read_by_a_compiled_program(monkeypatch):
    """Also where its names are full, or of another namespace, or its types are spelt as Java's are."""
    java = event_schema()
    java.update(namespace="org.example", name="com.example.Event")
    field(java, "campaign")["type"] = {"type": "string", "avro.java.string": "String"}
    field(java, "type")["type"]["namespace"] = "com.example.types"
    shelf = Shelf({1: NEW, 2: java, 9: OLD})
    codec = Codec(lookup=shelf)
    payloads = [event_message(1), event_message(2), with_id(samples(OLD, 1)[0], 9), event_message(1), event_message(1)]
    expected = assert_as_judged(codec, payloads, SCHEMAS, shelf)
    assert not expected.letters
    monkeypatch.setattr(fastavro, "schemaless_reader", None)
    again = codec.decode(MessageBatch.of("s", 0, 0, payloads))
    assert list(again.events.events()) == list(expected.events.events())


def test_an_id_is_looked_up_once_a_batch_until_it_is_found():
    shelf = Shelf({5: "not yet"})
    codec = Codec(lookup=shelf)
    payloads = [event_message(5), event_message(6)] * 50
    for _ in range(2):
        assert len(codec.decode(MessageBatch.of("s", 0, 0, payloads)).letters) == 100
    assert sorted(shelf.asked) == [5, 5, 6, 6]
    shelf.schemas[5] = NEW
    decoded = [codec.decode(MessageBatch.of("s", 0, 0, payloads)) for _ in range(2)]
    assert [len(each.events) for each in decoded] == [50, 50]
    assert sorted(shelf.asked) == [5, 5, 5, 6, 6, 6, 6]


def test_without_a_registry_a_message_with_an_id_is_unframed():
    (letter,) = Codec().decode(MessageBatch.of("s", 0, 0, [event_message(5)])).letters
    assert (letter.reason, letter.detail) == (
        "unframed",
        "it starts with 0000, like a Confluent schema id: set ADSTREAMS_SCHEMA_REGISTRY_URL",
    )


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0\0\0\0", b"\1\0\0\0\5", b"\xc3\1\0\0\0\0\0\0\0", b'{"a": 1}'])
def test_what_has_no_whole_header_is_unframed(payload):
    shelf = Shelf({0: NEW, 5: NEW})
    (letter,) = Codec(lookup=shelf).decode(MessageBatch.of("s", 0, 0, [payload])).letters
    assert letter.reason == "unframed"
    assert not shelf.asked


def test_a_letter_names_the_id_and_the_reason():
    (letter,) = letters_of("not in the registry")
    assert (letter.reason, letter.detail) == ("unknown_schema", "schema id 5: not in the registry")
    with pytest.raises(Undecodable) as error:
        Codec(lookup=Shelf({5: "not in the registry"})).decode_one(event_message(5))
    assert (error.value.reason, error.value.detail) == (letter.reason, letter.detail)


NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
LIST = {"type": "array", "items": {"type": "record", "name": "Nothing", "fields": []}}


def extended(kind):
    """The event's schema with one more field in front."""
    schema = event_schema()
    schema["fields"].insert(0, {"name": "extra", "type": kind})
    return schema


def deep(levels):
    kind = "string"
    for _ in range(levels):
        kind = {"type": "array", "items": kind}
    return kind


BROKEN = {
    "nothing": {},
    "no record": {"type": "string"},
    "an enum": {"type": "enum", "name": "Event", "symbols": ["A"]},
    "a record without a name": {"type": "record", "fields": []},
    "a record with a number for a name": {"type": "record", "name": 7, "fields": []},
    "a record with a number for its fields": {"type": "record", "name": "Event", "fields": 7},
    "an unknown type": extended("Unheard"),
    "a type in a type": extended({"type": {"type": "string"}}),
    "a type that is a number": extended(7),
    "a wrong default": {"type": "record", "name": "Event", "fields": [{"name": "a", "type": "int", "default": "x"}]},
    "symbols that are none": extended({"type": "enum", "name": "E", "symbols": 7}),
    "a type that holds itself": extended(NODE),
    "a map of a type that holds itself": extended({"type": "map", "values": NODE}),
    "a list of nothing": extended(LIST),
    "many levels": extended(deep(5_000)),
    "marks of a parsed schema": {
        "__fastavro_parsed": True,
        "__named_schemas": {},
        "type": "record",
        "name": "Event",
        "fields": 7,
    },
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_schema_that_cannot_be_used_makes_dead_letters(name):
    """Also one by which a short message could keep the reader for ever, or break it."""
    (letter,) = letters_of(BROKEN[name], event_message(5) + b"\2" * 1_000_000)
    assert letter.reason == "unknown_schema"
    assert letter.detail.startswith("schema id 5: its schema cannot be used: ")
    assert "\n" not in letter.detail
    assert len(letter.detail) < 400


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "record", "name": "Other", "fields": NEW["fields"]},
        {"type": "record", "name": "Event", "fields": []},
        {"type": "record", "name": "Event", "fields": [{"name": "user_id", "type": "long"}]},
        {**NEW, "type": "error"},
    ],
    ids=["of another name", "of no fields", "of other types", "an error"],
)
def test_a_schema_that_is_no_events_makes_dead_letters(schema):
    (letter,) = letters_of(schema)
    assert letter.reason in ("undecodable", "unknown_schema", "missing")


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("campaign", {"type": "string", "logicalType": "uuid"}, "12345678-1234-5678-1234-567812345678"),
        ("campaign", {"type": "bytes", "logicalType": "decimal", "precision": 4}, b"\1"),
        ("quantity", {"type": "int", "logicalType": "date"}, 9),
        ("quantity", {"type": "int", "logicalType": "time-millis"}, 9),
        ("timestamp", {"type": "int", "logicalType": "date"}, 9),
        ("timestamp", {"type": "long", "logicalType": "time-micros"}, 9),
        ("timestamp", {"type": "long", "logicalType": "timestamp-micros"}, TIME * 1_000 + 999),
        ("timestamp", {"type": "long", "logicalType": "local-timestamp-millis"}, TIME),
        ("timestamp", {"type": "long", "logicalType": "unheard-of"}, TIME),
        ("revenue", {"type": "int", "logicalType": "time-millis"}, 9),
    ],
)
def test_a_writers_logical_types_are_read_as_fastavro_reads_them(name, kind, value):
    """A value that is then not of the field's type makes a dead letter."""
    writer, plain = event_schema(), event_schema()
    field(writer, name).update(type=kind)
    field(plain, name).update(type=kind["type"])
    for schema in (writer, plain):
        field(schema, name).pop("default", None)
    shelf = Shelf({5: writer})
    message = with_id(message_of(plain, {**asdict(EVENT), name: value}), 5)
    decoded = assert_as_judged(Codec(lookup=shelf), [message, message], SCHEMAS, shelf)
    assert {letter.reason for letter in decoded.letters} <= {"wrong_type"}


@pytest.mark.parametrize("names", [("publisher", "site"), ("site", "publisher"), ("publisher", "publisher")])
def test_two_fields_of_a_writer_that_match_one_are_read_as_fastavro_reads_them(names):
    writer = event_schema()
    place = next(place for place, each in enumerate(writer["fields"]) if each["name"] == "publisher")
    writer["fields"][place : place + 1] = [{"name": name, "type": "string"} for name in names]
    both = event_schema()
    both["fields"][place : place + 1] = [{"name": name, "type": "string"} for name in ("one", "two")]
    shelf = Shelf({5: writer})
    message = with_id(message_of(both, {**asdict(EVENT), "one": "1", "two": "2"}), 5)
    assert_as_judged(Codec(lookup=shelf), [message], SCHEMAS, shelf)
