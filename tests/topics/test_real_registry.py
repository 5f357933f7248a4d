"""A real registry: ids, both versions of an event, other clients' messages, and outages."""

import json
import threading
import time
from dataclasses import asdict

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas.avro.codec import VERSIONS, Codec, load_schema
from schemas.avro.propensity_codec import PropensityCodec
from schemas.errors import NoSchemaError, RegistryError
from schemas.events import Event
from schemas.messages import MessageBatch
from schemas.scored import Propensity
from topics.registry import Registry

NEW, OLD = (load_schema(name) for name in VERSIONS)
JSON_SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
EVENT = Event("e", "u", 1_500_000_000_000, "CL", publisher="P", placement="top", quantity=2, revenue=9.5)


@pytest.fixture
def client(registry):
    with Registry(registry.url) as opened:
        opened.check()
        yield opened


@pytest.fixture
def theirs(registry):
    """Confluent's own client."""
    with SchemaRegistryClient({"url": registry.url}) as opened:
        yield opened


def new_schema(prefix):
    """A schema that no other test has registered."""
    fields = [*NEW["fields"], {"name": prefix.replace("-", "_"), "type": "string", "default": ""}]
    return {**NEW, "fields": fields}


def reason(client, schema_id):
    with pytest.raises(NoSchemaError) as error:
        client.schema(schema_id)
    return str(error.value)


def test_a_registered_schema_has_one_id_and_is_found_by_it(registry, client, topic_prefix):
    schema = new_schema(topic_prefix)
    schema_id = client.register(f"{topic_prefix}events-value", schema)
    with Registry(registry.url) as other:
        assert other.schema(schema_id) == schema
        assert other.register(f"{topic_prefix}events-value", schema) == schema_id


@pytest.mark.parametrize("schema_id", [0, 10**6, 2**31 - 1, 2**31, 2**32 - 1])
def test_an_id_that_is_not_there_is_told_at_once(client, schema_id):
    started = time.monotonic()
    assert reason(client, schema_id) == "not in the registry"
    assert time.monotonic() - started < 5


def test_a_subject_takes_both_versions_of_an_event_and_no_event_without_a_user(client, theirs, topic_prefix):
    subject = f"{topic_prefix}events-value"
    theirs._rest_client.put(f"config/{subject}", {"compatibility": "FULL_TRANSITIVE"})
    assert client.register(subject, OLD) != client.register(subject, NEW)
    broken = {**NEW, "fields": [*NEW["fields"], {"name": "needed", "type": "string"}]}
    with pytest.raises(RegistryError, match=f"'{subject}' does not take the schema.*HTTP 409") as error:
        client.register(subject, broken)
    assert "\n" not in str(error.value)


def test_producers_of_both_versions_and_framings_write_to_one_topic(registry, theirs, topic_prefix):
    """Confluent's serializer is one of them, and its deserializer reads what is written here."""
    topic = f"{topic_prefix}events"
    context = SerializationContext(topic, MessageField.VALUE)
    old = AvroSerializer(theirs, json.dumps(OLD))({**asdict(EVENT), "site": "P"}, context)
    with Registry(registry.url) as client:
        codec = Codec(lookup=client, writes_id=client.register(f"{topic}-value", NEW))
        new = AvroSerializer(theirs, json.dumps(NEW))(asdict(EVENT), context)
        assert codec.encode_one(EVENT) == new
        decoded = codec.decode(MessageBatch.of("s", 0, 0, [old, new, Codec().encode_one(EVENT), old]))
        assert not decoded.letters
        without = Event(**{**asdict(EVENT), "placement": "NA"})
        assert list(decoded.events.events()) == [without, EVENT, EVENT, without]
    read = AvroDeserializer(theirs)(new, context)
    read["timestamp"] = round(read["timestamp"].timestamp() * 1000)
    assert Event(**read) == EVENT


def test_confluents_deserializer_reads_propensities(client, theirs, topic_prefix):
    topic = f"{topic_prefix}propensity"
    row = Propensity("u", 1_500_000_000_000, -7, None, "CN", 0.25, 3, 4, "seed")
    codec = PropensityCodec(client.register(f"{topic}-value", load_schema("propensity")), client)
    read = AvroDeserializer(theirs)(codec.encode_one(row), SerializationContext(topic, MessageField.VALUE))
    read["timestamp"] = round(read["timestamp"].timestamp() * 1000)
    assert Propensity(**read) == row
    assert codec.decode_one(codec.encode_one(row)) == row


def test_a_schema_of_another_kind_is_no_writers(client, theirs, topic_prefix):
    schema_id = theirs.register_schema(f"{topic_prefix}x-value", Schema(json.dumps(JSON_SCHEMA), "JSON"))
    assert reason(client, schema_id) == "its schema is of type JSON, not AVRO"
    schema_id = theirs.register_schema(f"{topic_prefix}y-value", Schema('"string"', "AVRO"))
    assert client.schema(schema_id) == "string"
    (letter,) = Codec(lookup=client).decode(MessageBatch.of("s", 0, 0, [b"\0" + schema_id.to_bytes(4, "big")])).letters
    assert letter.detail == f"schema id {schema_id}: its schema is not a record"


@pytest.mark.parametrize("way", ["stop", "pause"])
def test_an_outage_is_waited_for_by_new_ids_alone(own_registry, topic_prefix, caplog, way):
    """And a schema that was registered before it is found behind it."""
    schema = new_schema(topic_prefix)
    with Registry(own_registry.url) as client:
        new_id = client.register(f"{topic_prefix}events-value", schema)
        known_id = client.register(f"{topic_prefix}conversions-value", OLD)
    caplog.clear()
    with Registry(own_registry.url, patience=120.0, attempt=0.5) as other:
        assert other.schema(known_id) == OLD
        getattr(own_registry, way)()
        assert other.schema(known_id) == OLD
        found = []
        waiting = threading.Thread(target=lambda: found.append(other.schema(new_id)))
        waiting.start()
        waiting.join(2)
        assert waiting.is_alive()
        assert other.schema(known_id) == OLD
        own_registry.start() if way == "stop" else own_registry.resume()
        waiting.join(120)
    assert found == [schema]
    told = [record.getMessage() for record in caplog.records if record.name == "adstreams"]
    assert [("does not answer" in line, "answers again" in line) for line in told] == [(True, False), (False, True)]


@pytest.mark.parametrize("way", ["stop", "pause"])
def test_a_start_without_the_registry_is_one_line(own_registry, way):
    getattr(own_registry, way)()
    with Registry(own_registry.url, attempt=0.5) as client, pytest.raises(RegistryError) as error:
        client.check(2)
    assert str(error.value).startswith(
        f"ADSTREAMS_SCHEMA_REGISTRY_URL: 127.0.0.1:{own_registry.port}: no answer within 2 s"
    )
    assert "\n" not in str(error.value)


def test_a_path_that_is_not_the_registrys_is_told_at_the_start(registry):
    with (
        Registry(f"http://127.0.0.1:{registry.port}/nowhere") as client,
        pytest.raises(RegistryError, match="HTTP 404"),
    ):
        client.check(4)
