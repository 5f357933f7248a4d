"""The versions of the event's schema in schemas/: old and new producers and consumers understand each other."""

import io
import json
from dataclasses import asdict

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro.codec import VERSIONS, Codec, codec, load_schema
from schemas.avro.framing import fingerprint
from schemas.events import MISSING
from schemas.messages import MessageBatch
from tests.schemas.oracle import assert_as_judged, damaged, events, header_of, message_of

SCHEMAS = tuple(load_schema(name) for name in VERSIONS)
NEW, OLD = SCHEMAS


def as_old(event):
    """What a producer of the first version sends of an event."""
    datum = {**asdict(event), "site": event.publisher}
    return {field["name"]: datum[field["name"]] for field in OLD["fields"]}


def written(event, old):
    return message_of(OLD, as_old(event)) if old else message_of(NEW, asdict(event))


mixes = st.lists(st.tuples(events, st.booleans()), max_size=8)


@given(mixes)
def test_producers_of_both_versions_send_side_by_side(mix):
    """A batch decodes as fastavro resolves each message: the site is the publisher, and there is no placement."""
    decoded = assert_as_judged(codec(), [written(event, old) for event, old in mix], SCHEMAS)
    assert not decoded.letters
    for found, (event, old) in zip(decoded.events.events(), mix, strict=True):
        assert asdict(found) == {**asdict(event), "placement": MISSING if old else event.placement}


@given(st.data(), mixes.filter(bool))
def test_damaged_messages_of_both_versions_are_read_as_fastavro_reads_them(data, mix):
    payloads = [written(event, old) for event, old in mix]
    assert_as_judged(codec(), data.draw(st.lists(damaged(payloads), min_size=1, max_size=8)), SCHEMAS)


@given(mixes)
def test_an_event_is_the_same_by_the_compiled_program_and_by_fastavro_alone(mix):
    payloads = [written(event, old) for event, old in mix]
    batch = codec().decode(MessageBatch.of("s", 0, 0, payloads)).events
    assert list(batch.events()) == [codec().decode_one(payload) for payload in payloads]


def test_both_versions_are_read_by_compiled_programs(monkeypatch):
    event = codec().decode_one(message_of(NEW, {"event_id": "e", "user_id": "u", "timestamp": 1, "type": "CL"}))
    monkeypatch.setattr(fastavro, "schemaless_reader", None)
    decoded = codec().decode(MessageBatch.of("s", 0, 0, [written(event, True), written(event, False)]))
    assert list(decoded.events.events()) == [event, event]


@given(events)
def test_a_consumer_of_the_first_version_reads_the_second(event):
    """The field that it does not know is ignored, and the one with another name has its default."""
    datum = io.BytesIO(message_of(NEW, asdict(event))[10:])
    found = fastavro.schemaless_reader(datum, fastavro.parse_schema(NEW), fastavro.parse_schema(OLD))
    found["timestamp"] = round(found["timestamp"].timestamp() * 1000)
    assert found == {**as_old(event), "site": MISSING}


@pytest.mark.parametrize("schema", SCHEMAS, ids=VERSIONS)
def test_every_field_but_the_identity_and_the_type_has_a_default(schema):
    without = [field["name"] for field in schema["fields"] if "default" not in field]
    assert without == ["event_id", "user_id", "timestamp", "type"]


def test_the_versions_have_the_fingerprints_that_are_out_in_the_world():
    """Messages are kept for years: a change here cuts them off. Aliases, defaults and documentation do not count."""
    assert [f"{fingerprint(schema):016x}" for schema in SCHEMAS] == ["b892ada9f74a7183", "4b0b7fa9d1257db5"]
    assert '"aliases"' in json.dumps(NEW)


def test_events_are_written_with_the_current_version():
    event = codec().decode_one(message_of(OLD, {"event_id": "e", "user_id": "u", "timestamp": 1, "type": "CL"}))
    assert codec().encode_one(event)[:10] == header_of(NEW)


def test_all_the_events_schemas_in_the_folder_are_versions():
    assert Codec(VERSIONS).encode_one
    from schemas.avro.codec import FOLDER

    assert {path.stem for path in FOLDER.glob("event*.avsc")} == set(VERSIONS)
