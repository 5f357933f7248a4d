"""Other people's producers, a real broker and a real registry: each of their messages is an event or one letter."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient

from schemas.avro.codec import codec
from schemas.events import Event
from tests.flow.running import PATIENCE, count, make_recovery, query, run_flow, running_flow, wait_for
from tests.flow.streaming import Stream
from tests.schemas.test_others_producers import ENUM, ROW, UUID_TEXT, bare, schema
from tests.services.kafka import Kafka
from tests.services.registry import Registry

NOW = int(time.time()) - 86_400
Sent = list[tuple[bytes, bytes | None, list[tuple[str, bytes]]]]


@pytest.fixture
def stream(kafka: Kafka) -> Stream:
    return Stream(kafka.brokers).make(1)


def row(event_id: str, **more: Any) -> dict[str, Any]:
    return ROW | {"event_id": event_id, "timestamp": NOW * 1_000} | more


def produced(stream: Stream, messages: Sent, **config: str) -> Producer:
    """Messages with their headers, in order, in the first topic."""
    producer = Producer({"bootstrap.servers": stream.brokers} | config)
    if config:
        producer.init_transactions(PATIENCE)
        producer.begin_transaction()
    for key, value, headers in messages:
        producer.produce(stream.topics[0], value, key, headers=headers)
    producer.flush(PATIENCE)
    return producer


@pytest.fixture
def theirs(registry: Registry) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry.url}) as client:
        yield client


def test_each_message_is_an_event_or_one_letter(
    stream: Stream, registry: Registry, theirs: SchemaRegistryClient, tmp_path: Path
) -> None:
    """Ids of logical types, nulls, references, ids in headers, seconds, new symbols, and keys in framing."""
    name = stream.name

    def register(subject: str, kind: Any, references: tuple[SchemaReference, ...] = ()) -> bytes:
        text = Schema(json.dumps(kind), "AVRO", list(references))
        return b"\0" + theirs.register_schema(f"{name}-{subject}", text).to_bytes(4, "big")

    sent: Sent = []

    def framed(subject: str, kind: dict[str, Any], *rows: dict[str, Any]) -> None:
        sent.extend((b"u", register(subject, kind) + bare(kind, each), []) for each in rows)

    framed("uuid", schema(event_id=UUID_TEXT), row("0000ABCD-0000-4000-8000-000000000001"))
    framed(
        "null", schema(campaign=["null", "string"], revenue=["double", "null"]), row("n", campaign=None, revenue=None)
    )
    framed("seconds", schema(timestamp="long"), row("s", timestamp=NOW))
    framed(
        "micros", schema(timestamp={"type": "long", "logicalType": "timestamp-micros"}), row("m", timestamp=NOW * 10**6)
    )
    framed("more", schema(type={**ENUM, "symbols": [*ENUM["symbols"], "EM"]}), row("bad", type="EM"), row("good"))
    register("type", {**ENUM, "namespace": "adstreams"})
    referring = schema(type="adstreams.EventType")
    there = SchemaReference("adstreams.EventType", f"{name}-type", 1)
    sent.append((b"u", register("refers", referring, (there,)) + bare(schema(), row("r")), []))
    header = register("plain", schema(), ())
    sent.append((b"u", bare(schema(), row("h")), [("trace", b"x"), ("__value_schema_id", header)]))
    sent.append((b"u", bare(schema(), row("x")), [("apicurio.value.globalId", bytes([0] * 7 + [9]))]))
    key = register("key", "string")
    framed("gone", schema(), row("gone", user_id="left"), row("also gone", user_id="left too"))
    sent.append((key + bare("string", "left"), None, []))
    sent.append((bare("string", "left too"), None, [("__key_schema_id", key)]))
    sent.append((b"\0\0\xff\xff\xff\x02u", None, []))
    produced(stream, sent)
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    settings = stream.settings | {"schema_registry_url": registry.url, "sqlite_path": store}
    with running_flow(recovery, **settings) as program:
        wait_for(stream.is_read, program)
        program.send_signal(signal.SIGTERM)
        _, errors = program.communicate(timeout=PATIENCE)
        assert program.returncode == 0, errors
    rows = query(store, "SELECT user_id, event_id, event_time, campaign FROM propensity_by_user")
    expected = {"0000ABCD-0000-4000-8000-000000000001", "n", "s", "m", "good", "r", "h"}
    assert {str(each[1]) for each in rows} == expected, errors
    assert {each[0] for each in rows} == {"u"}
    assert {each[2] for each in rows} == {NOW * 1_000}
    letters = query(store, "SELECT reason, detail FROM dead_letters")
    assert sorted(str(reason) for reason, _ in letters) == ["unknown_schema", "unknown_schema", "wrong_type"]
    assert any("Apicurio" in str(detail) for _, detail in letters)
    assert any("erasure request, key 0000ffffff0275" in str(detail) for _, detail in letters)
    assert "read as seconds" in errors


def delete_up_to(admin: AdminClient, stream: Stream, offset: int) -> None:
    place = TopicPartition(stream.topics[0], 0, offset)
    for answer in admin.delete_records([place]).values():
        answer.result(PATIENCE)


def test_a_transactions_marker_is_no_message_that_was_deleted(stream: Stream, kafka: Kafka, tmp_path: Path) -> None:
    """Several transactions, one of them aborted: all is read, and what is deleted up to the end is not missed."""
    recovery, store, admin = make_recovery(tmp_path / "recovery"), tmp_path / "store.db", kafka.admin()
    events = [Event(f"e{number}", "u", NOW * 1_000 + number, "IM") for number in range(20)]
    messages: Sent = [(b"u", codec().encode_one(event), []) for event in events]
    for part, commits in (
        (messages[:10], True),
        (messages[10:15], False),
        (messages[15:], True),
        (messages[:3], False),
    ):
        producer = produced(stream, part, **{"transactional.id": stream.name})
        producer.commit_transaction(PATIENCE) if commits else producer.abort_transaction(PATIENCE)
    end = stream.ends()[stream.topics[0], 0]
    assert end > len(messages)
    with running_flow(recovery, sqlite_path=store, **stream.settings) as program:
        wait_for(stream.is_read, program)
        program.send_signal(signal.SIGTERM)
        _, errors = program.communicate(timeout=PATIENCE)
        assert program.returncode == 0, errors
    assert {str(each) for (each,) in query(store, "SELECT event_id FROM propensity_by_user")} == {
        event.event_id for event in (*events[:10], *events[15:])
    }
    delete_up_to(admin, stream, end)
    stream.send(Event("next", "u", NOW * 1_000 + 99, "CL"))
    with running_flow(recovery, sqlite_path=store, **stream.settings) as program:
        wait_for(lambda: count(store) == 16 and stream.is_read(), program)
        program.send_signal(signal.SIGTERM)
        _, errors = program.communicate(timeout=PATIENCE)
        assert program.returncode == 0, errors
    stream.send(Event("lost", "u", NOW * 1_000 + 100, "CL"), Event("kept", "u", NOW * 1_000 + 101, "CL"))
    delete_up_to(admin, stream, stream.ends()[stream.topics[0], 0] - 1)
    run = run_flow(recovery=recovery, sqlite_path=store, **stream.settings)
    assert run.returncode == 1
    assert "were deleted" in run.stderr
