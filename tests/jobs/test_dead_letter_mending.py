"""Dead letters decoded again: what is an event by now, and what never can be."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.dead_letters.mending import Mended, Mender
from schemas.avro.codec import Codec
from schemas.dead_letters import DeadLetter
from schemas.events import Event
from schemas.logs.columns import decode_columns
from schemas.logs.log_files import LogFile
from tests.schemas.oracle import events

TIME = 1_500_000_000_000
GOOD = Event("e", "u", TIME, "CN", campaign="Spring", quantity=2, revenue=9.5)
DAY = 86_400_000


def letter(payload: bytes, reason: str = "unframed", offset: int = 0) -> DeadLetter:
    return DeadLetter("somewhere", 0, offset, reason, "", payload)


def as_row(values: object) -> bytes:
    return json.dumps(values).encode()


def mend(*letters: DeadLetter, max_skew: timedelta = timedelta(hours=1)) -> Mended:
    return Mender(Codec(), max_skew).mend(letters)


def mended_events(mended: Mended) -> list[Event]:
    return [event for batch in mended.events for event in batch.events()]


def test_good_and_bad_are_told_apart_in_their_order() -> None:
    """An event stands where its letter does; a bad letter has the reason that it has now."""
    letters = [
        letter(b"{}", offset=0),
        letter(Codec().encode_one(GOOD), "unknown_schema", 1),
        letter(as_row(asdict(replace(GOOD, event_id="row"))), "time_range", 2),
        letter(Codec().encode_one(replace(GOOD, event_id="")), "unknown_schema", 3),
        letter(Codec().encode_one(replace(GOOD, event_id="second")), "undecodable", 4),
        letter(as_row({"user_id": "u"}), "wrong_type", 5),
    ]
    mended = mend(*letters)
    assert [each.offset for each in mended.letters] == [1, 4, 2]
    assert [event.event_id for event in mended_events(mended)] == ["e", "second", "row"]
    assert {each.offset: each.reason for each in mended.bad} == {0: "unframed", 3: "id_length", 5: "missing"}
    assert [each.payload for each in mended.letters] == [letters[n].payload for n in (1, 4, 2)]


def test_a_message_is_judged_as_if_it_were_sent_now() -> None:
    """An event that came too early has its time; a larger allowed skew lets it in at once."""
    ahead = letter(Codec().encode_one(replace(GOOD, timestamp=time.time_ns() // 1_000_000 + DAY // 2)), "time_ahead")
    assert not mend(ahead).letters
    assert mend(ahead, max_skew=timedelta(days=1)).letters
    assert mend(letter(Codec().encode_one(GOOD), "time_ahead")).letters


def test_json_in_a_topic_is_no_row() -> None:
    """Though it has all the columns: its bytes would only die again."""
    mended = mend(*(letter(as_row(asdict(GOOD)), reason) for reason in ("unframed", "undecodable", "unknown_schema")))
    assert [each.reason for each in mended.bad] == ["unframed"] * 3


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (as_row(asdict(replace(GOOD, user_id="\\xff"))), "not_utf8"),
        (b"short,u,1500000000011", "wrong_shape"),
        (as_row("short,u,1500000000011"), "wrong_shape"),
    ],
)
def test_what_a_letter_does_not_hold_cannot_come_back(payload: bytes, reason: str) -> None:
    """Bytes that were no text, and lines whose columns nobody knows."""
    mended = mend(letter(payload, reason))
    assert [each.reason for each in mended.bad] == [reason]


@given(st.lists(events, min_size=1, max_size=5))
def test_rows_come_back_as_they_were(given_events: list[Event]) -> None:
    """Whatever their texts and numbers are."""
    mended = mend(*(letter(as_row(asdict(event)), "too_late", n) for n, event in enumerate(given_events)))
    assert mended_events(mended) == given_events


@pytest.mark.parametrize("kind", ["csv", "numbers", "times"])
def test_letters_of_files_hold_their_rows(kind: str, tmp_path: Path) -> None:
    """However a file spells times and numbers, the letter of a row that is mended is the row's event."""
    columns = {
        "event_id": ["", "e"], "user_id": ["u", "u"], "type": ["IM", "CN"], "quantity": [1, 2], "revenue": [0.5, 1e-7],
    }  # fmt: skip
    path = tmp_path / "log.parquet"
    times: list[object] = [TIME, TIME + 5]
    if kind == "times":
        table = pa.table(columns | {"timestamp": pa.array(times, pa.timestamp("ms", tz="UTC"))})
    else:
        table = pa.table(columns | {"timestamp": pa.array(times, pa.float64() if kind == "numbers" else pa.int64())})
    if kind == "csv":
        path = tmp_path / "log.csv"
        pa.csv.write_csv(table, path)
    else:
        pa.parquet.write_table(table, path)
    (decoded,) = (decode_columns(batch, timedelta(0)) for batch in LogFile(path).batches())
    (dead,) = decoded.letters
    assert dead.reason == "id_length"
    values = json.loads(dead.payload)
    mended = mend(replace(dead, payload=as_row(values | {"event_id": "now it has one"})))
    assert mended_events(mended) == [Event("now it has one", "u", TIME, "IM", quantity=1, revenue=0.5)]
