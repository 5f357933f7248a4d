"""Damage and rare keys in a file cost what they hit, and are told; nothing else is lost or changed."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import fastavro
import pyarrow as pa
import pyarrow.parquet
import pytest

from jobs.importing.imports import import_log
from schemas.avro.codec import Codec
from schemas.dead_letters import DeadLetter
from schemas.erasures import owners_of
from schemas.errors import LogFileError
from schemas.events import Event
from schemas.logs.columns import decode_columns
from schemas.logs.log_files import LogFile

T = 1_714_550_400_000
SQL = "SELECT event_id, user_id, timestamp, type FROM log"


def read(path: Path, after: int = 0) -> tuple[list[Event], list[DeadLetter]]:
    events: list[Event] = []
    letters: list[DeadLetter] = []
    for batch in LogFile(path).batches(after):
        decoded = decode_columns(batch, timedelta(0))
        events += decoded.events.events()
        letters += decoded.letters
    return events, letters


def row(number: int, **more: object) -> dict[str, object]:
    return {"event_id": f"e{number}", "user_id": "u", "timestamp": T + number, "type": "IM"} | more


@pytest.mark.parametrize("name", ["revenue", "REVENUE", "Revenue"])
@pytest.mark.parametrize("is_array", [False, True])
def test_a_key_that_only_late_objects_have_is_a_column(name: str, is_array: bool, tmp_path: Path) -> None:
    rows = [row(number) for number in range(1_500)] + [row(1_500, type="CN", **{name: 50.5, "site": "news"})]
    log = tmp_path / "log.json"
    log.write_text(json.dumps(rows) if is_array else "\n".join(map(json.dumps, rows)))
    events, letters = read(log)
    assert (len(events), letters) == (1_501, [])
    assert (events[-1].revenue, events[-1].publisher) == (50.5, "news")


@pytest.mark.parametrize(
    ("element", "words"),
    [
        ('{"event_id": bad}', "not JSON"),
        ('{"a": [1, 2, {"b": "]}" "c"}]}', "not JSON"),
        ("[" * 100_000 + "]" * 100_000, "not JSON"),
        ("nonsense", "not JSON"),
        (json.dumps(row(7, campaign="x" * 9_000_000)), "cut short here"),
        (json.dumps(row(7, other=['a"\\]' * 1_500_000])), "cut short here"),
    ],
    ids=["broken", "nested", "deep", "word", "long", "escapes"],
)
def test_an_element_that_is_broken_or_too_long_costs_itself(element: str, words: str, tmp_path: Path) -> None:
    log, to = tmp_path / "log.json", tmp_path / "out.csv"
    log.write_text(f"[{json.dumps(row(1))}, {element},\n{json.dumps(row(3))}]")
    events, letters = read(log)
    assert [event.event_id for event in events] == ["e1", "e3"]
    assert [(each.offset, each.reason, words in each.detail) for each in letters] == [(2, "wrong_shape", True)]
    assert len(letters[0].payload) <= 1_000
    import_log([log], SQL, to)
    assert [event.event_id for event in read(to)[0]] == ["e1", "e3"]


@pytest.mark.parametrize("rest", ['{"event_id": "e2', '{"a": "b\n}]', "{}, {}"])
def test_an_array_that_breaks_off_is_one_line(rest: str, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    log.write_text(f"[{json.dumps(row(1))}, {rest}")
    with pytest.raises(LogFileError, match="broken after row"):
        read(log)


@pytest.mark.parametrize(
    "line", [b'{"user_id": "a\xed\xa0\x80"}', b'{"user_id": "a\\ud800"}', b'{"user_id": "a\xff"}', b"\xff\xfe{}"]
)
def test_import_rejects_a_text_that_is_no_utf_8(line: bytes, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    log, to = tmp_path / "log.jsonl", tmp_path / "out.csv"
    log.write_bytes(json.dumps(row(1)).encode() + b"\n" + line + b"\n" + json.dumps(row(3)).encode())
    import_log([log], SQL, to)
    assert [event.event_id for event in read(to)[0]] == ["e1", "e3"]
    assert "1 rejected" in capsys.readouterr().out


def test_a_damaged_block_costs_what_is_left_of_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    fields = [{"name": name, "type": "string"} for name in ("event_id", "user_id", "type")]
    schema = {"type": "record", "name": "E", "fields": [*fields, {"name": "timestamp", "type": "long"}]}
    out = io.BytesIO()
    fastavro.writer(out, schema, [row(number) for number in range(1_000)], sync_interval=500)
    data = bytearray(out.getvalue())
    place = data.index(b"\x08e500")  # the length of a text, which is now negative
    data[place : place + 1] = b"\x07"
    log, to = tmp_path / "log.avro", tmp_path / "out.csv"
    log.write_bytes(data)
    events, letters = read(log)
    assert [each.reason for each in letters] == ["undecodable"]
    lost = int(letters[0].detail.split()[0])
    assert len(events) + lost == 1_000
    assert 0 < lost < 100
    assert events[-1].event_id == "e999"
    assert read(log, after=999) == (events[-1:], [])
    import_log([log], SQL, to)
    assert len(read(to)[0]) == len(events)
    assert "records of a damaged block are lost" in capsys.readouterr().out


@pytest.mark.parametrize("number", [10**37 + 1, -(10**37) - 3, 12345678901234567890123456789012345678])
def test_ids_of_decimals_keep_all_digits(number: int, tmp_path: Path) -> None:
    kind = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 0}
    fields = [{"name": name, "type": "string"} for name in ("event_id", "type")]
    fields += [{"name": "user_id", "type": kind}, {"name": "timestamp", "type": "long"}]
    log = tmp_path / "log.avro"
    with log.open("wb") as file:
        rows = [row(1, user_id=Decimal(number))]
        fastavro.writer(file, {"type": "record", "name": "E", "fields": fields}, rows)
    assert [event.user_id for event in read(log)[0]] == [str(number)]


def test_a_name_may_begin_as_a_format_does(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(f"ORCID,event_id,user_id,timestamp,type\n1,e,u,{T},IM\n")
    assert len(read(log)[0]) == 1
    orc = pytest.importorskip("pyarrow.orc")
    orc.write_table(pa.table({"event_id": ["a"]}), tmp_path / "orc.csv")
    with pytest.raises(LogFileError, match="ORC"):
        LogFile(tmp_path / "orc.csv")


TABS = "event_id\tuser_id\ttimestamp\ttype\tcampaign\n"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (['"big sale', "x", '"other'], ['"big sale', "x", '"other']),
        (['"x" y', 'a "b"', '5" tv'], ['"x" y', 'a "b"', '5" tv']),
        (['"inch', "x", 'foot"'], ['"inch', "x", 'foot"']),
        (['"a, b"', "x", '"say ""so"""'], ["a, b", "x", 'say "so"']),
        (['"two\nlines"', "x", '"a\tb"'], ["two\nlines", "x", "a\tb"]),
    ],
)
def test_quotes_between_tabs_are_characters_unless_all_are_paired(
    cells: list[str], expected: list[str], tmp_path: Path
) -> None:
    """No row goes lost in another one's text, in the flow's reader."""
    lines = [f"e{n}\tu{n}\t1700000000{n}00\tIM\t{cell}\n" for n, cell in enumerate(cells)]
    log = tmp_path / "log.tsv.csv"
    log.write_text(TABS + "".join(lines))
    events, letters = read(log)
    assert not letters
    assert [(event.user_id, event.campaign) for event in events] == [(f"u{n}", text) for n, text in enumerate(expected)]


