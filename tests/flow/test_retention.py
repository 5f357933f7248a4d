"""Rows go when their time is over; an event whose time was over before it came counts, and has no row."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest

from model.bucket import Bucket
from model.scoring.propensity import Model
from schemas.avro.codec import codec
from schemas.events import Event, EventBatch
from schemas.messages import MessageBatch
from settings import load_settings
from steps.known_models import KnownModels
from steps.progress import count_sequenced
from steps.sequencing import sequencer
from stores.store_registry import reader_of
from tests.flow.running import ROOT, run_flow
from tests.services.cassandra import Cassandra

DAY = 86_400_000
NOW = 1_500_000_000_000
MODEL = Model.from_json((ROOT / "model" / "seed.json").read_bytes())


def batch(*events: Event) -> EventBatch:
    return codec().decode(MessageBatch.of("events", 0, 0, [codec().encode_one(event) for event in events])).events


def test_an_expired_event_counts_in_the_sequence_and_has_no_row() -> None:
    step = sequencer(KnownModels(MODEL), 1_000, timedelta(days=10), now=lambda: NOW / 1_000)
    old, new = Event("old", "u", NOW - 11 * DAY, "CL"), Event("new", "u", NOW - 9 * DAY, "IM")
    bucket, item = step(None, batch(old, new, old))
    assert isinstance(bucket, Bucket)
    assert item.update.outcomes["timestamp"].tolist() == [new.timestamp]
    assert item.update.outcomes["seen"].tolist() == [2]
    counts = count_sequenced(("0", item))
    assert (counts.scored, counts.repeats, counts.expired, counts.dead) == (1, 1, 1, 0)


def test_credits_are_those_of_the_conversions_that_have_rows() -> None:
    """An expired touch is credited; an expired conversion has nobody to credit."""
    step = sequencer(KnownModels(MODEL), 1_000, timedelta(days=10), now=lambda: NOW / 1_000)
    click, gone = Event("click", "u", NOW - 12 * DAY, "CL", campaign="Spring"), Event("gone", "u", NOW - 11 * DAY, "CN")
    shown, kept = Event("shown", "u", NOW - 9 * DAY, "IM"), Event("kept", "u", NOW - 8 * DAY, "CN")
    _, item = step(None, batch(click, gone, shown, kept))
    credits = item.update.credits
    assert item.update.outcomes["timestamp"][credits.rows["outcome"]].tolist() == [kept.timestamp] * 3
    assert [credits.campaigns[number] for number in credits.rows["campaign"]] == ["Spring", "NA", ""]


def test_without_a_retention_nothing_expires() -> None:
    step = sequencer(KnownModels(MODEL), 1_000)
    _, item = step(None, batch(Event("old", "u", 0, "CL")))
    assert (len(item.update.outcomes), item.expired) == (1, 0)


def test_the_flow_counts_what_expired_and_cassandra_keeps_the_rest(
    cassandra: Cassandra, keyspace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, now = tmp_path / "log.csv", round(time.time() * 1_000)
    file.write_text(f"event_id,user_id,timestamp,type\nold,u,{now - 40 * DAY},CL\nnew,u,{now - 20 * DAY},IM\n")
    settings: dict[str, object] = {
        "source": "file", "file": file, "store": "cassandra", "cassandra_hosts": cassandra.host,
        "cassandra_port": cassandra.port, "cassandra_keyspace": keyspace, "retention_days": 30,
    }  # fmt: skip
    run = run_flow(**settings)
    assert run.returncode == 0, run.stderr
    assert "1 scored (0 late), 0 repeats (0 conflicts), 0 dead letters, 1 expired" in run.stderr
    for name, value in settings.items():
        monkeypatch.setenv(f"ADSTREAMS_{name.upper()}", str(value))
    reader = reader_of(load_settings())()
    try:
        assert [(point.event_id, point.seen) for point in reader.curve("u")] == [("new", 2)]
    finally:
        reader.close()
