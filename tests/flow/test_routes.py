"""Files and messages are two ways to the same events: one validator, one result."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from schemas.avro.codec import codec
from schemas.events import Event, EventBatch
from schemas.logs.columns import decode_columns
from schemas.logs.log_files import LogFile
from schemas.logs.log_writer import LogWriter
from schemas.messages import MessageBatch
from simulator import World
from simulator.producers import SimulatedStream

EVENT_TEXTS = ("campaign", "publisher", "product", "creative", "placement", "state", "segment")
HOSTILE = "<b onclick='x'>\"q\",\n\r\n\x00 \U0001f600 é"
EVENTS = [
    Event(HOSTILE, HOSTILE, 1_500_000_000_000, "CN", **dict.fromkeys(EVENT_TEXTS, HOSTILE), quantity=-3, revenue=1e-9),
    Event("e", "u", 0, "IM"),
    Event("é" * 512, "u" * 1_024, 4_102_444_800_000, "PS", quantity=2**31 - 1, revenue=-1.5e300),
    Event("NA", "NA", 1, "CL", **dict.fromkeys(EVENT_TEXTS, ""), quantity=-(2**31), revenue=-0.0),
]


def decoded(payloads: list[bytes]) -> EventBatch:
    result = codec().decode(MessageBatch.of("events", 0, 0, payloads))
    assert not result.letters
    return result.events


def from_file(path: Path) -> list[Event]:
    events: list[Event] = []
    for batch in LogFile(path).batches():
        result = decode_columns(batch, timedelta(0))
        assert not result.letters
        events += result.events.events()
    return events


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.bz2", "parquet", "avro"])
def test_a_file_gives_the_events_that_were_written(ending: str, tmp_path: Path) -> None:
    """Every kind of file, any characters, and the edges of every number."""
    path = tmp_path / f"log.{ending}"
    with LogWriter(path) as log:
        log.write(decoded([codec().encode_one(event) for event in EVENTS]))
    assert from_file(path) == EVENTS
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ["csv", "parquet", "avro"])
def test_simulated_events_are_the_same_by_both_routes(ending: str, tmp_path: Path) -> None:
    """Hashes too: a conflict or a bucket must not depend on the route."""
    marketing, conversions = SimulatedStream(World(), 200, 7, 0, codec()).take(2_000)
    batches = [codec().decode(messages).events for messages in (marketing, conversions)]
    with LogWriter(tmp_path / f"log.{ending}") as log:
        for batch in batches:
            log.write(batch)
    rows = [decode_columns(batch, timedelta(0)).events.rows for batch in LogFile(tmp_path / f"log.{ending}").batches()]
    for name in ("timestamp", "event_key", "user_hash", "revenue", "body", "quantity", "type"):
        from_files = np.concatenate([part[name] for part in rows])
        assert np.array_equal(from_files, np.concatenate([batch.rows[name] for batch in batches]))


@pytest.mark.parametrize("ending", ["csv", "parquet", "avro"])
@pytest.mark.parametrize("after", [0, 1, 2, 4, 5, 9])
def test_reading_goes_on_after_any_row(ending: str, after: int, tmp_path: Path) -> None:
    """Rows after the given number are the rest of the rows, with the same numbers."""
    path = tmp_path / f"log.{ending}"
    with LogWriter(path) as log:
        log.write(decoded([codec().encode_one(event) for event in EVENTS]))
    everything = [n for batch in LogFile(path).batches() for n in batch.offsets.tolist()]
    rest = [n for batch in LogFile(path).batches(after) for n in batch.offsets.tolist()]
    assert rest == [number for number in everything if number > after]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A file has its name only once it is whole."""
    with pytest.raises(RuntimeError), LogWriter(tmp_path / "log.csv") as log:
        log.write(decoded([codec().encode_one(EVENTS[1])]))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