HEADER = ["event_id", "user_id", "timestamp", "type"]


@pytest.mark.parametrize("separator", [",", ";", "|"])
def test_a_row_whose_quote_is_not_closed_is_kept_as_it_stands(separator: str, tmp_path: Path) -> None:
    """An erasure finds whose row it was by its fields."""
    header, held = (separator.join(fields) for fields in (HEADER, ["e", "anna", str(T), '"IM']))
    other = separator.join(["f", "other", str(T), "CN"])
    (tmp_path / "log.csv").write_text(f"{header}\n{held}\n{other}\n")
    events, letters = read(tmp_path / "log.csv")
    assert [event.user_id for event in events] == ["other"]
    assert [letter.payload.decode() for letter in letters] == [held]
    owners, _ = owners_of(letters[0], Codec()) or (frozenset(), None)
    assert "anna" in owners and "other" not in owners


@pytest.mark.parametrize("kind", [pa.binary(16), pa.uuid()])
def test_import_reads_16_fixed_bytes_as_the_flow_does(kind: pa.DataType, tmp_path: Path) -> None:
    ids = [b"sixteen letters!", bytes(range(240, 256)), None]
    stored = pa.array(ids, pa.binary(16))
    users = stored if kind == pa.binary(16) else pa.ExtensionArray.from_storage(kind, stored)
    columns = {"event_id": pa.array([b"a", "b\u00e9".encode(), b"c"]), "User_ID": users}
    log, to = tmp_path / "log.parquet", tmp_path / "out.parquet"
    pa.parquet.write_table(pa.table(columns | {"timestamp": [T] * 3, "type": ["IM"] * 3}), log)
    import_log([log], SQL, to)
    expected = [("a", str(UUID(bytes=ids[0]))), ("b\u00e9", str(UUID(bytes=ids[1])))]
    for path in (log, to):
        assert [(event.event_id, event.user_id) for event in read(path)[0]] == expected
