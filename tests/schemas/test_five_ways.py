"""The same events by CSV, JSON lines, Parquet, an Avro container and Kafka's messages are the same, to the byte."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.avro.codec import codec, load_schema
from schemas.event_types import TYPES
from schemas.events import TEXTS, Event, EventBatch
from schemas.logs.columns import decode_columns
from schemas.logs.log_files import LogFile
from schemas.logs.log_writer import LogWriter
from schemas.messages import MessageBatch

ZONES = ("UTC", "America/New_York", "Asia/Kolkata")
HASHED = ("timestamp", "event_key", "user_hash", "revenue", "body", "quantity", "type")

ODD = ["001", "1.10", "1047583920.1714550401", "0x1F", "1e5", "2024-05-01", "NaN", "null", "true", "NA", "-0", " x ",
       "a,b", 'say "x"', "a\nb", "a\r\nb", "\ufeff", "\0", "=1+1", "{", "[1]",
       "\u202e", "é", "\U0001f600", "0", "1.0"]  # fmt: skip
text = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
name = text.filter(lambda each: 1 <= len(each.encode()) <= 1_024)
event = st.builds(
    Event,
    **dict.fromkeys(TEXTS, text) | {"event_id": name, "user_id": name},
    timestamp=st.integers(1_000_000_000_000, 4_102_444_800_000),
    type=st.sampled_from(TYPES),
    quantity=st.integers(-(2**31), 2**31 - 1),
    revenue=st.floats(allow_nan=False, allow_infinity=False),
)
logs = st.lists(event, min_size=1, max_size=12)


@pytest.fixture(params=ZONES, autouse=True)
def zone(request, monkeypatch) -> Iterator[None]:
    """The machine is in another zone, which must not matter."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
    assert "TZ" not in os.environ or os.environ["TZ"] != "Asia/Kolkata"


def by_file(path: Path) -> list[EventBatch]:
    batches = []
    for batch in LogFile(path).batches():
        decoded = decode_columns(batch, timedelta(0))
        assert not decoded.letters
        batches.append(decoded.events)
    return batches


def by_messages(events: list[Event]) -> list[EventBatch]:
    decoded = codec().decode(MessageBatch.of("events", 0, 0, [codec().encode_one(each) for each in events]))
    assert not decoded.letters
    return [decoded.events]


def as_csv(path: Path, records: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(records)


def as_json(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in records))


def as_parquet(path: Path, records: list[dict[str, Any]]) -> None:
    pa.parquet.write_table(pa.Table.from_pylist(records), path)


def as_container(path: Path, records: list[dict[str, Any]]) -> None:
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(load_schema("event")), records)


WAYS = {".csv": as_csv, ".jsonl": as_json, ".parquet": as_parquet, ".avro": as_container}


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs)
def test_the_same_events_come_out_of_all_five(tmp_path, events):
    """Written by others' tools: ids, texts, times, revenue, and the hashes that decide about repeats and buckets."""
    records = [asdict(each) for each in events]
    (expected,) = by_messages(events)
    assert list(expected.events()) == events
    for ending, write in WAYS.items():
        path = tmp_path / f"log{ending}"
        write(path, records)
        check(by_file(path), expected)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs)
def test_what_is_written_here_is_read_here(tmp_path, events):
    """Our own writer, and then the codec for what was read: nothing changes on the way."""
    (batch,) = by_messages(events)
    for ending in (".csv", ".parquet", ".avro"):
        path = tmp_path / f"own{ending}"
        with LogWriter(path) as out:
            out.write(batch)
        (read,) = by_file(path)
        check([read], batch)
        payloads, bounds = codec().encode(read)
        messages = [payloads[start:stop] for start, stop in pairwise(bounds.tolist())]
        again = codec().decode(MessageBatch.of("events", 0, 0, messages))
        check([again.events], batch)


def check(found: list[EventBatch], expected: EventBatch) -> None:
    assert [each for batch in found for each in batch.events()] == list(expected.events())
    for field in HASHED:
        column = np.concatenate([batch.rows[field] for batch in found])
        assert column.tobytes() == np.ascontiguousarray(expected.rows[field]).tobytes(), field


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(1_000_000_000_000, 4_102_444_800_000), min_size=1, max_size=8),
    st.integers(0, 999_999),
)
def test_a_time_is_the_same_by_every_way_and_unit(tmp_path, times, finer):
    """Nanoseconds, as number, text and type: rounded down alike, whatever the machine's zone."""
    nanoseconds = [each * 1_000_000 + finer for each in times]
    records = [
        {"event_id": str(number), "user_id": "u", "timestamp": each, "type": "IM"}
        for number, each in enumerate(nanoseconds)
    ]
    as_csv(tmp_path / "n.csv", records)
    as_json(tmp_path / "n.jsonl", records)
    as_parquet(tmp_path / "n.parquet", records)
    typed = pa.Table.from_pylist(records)
    for zone in (None, "UTC", "Europe/Berlin"):
        column = pa.array(nanoseconds, pa.int64()).cast(pa.timestamp("ns", zone))
        pa.parquet.write_table(typed.set_column(2, "timestamp", column), tmp_path / f"{str(zone)[:3]}.parquet")
    for kind in ("timestamp-micros", "local-timestamp-micros"):
        typed_fields = [{"name": each, "type": "string"} for each in ("event_id", "user_id", "type")]
        typed_fields.append({"name": "timestamp", "type": {"type": "long", "logicalType": kind}})
        schema = fastavro.parse_schema({"type": "record", "name": "E", "fields": typed_fields})
        with (tmp_path / f"{kind}.avro").open("wb") as file:
            fastavro.writer(file, schema, [each | {"timestamp": each["timestamp"] // 1_000} for each in records])
    for path in sorted(tmp_path.iterdir()):
        found = [int(each) for batch in by_file(path) for each in batch.rows["timestamp"]]
        assert found == times, path.name
