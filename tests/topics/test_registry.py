"""The registry: what it once said stays, what it does not know is not asked again at once, and its silence is borne."""

import base64
import json
import logging
import threading
import uuid
from dataclasses import asdict

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient, header_schema_id_serializer
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas.avro.codec import Codec, load_schema
from schemas.errors import NoSchemaError, RegistryError
from schemas.events import Event
from schemas.messages import MessageBatch
from tests.topics.small_registry import HOW_NOT, SmallRegistry
from topics.headers import KEY_HEADERS, framed
from topics.registry import ATTEMPT, FORGET, HOLD, PATIENCE, PROBE, Registry

SCHEMA = load_schema("event")
LETTERS = "does not answer"


class Clock:
    """A time that only sleeping moves."""

    def __init__(self):
        self.now, self.slept = 1_000.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def small():
    server = SmallRegistry()
    server.schemas[1] = {"schema": json.dumps(SCHEMA)}
    yield server
    server.stop()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client(small, clock):
    """A client of the small registry."""
    with Registry(small.url, attempt=0.2, clock=clock, sleep=clock.sleep) as opened:
        yield opened


def reason(registry, schema_id):
    with pytest.raises(NoSchemaError) as error:
        registry.schema(schema_id)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_schema_is_asked_for_once(client, small):
    assert client.schema(1) == SCHEMA
    assert client.schema(1) == SCHEMA
    assert [path.partition("?")[0] for path in small.asked] == ["/schemas/ids/1"]


@pytest.mark.parametrize("how", HOW_NOT)
def test_a_known_schema_goes_on_when_the_registry_is_down(client, small, clock, how):
    client.schema(1)
    small.how = how
    assert client.schema(1) == SCHEMA
    assert not clock.slept


def test_an_id_that_is_not_there_is_not_asked_for_again_for_a_while(client, small, clock):
    assert reason(client, 7) == reason(client, 7) == "not in the registry"
    assert len(small.asked) == 1
    assert not clock.slept
    small.schemas[7] = small.schemas[1]
    assert reason(client, 7) == "not in the registry"
    clock.now += FORGET + 1
    assert client.schema(7) == SCHEMA


def test_an_id_that_no_registry_gives_is_not_asked_for(client, small):
    """Some registries answer to it with a 404 that might as well be a proxy's."""
    assert reason(client, 2**31) == "not in the registry"
    assert not small.asked


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"schema": "message A {}", "schemaType": "PROTOBUF"}, "its schema is of type PROTOBUF, not AVRO"),
        ({"schema": "{", "schemaType": "AVRO"}, "its schema is no JSON"),
        ({"schema": "[" * 100_000}, "its schema is no JSON"),
        ({}, "its schema is no JSON"),
        ({"schema": 7}, "its schema is no JSON"),
        ({"schema": None}, "its schema is no JSON"),
    ],
)
def test_what_is_no_record_of_avro_is_no_schema(client, small, clock, answer, expected):
    small.schemas[7] = answer
    assert reason(client, 7) == reason(client, 7) == expected
    assert len(small.asked) == 1
    assert not clock.slept


@pytest.mark.parametrize("how", HOW_NOT)
def test_an_unknown_id_waits_for_a_registry_that_does_not_answer(client, small, clock, how):
    """With growing pauses, for a bounded time."""
    small.how = how
    started = clock.now
    assert reason(client, 1).startswith("the registry does not answer (")
    assert PATIENCE - 3 < clock.now - started <= PATIENCE
    assert 10 < len(small.asked) < 60
    assert clock.slept[0] <= 0.1 < 1 <= max(clock.slept) <= 2


def test_an_unknown_id_gets_its_schema_when_the_registry_answers_in_time(client, small, clock, caplog):
    small.how = "HTTP 503"
    sleep = clock.sleep

    def until(seconds):
        sleep(seconds)
        small.how = "HTTP 503" if sum(clock.slept) < 5 else ""

    client._sleep = until
    assert client.schema(1) == SCHEMA
    assert 5 <= sum(clock.slept) < 8
    assert [record.getMessage() for record in caplog.records if record.name == "adstreams"] == [
        f"schema registry {small.host} does not answer (HTTP 503): a message with a new schema id waits up to 30 s",
        f"schema registry {small.host} answers again",
    ]


def test_after_that_no_other_id_waits_for_a_while(client, small, clock, caplog):
    """Now and then one asks; after the while one waits again. The silence is told once."""
    small.how = "HTTP 503"
    reason(client, 1)
    asked, slept = len(small.asked), len(clock.slept)
    for schema_id in range(2, 50):
        assert LETTERS in reason(client, schema_id)
    assert (len(small.asked), len(clock.slept)) == (asked, slept)
    clock.now += PROBE
    for schema_id in range(2, 50):
        assert LETTERS in reason(client, schema_id)
    assert (len(small.asked), len(clock.slept)) == (asked + 1, slept)
    clock.now += HOLD
    reason(client, 2)
    assert len(clock.slept) > slept
    assert len([record for record in caplog.records if record.name == "adstreams"]) == 1


