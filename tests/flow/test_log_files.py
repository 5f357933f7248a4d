"""Reading other people's files: row numbers, places to go on from, and what each kind of file does differently."""

from __future__ import annotations

import random
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet
import pytest

from schemas.dead_letters import DeadLetter
from schemas.errors import LogFileError
from schemas.events import Event
from schemas.logs import csv_rows
from schemas.logs.columns import decode_columns
from schemas.logs.log_files import LogFile
from schemas.logs.time_texts import DateOrder
from schemas.logs.times import TimeFormat, TimeUnit

TIME = 1_500_000_000_000
HEADER = "event_id,user_id,timestamp,type,quantity,revenue\n"


def read(path: Path, after: int = 0) -> tuple[list[Event], list[DeadLetter], list[int]]:
    """Events, letters, and the place after each batch."""
    events: list[Event] = []
    letters: list[DeadLetter] = []
    places = []
    for batch in LogFile(path).batches(after):
        decoded = decode_columns(batch, timedelta(0))
        events += decoded.events.events()
        letters += decoded.letters
        places.append(batch.last)
    return events, letters, places


@pytest.mark.parametrize("bad", [(5, 150, 151, 390), (2,), (401,), range(100, 300), range(2, 402)])
def test_bad_rows_anywhere_lose_nothing_and_move_no_number(
    bad: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many blocks; every row is an event or a letter with its own number, also when reading goes on after any batch."""
    monkeypatch.setattr(csv_rows, "BLOCK", 1_024)
    lines = {n: "short,u\n" if n in bad else f"e{n},u,{TIME + n},IM,1,0\n" for n in range(2, 402)}
    path = tmp_path / "log.csv"
    path.write_text(HEADER + "".join(lines.values()))
    events, letters, places = read(path)
    assert [event.event_id for event in events] == [f"e{n}" for n in lines if n not in bad]
    assert [letter.offset for letter in letters] == [n for n in lines if n in bad]
    assert places[-1] == 401
    for place in random.Random(1).sample(places, min(len(places), 8)):
        later_events, later_letters, _ = read(path, place)
        assert [event.event_id for event in later_events] == [f"e{n}" for n in lines if n not in bad and n > place]
        assert [letter.offset for letter in later_letters] == [n for n in lines if n in bad and n > place]


def test_an_empty_optional_cell_takes_the_default(tmp_path: Path) -> None:
    """As a null does; an empty required one does not."""
    path = tmp_path / "log.csv"
    path.write_text(HEADER + f"a,u,{TIME},IM,,\nb,u,,IM,,\n")
    events, letters, _ = read(path)
    assert [(event.event_id, event.quantity, event.revenue) for event in events] == [("a", 0, 0.0)]
    assert [(letter.offset, letter.reason) for letter in letters] == [(3, "wrong_type")]


def test_a_file_from_a_spreadsheet(tmp_path: Path) -> None:
    """A byte order mark, CRLF, quotes and blank lines."""
    path = tmp_path / "log.csv"
    path.write_bytes(("\ufeff" + HEADER + f'"a","u",{TIME},"CN","2","9.5"\n\n').replace("\n", "\r\n").encode())
    events, letters, _ = read(path)
    assert events == [Event("a", "u", TIME, "CN", quantity=2, revenue=9.5)]
    assert not letters


def test_a_parquet_of_other_types(tmp_path: Path) -> None:
    """Numbers as ids, floats and times as timestamps, a dictionary of types, nulls; numbers too great are letters."""
    table = pa.table(
        {
            "event_id": pa.array([1, 2, 3]),
            "user_id": pa.array(["u", None, "w"]),
            "timestamp": pa.array([TIME, TIME + 1, TIME + 2], pa.timestamp("ms")),
            "type": pa.array(["IM", "CL", "PS"]).dictionary_encode(),
            "quantity": pa.array([1.0, 2.0, None]),
            "revenue": pa.array([1, 2, 3]),
        }
    )
    pa.parquet.write_table(table, tmp_path / "log.parquet")
    events, letters, _ = read(tmp_path / "log.parquet")
    assert events == [
        Event("1", "u", TIME, "IM", quantity=1, revenue=1.0),
        Event("3", "w", TIME + 2, "PS", revenue=3.0),
    ]
    assert [(letter.offset, letter.reason) for letter in letters] == [(2, "missing")]
    great = table.set_column(2, "timestamp", pa.array([TIME, 2**63, 2**64 - 1], pa.uint64()))
    pa.parquet.write_table(great.set_column(1, "user_id", pa.array(["u"] * 3)), tmp_path / "great.parquet")
    events, letters, _ = read(tmp_path / "great.parquet")
    assert len(events) == 1
    assert [letter.reason for letter in letters] == ["wrong_type"] * 2


def test_a_column_that_no_field_can_come_from_is_told_when_the_file_is_opened(tmp_path: Path) -> None:
    """Before a flow starts: the line names the file and the column."""
    table = pa.table({"event_id": ["a"], "user_id": ["u"], "timestamp": pa.array([[1]]), "type": ["IM"]})
    pa.parquet.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(LogFileError, match=r"log\.parquet: column 'timestamp'"):
        LogFile(tmp_path / "log.parquet")


def test_an_avro_container_of_another_program(tmp_path: Path) -> None:
    """Another record name, nullable fields, and types as strings; a null takes the default or is a letter."""
    optional = ["null", "string"]
    fields = {"event_id": "string", "user_id": optional, "timestamp": "long", "type": "string", "campaign": optional}
    schema = {"type": "record", "name": "Row", "fields": [{"name": n, "type": t} for n, t in fields.items()]}
    records = [
        {"event_id": "a", "user_id": "u", "timestamp": TIME, "type": "IM", "campaign": None},
        {"event_id": "b", "user_id": None, "timestamp": TIME, "type": "IM", "campaign": "c"},
        {"event_id": "c", "user_id": "u", "timestamp": TIME, "type": "view", "campaign": "c"},
        {"event_id": "d", "user_id": "u", "timestamp": TIME, "type": "CN", "campaign": "c"},
    ]
    with (tmp_path / "log.avro").open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema), records)
    events, letters, _ = read(tmp_path / "log.avro")
    assert events == [Event("a", "u", TIME, "IM"), Event("d", "u", TIME, "CN", campaign="c")]
    assert [(letter.offset, letter.reason) for letter in letters] == [(2, "missing"), (3, "wrong_type")]


def test_no_thread_reads_a_log_that_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once its columns are known, nor once its rows are not wanted: a program that ended then would abort."""
    path, reading, threads = tmp_path / "log.csv", set[int](), set[int]()
    path.write_text(HEADER + "".join(f"e{n},u,{TIME + n},IM,1,0\n" for n in range(400)))
    monkeypatch.setattr(csv_rows, "BLOCK", 1_024)
    read_lines = csv_rows.CsvRows.read

    def slowly(self: Any, size: int = -1) -> bytes:
        own = threading.get_ident()
        threads.add(own)
        reading.add(own)
        time.sleep(0.05)  # a slow disk
        taken = read_lines(self, size)
        reading.remove(own)
        return taken

    monkeypatch.setattr(csv_rows.CsvRows, "read", slowly)
    said = TimeFormat(TimeUnit.MS, DateOrder.YMD)  # or all times are looked at
    batches = LogFile(path, said).batches()
    assert threads == {threading.get_ident()}
    next(batches)
    assert len(threads) > 1
    batches.close()  # type: ignore[attr-defined]
    assert not reading
