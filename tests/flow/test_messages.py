"""Messages through the whole flow in this process: what cannot be scored is kept, every message accounted for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bytewax.testing import TestingSource, run_main

from dataflow import build_flow
from schemas.avro.codec import codec
from schemas.dead_letters import DeadLetter
from schemas.events import Event
from schemas.messages import MessageBatch
from settings import Settings
from steps.flow_parts import parts_of
from stores.sqlite.reader import SqliteReader
from stores.sqlite.writer import SqliteWriter

HOUR = 3_600_000
TIME = 1_500_000_000_000


def run(batches: list[MessageBatch], store: Path, length: int = 1_000) -> None:
    settings = Settings(sequence_length=length)
    parts = parts_of(settings.loaded_model, lambda: SqliteWriter(store), settings)
    run_main(build_flow(TestingSource(batches), parts))


def letters_of(store: Path) -> list[DeadLetter]:
    reader = SqliteReader(store)
    letters = reader.dead_letters(1_000)
    reader.close()
    return letters


def points_of(store: Path, user: str) -> list[str]:
    reader = SqliteReader(store)
    points = [point.event_id for point in reader.curve(user)]
    reader.close()
    return points


def message(event_id: str, time: int, kind: str = "IM", **more: str | float) -> bytes:
    return codec().encode_one(Event(event_id, "u", time, kind, **more))  # type: ignore[arg-type]


def test_every_message_is_a_row_or_a_dead_letter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Truncated, unframed, of an unknown schema, wrong: each is kept with its place and bytes; the rest is scored."""
    good = message("good", TIME)
    payloads = {
        "truncated": (good[:-3], "undecodable"),
        "text": (b"not Avro", "unframed"),
        "nothing": (b"", "unframed"),
        "other schema": (good[:2] + bytes(8) + good[10:], "unknown_schema"),
        "not a number": (message("nan", TIME, revenue=float("nan")), "revenue"),
        "infinite": (message("inf", TIME, revenue=float("-inf")), "revenue"),
        "before 1970": (message("old", -1), "time_range"),
        "after 2100": (message("far", 5_000_000_000_000), "time_range"),
        "no id": (message("", TIME), "id_length"),
        "long id": (message("é" * 513, TIME), "id_length"),
    }
    sent = [payload for payload, _ in payloads.values()] + [good, good, message("later", TIME + 1)]
    with caplog.at_level("INFO"):
        run([MessageBatch.of("events", 3, 70, sent)], tmp_path / "store.db")
    letters = letters_of(tmp_path / "store.db")
    assert [(x.source, x.partition, x.offset, x.reason, x.payload) for x in letters] == [
        ("events", 3, 70 + place, reason, payload) for place, (payload, reason) in enumerate(payloads.values())
    ]
    assert points_of(tmp_path / "store.db", "u") == ["good", "later"]
    counts = re.findall(r"([\d,]+) scored .* ([\d,]+) repeats .* ([\d,]+) dead", caplog.text)[-1]
    assert counts == ("2", "1", "10")
    assert sum(map(int, counts)) == len(sent)


def test_what_the_sequences_cannot_take_is_kept_with_its_bytes(tmp_path: Path) -> None:
    """Older than the newest L once older events were dropped; or disputed by more than L other bodies."""
    events = [message(f"e{number}", TIME + number * HOUR) for number in range(20)]
    late = message("late", TIME + 1)
    disputed = [message("e19", TIME + 19 * HOUR, campaign=f"c{number}") for number in range(5)]
    run([MessageBatch.of("events", 0, 0, batch) for batch in (events, [late], disputed)], tmp_path / "store.db", 4)
    letters = letters_of(tmp_path / "store.db")
    assert [(x.offset, x.reason, x.payload) for x in letters] == [(0, "too_late", late), (4, "disputed", disputed[4])]


def test_an_event_far_ahead_of_its_message_is_refused(tmp_path: Path) -> None:
    """One bad clock must not move its user's now: later than the message by more than the allowed skew."""
    batch = MessageBatch.of("events", 0, 0, [message("skewed", TIME + HOUR + 1), message("edge", TIME + HOUR)])
    times = batch.offsets * 0 + TIME
    run([MessageBatch("events", 0, batch.offsets, batch.data, batch.bounds, times)], tmp_path / "store.db")
    assert [letter.reason for letter in letters_of(tmp_path / "store.db")] == ["time_ahead"]
    assert points_of(tmp_path / "store.db", "u") == ["edge"]