def test_the_first_answer_ends_that_while(client, small, clock, caplog):
    small.how = "closed"
    reason(client, 1)
    small.how = ""
    assert LETTERS in reason(client, 1)
    clock.now += PROBE
    assert client.schema(1) == SCHEMA
    assert reason(client, 2) == "not in the registry"
    assert caplog.records[-1].getMessage().endswith("answers again")
    small.how, slept = "closed", len(clock.slept)
    reason(client, 3)
    assert len(clock.slept) > slept, "a new silence is borne like the first"


def test_not_found_is_an_answer_too(client, small, clock, caplog):
    small.how = "closed"
    reason(client, 7)
    small.how = ""
    clock.now += PROBE
    assert reason(client, 7) == "not in the registry"
    assert caplog.records[-1].getMessage().endswith("answers again")


def test_threads_ask_one_at_a_time(small):
    """Those that wait profit by the answer."""
    with Registry(small.url) as registry:
        found = []
        threads = [threading.Thread(target=lambda: found.append(registry.schema(1))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [SCHEMA] * 8
    assert len(small.asked) == 1


def test_known_ids_do_not_wait_for_a_thread_that_does(small):
    with Registry(small.url, patience=0.4, attempt=0.4) as registry:
        registry.schema(1)
        small.how = "hangs"
        waiting = threading.Thread(target=lambda: reason(registry, 2))
        waiting.start()
        assert registry.schema(1) == SCHEMA
        assert waiting.is_alive()
        waiting.join()


def test_a_schema_is_registered_once_and_known_then(client, small):
    other = load_schema("event_v1")
    assert client.register("events-value", other) == 2
    assert json.loads(small.schemas[2]["schema"]) == other
    assert client.register("events-value", other) == 2
    assert any("/subjects/events-value/versions" in path for path in small.asked)
    small.how = "closed"
    assert client.schema(2) == other


def one_line(error, *parts):
    message = str(error.value)
    assert message.startswith("ADSTREAMS_SCHEMA_REGISTRY_URL: ")
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_subject_that_does_not_take_a_schema(client, small):
    with pytest.raises(RegistryError) as error:
        client.register("taken", SCHEMA)
    one_line(error, small.host, "'taken'", "HTTP 409", "Schema is incompatible")


@pytest.mark.parametrize("how", HOW_NOT)
def test_a_start_waits_for_a_registry_only_so_long(client, small, clock, how, caplog):
    small.how = how
    for call in (client.check, lambda: client.register("events-value", SCHEMA)):
        started = clock.now
        if how == "a list" and call == client.check:
            continue  # it is one
        with pytest.raises(RegistryError) as error:
            call()
        assert 7 < clock.now - started <= 10
        one_line(error, small.host, "no answer within 10 s")
    assert not caplog.records, "the error says it"


def test_a_start_with_a_registry_that_answers(client, clock):
    client.check()
    assert not clock.slept


def test_a_registry_that_is_not_there():
    with Registry("http://127.0.0.1:9", patience=0.1, attempt=0.1) as registry, pytest.raises(RegistryError) as error:
        registry.check(0.3)
    one_line(error, "127.0.0.1:9", "Connection refused")


@pytest.mark.parametrize("status", [401, 403])
def test_a_user_that_is_refused_is_told_at_once(small, clock, status):
    small.how = f"HTTP {status}"
    url = small.url.replace("//", "//jane:pass%40word@")
    with Registry(url, clock=clock, sleep=clock.sleep) as registry:
        with pytest.raises(RegistryError) as error:
            registry.check()
        one_line(error, small.host, f"HTTP {status}")
        assert "pass" not in str(error.value)
        assert "jane" not in str(error.value)
    assert not clock.slept


def test_a_password_is_used_and_never_shown(small, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    with Registry(small.url.replace("//", "//jane:pass%40word@"), patience=0, attempt=0.2) as registry:
        registry.check()
        registry.schema(1)
        small.how = "HTTP 500"
        reason(registry, 2)
        assert registry.host == small.host
    assert small.users == {"Basic " + base64.b64encode(b"jane:pass@word").decode()}
    shown = caplog.text + "".join(capsys.readouterr())
    assert "does not answer" in shown
    assert not any(secret in shown for secret in ("jane", "pass", "word"))


NO_ADDRESSES = (
    *("", "registry", "registry:8081", "ftp://registry", "http://", "http://secret@", "http://h:0", "http://h:99999"),
    *(
        "http://u:secret@h:x",
        "http://[::1",
        "http://h,",
        "http://u:sec/ret@h",
        "http://u:sec,ret@h",
        "http://u:1/sec@h",
    ),
)


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_address_is_told_without_showing_it(url):
    with pytest.raises(RegistryError) as error:
        Registry(url)
    one_line(error, "http(s)://host:port")
    assert not any(secret in str(error.value) for secret in ("sec", "ret@"))


def test_the_next_address_is_asked_where_the_first_does_not_answer(small, clock):
    with Registry(f"http://127.0.0.1:9, {small.url}/", clock=clock, sleep=clock.sleep) as registry:
        assert registry.host == f"127.0.0.1:9,{small.host}"
        assert registry.schema(1) == SCHEMA
    assert not clock.slept


def test_a_codec_reads_what_a_registry_knows(client, small, clock):
    """Its letters say which id, and why."""
    own = client.register("events-value", SCHEMA)
    codec = Codec(lookup=client, writes_id=own)
    event = Event("e", "u", 1_500_000_000_000, "CL")
    good = codec.encode_one(event)
    assert good[:5] == b"\0" + own.to_bytes(4, "big")
    payloads = [good, b"\0\0\0\0\7" + good[5:], Codec().encode_one(event)]
    decoded = codec.decode(MessageBatch.of("s", 0, 0, payloads))
    assert list(decoded.events.events()) == [event, event]
    small.how = "closed"
    letters = decoded.letters + codec.decode(MessageBatch.of("s", 0, 0, [b"\0\0\0\0\x08" + good[5:]])).letters
    assert [letter.reason for letter in letters] == ["unknown_schema"] * 2
    assert letters[0].detail == "schema id 7: not in the registry"
    assert letters[1].detail.startswith("schema id 8: the registry does not answer (")


def test_what_confluents_serializer_puts_into_headers_is_read(small):
    """Its own client, values and keys, a GUID each; a value of no more than five bytes too."""
    config = {"schema.id.serializer": header_schema_id_serializer}
    event = Event("e", "u", 1_500_000_000_000, "CL")
    values = SerializationContext("t", MessageField.VALUE, [])
    keys = SerializationContext("t", MessageField.KEY, [])
    with SchemaRegistryClient({"url": small.url}) as theirs:
        value = AvroSerializer(theirs, json.dumps(SCHEMA | {"doc": "theirs"}), conf=config)(asdict(event), values)
        key = AvroSerializer(theirs, '"string"', conf=config)("u", keys)
    assert [name for name, _ in values.headers + keys.headers] == ["__value_schema_id", "__key_schema_id"]
    with Registry(small.url) as registry:
        codec = Codec(lookup=registry)
        assert codec.decode_one(framed(value, dict(values.headers))) == event
        assert codec.user_of(framed(key, dict(keys.headers), KEY_HEADERS)) == "u"


def test_a_guid_that_is_not_there_is_told_at_once(client, small, clock):
    assert reason(client, uuid.UUID(int=3)) == "not in the registry"
    small.how = "HTTP 404"
    assert reason(client, uuid.UUID(int=4)) == "not in the registry"
    assert not clock.slept


def refers(*names):
    return [{"name": f"types.T{name}", "subject": f"type-{name}", "version": 1} for name in names]


def test_references_are_fetched_with_theirs_and_once(client, small):
    """In circles too, as no registry should have them."""
    inner = {"type": "enum", "name": "T12", "namespace": "types", "symbols": ["A"]}
    outer = {"type": "record", "name": "types.T11", "fields": [{"name": "kind", "type": "T12"}]}
    main = {
        "type": "record",
        "name": "a.R",
        "fields": [{"name": n, "type": f"types.T1{n[1]}"} for n in ("x1", "x2", "y1")],
    }
    small.schemas[10] = {"schema": json.dumps(main), "references": refers(11, 12)}
    small.schemas[11] = {"schema": json.dumps(outer), "references": refers(12)}
    small.schemas[12] = {"schema": json.dumps(inner), "references": refers(11)}
    kinds = [field["type"] for field in client.schema(10)["fields"]]
    assert kinds[0]["fields"][0]["type"]["symbols"] == ["A"]
    assert kinds[1:] == ["types.T12", "types.T11"]
    asked = len(small.asked)
    client.schema(10)
    assert len(small.asked) == asked == 3


def test_a_reference_that_cannot_be_had_is_named(client, small):
    small.schemas[10] = {"schema": json.dumps(SCHEMA), "references": refers(99)}
    assert reason(client, 10) == "its reference types.T99 (subject type-99, version 1): not in the registry"
    small.schemas[13] = {"schema": json.dumps(SCHEMA), "references": refers(14)}
    small.schemas[14] = {"schema": "{}", "schemaType": "PROTOBUF"}
    assert reason(client, 13).endswith("version 1): its schema is of type PROTOBUF, not AVRO")


def test_the_times_fit_together():
    assert ATTEMPT < PROBE < HOLD
    assert ATTEMPT < PATIENCE
