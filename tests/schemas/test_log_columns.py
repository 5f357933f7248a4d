"""Columns of files of every kind: text is text, a bad value rejects its row alone, and none is misread."""

from __future__ import annotations

import datetime
import gzip
import json
import uuid
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet
import pytest

from schemas.dead_letters import DeadLetter
from schemas.errors import LogFileError
from schemas.events import Event
from schemas.logs.columns import decode_columns
from schemas.logs.log_files import LogFile
from schemas.logs.log_writer import LogWriter
from schemas.logs.times import TimeFormat, TimeUnit

T = 1_714_550_400_000
HEADER = "event_id,user_id,timestamp,type,campaign,revenue\n"
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")


def read(path: Path, asked: TimeFormat | None = None) -> tuple[list[Event], list[DeadLetter]]:
    events: list[Event] = []
    letters: list[DeadLetter] = []
    for batch in LogFile(path, asked or TimeFormat()).batches():
        decoded = decode_columns(batch, timedelta(0))
        events += decoded.events.events()
        letters += decoded.letters
    return events, letters


def reasons(letters: list[DeadLetter]) -> list[tuple[int, str]]:
    return [(letter.offset, letter.reason) for letter in letters]


@pytest.fixture
def save(tmp_path):
    """Writes a log whose columns not given are good ones, as Parquet, or bytes as they are; the path."""

    def save(name: str, content: bytes | str = b"", **columns: Any) -> Path:
        path = tmp_path / name
        if columns:
            good = {"event_id": ["a", "b"], "user_id": ["u", "v"], "timestamp": [T, T + 1], "type": ["IM", "CN"]}
            table = {key: value for key, value in (good | columns).items() if value is not None}
            pa.parquet.write_table(pa.table(table), path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return save


@pytest.fixture
def contain(tmp_path):
    """Writes an Avro container; the path."""

    def contain(fields: dict[str, Any], *records: dict[str, Any], codec: str = "null") -> Path:
        types = {"event_id": "string", "user_id": "string", "timestamp": "long", "type": "string"} | fields
        schema = {"type": "record", "name": "E", "fields": [{"name": n, "type": t} for n, t in types.items()]}
        good = {"user_id": "u", "timestamp": T, "type": "IM"}
        rows = [{"event_id": f"e{n}"} | good | record for n, record in enumerate(records)]
        path = tmp_path / "log.avro"
        with path.open("wb") as file:
            fastavro.writer(file, fastavro.parse_schema(schema), rows, codec=codec)
        return path

    return contain


TEXTS = ["1047583920.1714550401", "1047583920.1714550499", "001", "1", "1.10", "0x1F", "1e5", "1E400", "2024-05-01",
         "NaN", "null", "true", "-0", "é", " x ", "a,b", "a\nb", 'say "x"', "=1+1"]  # fmt: skip


@pytest.mark.parametrize("quoted", [False, True])
def test_text_of_a_csv_comes_out_as_it_stands(save, quoted):
    def cell(text: str) -> str:
        return f'"{text.replace(chr(34), chr(34) * 2)}"' if quoted or set(text) & set(',"\n') else text

    rows = "".join(f"{cell('e' + text)},{cell(text)},{T},CL,{cell(text)},0\n" for text in TEXTS)
    events, letters = read(save("log.csv", HEADER + rows))
    assert [(event.user_id, event.campaign) for event in events] == [(text, text) for text in TEXTS]
    assert not letters


def test_text_of_json_comes_out_as_it_stands(save):
    """Numbers too: their digits are text."""
    text = '{"event_id": %s, "user_id": %s, "timestamp": 1714550400, "type": "IM", "campaign": %s}\n'
    ids = ["1047583920.1714550401", "12345678901234567890123", "1.10", "1e5", '"001"', "true"]
    events, letters = read(save("log.jsonl", "".join(text % (each, each, each) for each in ids)))
    assert [event.user_id for event in events] == [each.strip('"') for each in ids]
    assert {event.timestamp for event in events} == {T}
    assert not letters


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([ID.bytes] * 2, pa.uuid()), str(ID)),
        (pa.array([ID.bytes] * 2, pa.binary(16)), str(ID)),
        (pa.array([2**62] * 2), str(2**62)),
        (pa.array([2**64 - 1] * 2, pa.uint64()), str(2**64 - 1)),
        (pa.array([Decimal(12)] * 2, pa.decimal128(38, 0)), "12"),
        (pa.array([Decimal("1.10")] * 2), "1.10"),
        (pa.array(["x"] * 2).cast(pa.string_view()), "x"),
        (pa.array(["x"] * 2, pa.large_string()).dictionary_encode(), "x"),
        (pa.array([True] * 2), "true"),
        (pa.array([datetime.date(2024, 5, 1)] * 2), "2024-05-01"),
    ],
)
def test_ids_and_texts_of_parquet_types(save, column, expected):
    events, letters = read(save("log.parquet", user_id=column, campaign=column))
    assert [(event.user_id, event.campaign) for event in events] == [(expected, expected)] * 2
    assert not letters


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_a_float_is_no_id(save, kind):
    column = pa.array([123456789012.0, 123456789012.0], kind)
    for name in ("user_id", "event_id", "campaign"):
        with pytest.raises(LogFileError, match=rf"column '{name}' is of type .*CAST"):
            LogFile(save("log.parquet", **{name: column}))


def test_a_column_of_nothing_is_none(save):
    """Pandas writes an empty column as floats."""
    events, _ = read(save("log.parquet", campaign=pa.array([None, float("nan")]), product=pa.nulls(2)))
    assert {(event.campaign, event.product) for event in events} == {("NA", "NA")}


def test_a_null_id_is_a_letter(save):
    events, letters = read(save("log.parquet", user_id=pa.array([None, 7])))
    assert [event.user_id for event in events] == ["7"]
    assert reasons(letters) == [(1, "missing")]


@pytest.mark.parametrize(
    "columns",
    [{"campaign": [["a"], None]}, {"campaign": pa.array([1, 2], pa.timestamp("ms"))}, {"revenue": [True, False]},
     {"timestamp": pa.array([1, 2], pa.time32("s"))}, {"quantity": [datetime.date(2024, 5, 1)] * 2}],
)  # fmt: skip
def test_types_that_no_field_has_are_refused_by_name(save, columns):
    with pytest.raises(LogFileError, match=f"column '{next(iter(columns))}'"):
        LogFile(save("log.parquet", **columns))


def test_names_match_whatever_their_case(save):
    events, letters = read(
        save("log.csv", "EVENT_ID,User_Id,TIMESTAMP,Type,CAMPAIGN,REVENUE\ne1,u1,2024-05-01 10:00:00,CL,spring,49.9\n")
    )
    assert events == [Event("e1", "u1", 1_714_557_600_000, "CL", campaign="spring", revenue=49.9)]
    assert not letters
    both = save("log.parquet", USER_ID=["x", "x"], Campaign=["a", "b"])
    assert [event.user_id for event in read(both)[0]] == ["u", "v"]
    assert LogFile(both).ignored == ["USER_ID"]
    with pytest.raises(LogFileError, match="columns 'User_ID' and 'USER_ID' differ in case only"):
        LogFile(save("log.parquet", user_id=None, User_ID=["u", "v"], USER_ID=["u", "v"]))


def test_names_that_are_nearly_right_are_named(save):
    assert "'revenu' (is revenue meant?)" in LogFile(save("log.parquet", revenu=[1, 2], other=[[1], None])).remarks[0]
    with pytest.raises(LogFileError, match="no column 'user_id', did you mean 'userid'"):
        LogFile(save("log.parquet", user_id=None, userid=["u", "v"]))


def test_the_former_name_of_a_column_counts(save, contain):
    assert read(contain({"site": "string"}, {"site": "s"}))[0][0].publisher == "s"
    assert read(save("log.parquet", site=["s", "t"], publisher=["p", "q"]))[0][0].publisher == "p"
    csv = "event_id,user_id,timestamp,type,SITE\n" + f"e,u,{T},IM,s\n"
    assert read(save("log.csv", csv))[0][0].publisher == "s"


@pytest.mark.parametrize(
    "header",
    ["event_id;user_id;timestamp;type", "event_id\tuser_id\ttimestamp\ttype", "type|timestamp|user_id|event_id"],
)
def test_what_stands_between_columns_is_found(save, header):
    row = "|".join(reversed(["e", "a,b", str(T), "IM"])) if "|" in header else None
    row = row or (";" if ";" in header else "\t").join(["e", "a,b", str(T), "IM"])
    assert read(save("log.csv", f"{header}\n{row}\n"))[0] == [Event("e", "a,b", T, "IM")]


def test_numbers_of_pandas(save):
    csv = "event_id,user_id,timestamp,type,quantity\n1,007,1530622933000.0,IM,1.0\n"
    csv += "2,8,1530622933001.0,CL,\n3,8,1530622933002.0,CL,1.5\n"
    events, letters = read(save("log.csv", csv))
    assert [(event.user_id, event.timestamp, event.quantity) for event in events] == [
        ("007", 1_530_622_933_000, 1),
        ("8", 1_530_622_933_001, 0),
    ]
    assert reasons(letters) == [(4, "wrong_type")]


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("sep=;\n", "the columns are 'sep=', ''"),
        ("# Report: all events\n", "the columns are '# Report: all events'"),
        (f"{'x' * 99},a,b,c,d,e,f\n", f"the columns are '{'x' * 40}…', 'a', 'b', 'c', 'd', 'e' and 1 more"),
    ],
)
def test_a_line_before_the_header_is_shown(save, first, told):
    with pytest.raises(LogFileError) as error:
        LogFile(save("log.csv", f"{first}{HEADER}"))
    assert str(error.value).endswith(f"no column 'event_id'; {told}")


def test_a_time_that_is_too_far_is_one_letter(save, contain):
    far = pa.array([T, T * 1_000], pa.timestamp("ms"))
    for path in (
        save("log.parquet", timestamp=far),
        save("far.parquet", timestamp=pa.array([0, -1], pa.timestamp("ns", "UTC"))),
        contain({"timestamp": {"type": "long", "logicalType": "timestamp-millis"}}, {}, {"timestamp": 2**60}),
    ):
        events, letters = read(path)
        assert len(events) == 1
        assert reasons(letters) == [(2, "time_range")]


@pytest.mark.parametrize("far", [(1500, 1, 1), (9999, 12, 31), (2262, 5, 1)])
def test_far_times_of_spark_do_not_turn_into_near_ones(tmp_path, far):
    """INT96 as nanoseconds has 584 years, and 1500 was read as 2084."""
    times = pa.array([datetime.datetime(2024, 5, 1, 8, 0, 0, 1_999), datetime.datetime(*far)], pa.timestamp("us"))
    table = pa.table({"event_id": ["a", "b"], "user_id": ["u", "v"], "timestamp": times, "type": ["IM", "CN"]})
    pa.parquet.write_table(table, tmp_path / "log.parquet", use_deprecated_int96_timestamps=True)
    events, letters = read(tmp_path / "log.parquet")
    assert [event.timestamp for event in events] == [T + 1]
    assert reasons(letters) == [(2, "time_range")]


def test_containers_of_every_codec_and_type(contain):
    fields = {
        "event_id": {"type": "string", "logicalType": "uuid"},
        "user_id": ["null", "long"],
        "timestamp": {"type": "long", "logicalType": "timestamp-micros"},
        "type": {"type": "enum", "name": "K", "symbols": ["IM", "XX", "CN"]},
        "site": ["null", "string"],
        "revenue": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2},
        "quantity": ["null", "long"],
        "extra": {"type": "array", "items": "K"},
    }
    good = {"event_id": ID, "user_id": 42, "timestamp": T * 1_000 + 999, "site": None, "revenue": Decimal("49.90"),
            "quantity": 5, "extra": ["XX"]}  # fmt: skip
    rows = [good, good | {"quantity": 3 * 10**9}, good | {"timestamp": 10**18}, good | {"type": "XX"},
            good | {"user_id": None},
            good | {"type": "CN", "site": "é", "quantity": None, "revenue": Decimal("-1.5")}]  # fmt: skip
    for codec in ("null", "deflate", "bzip2", "xz", "snappy", "zstandard"):
        events, letters = read(contain(fields, *rows, codec=codec))
        assert events == [
            Event(str(ID), "42", T, "IM", quantity=5, revenue=49.9),
            Event(str(ID), "42", T, "CN", publisher="é", revenue=-1.5),
        ]
        assert reasons(letters) == [(2, "wrong_type"), (3, "time_range"), (4, "wrong_type"), (5, "missing")]


def test_null_times_and_quantities_of_containers_are_one_letter_each(contain):
    events, letters = read(contain({"timestamp": ["null", "long"]}, {}, {"timestamp": None}, {}))
    assert (len(events), reasons(letters)) == (2, [(2, "missing")])
    events, letters = read(contain({"quantity": "long"}, {"quantity": 1}, {"quantity": 3 * 10**9}, {"quantity": -1}))
    assert (len(events), reasons(letters)) == (2, [(2, "wrong_type")])


def test_a_bad_text_of_a_container_is_one_letter(contain):
    path = contain({"campaign": "string"}, {"campaign": "good"}, {"campaign": "BADBAD"}, {"campaign": "fine"})
    path.write_bytes(path.read_bytes().replace(b"BADBAD", b"BAD\xff\xfe!"))
    events, letters = read(path)
    assert [event.campaign for event in events] == ["good", "fine"]
    assert reasons(letters) == [(2, "not_utf8")]


def test_local_times_are_read_in_the_zone_that_is_given(contain, save):
    local = contain({"timestamp": {"type": "long", "logicalType": "local-timestamp-millis"}}, {})
    assert read(local)[0][0].timestamp == T
    assert read(local, TimeFormat(zone="Europe/Berlin"))[0][0].timestamp == T - 2 * 3_600_000
    naive = save("log.parquet", timestamp=pa.array([T * 1_000, T * 1_000], pa.timestamp("us")))
    assert read(naive, TimeFormat(zone="America/New_York"))[0][0].timestamp == T + 4 * 3_600_000


@pytest.mark.parametrize("row", ["x" * 9_000_000, "e9,u,1,IM," + '"' + "y" * 9_000_000 + '",0', "z," * 4_500_000])
def test_a_line_of_9_mb_is_one_letter(save, row):
    events, letters = read(save("log.csv", f'{HEADER}e1,u,{T},IM,c,0\n{row}\ne2,u,{T},IM,"a\nb",0\n'))
    assert [event.event_id for event in events] == ["e1", "e2"]
    assert reasons(letters) == [(3, "wrong_shape")]
    assert len(letters[0].payload) <= 1_000
    assert f"{len(row) + 1:,} bytes" in letters[0].detail
    lines = f'{{"event_id":"e1","user_id":"u","timestamp":{T},"type":"IM"}}\n'
    events, letters = read(save("log.jsonl", lines + json.dumps({"event_id": row}) + "\n" + lines))
    assert (len(events), reasons(letters)) == (2, [(2, "wrong_shape")])


def test_a_quote_that_is_not_closed_takes_its_line_alone(save):
    events, letters = read(save("log.csv", f'{HEADER}e1,u,{T},IM,c,0\ne2,"u,{T},IM,c,0\ne3,u,{T},IM,c,0\n'))
    assert [event.event_id for event in events] == ["e1", "e3"]
    assert reasons(letters) == [(3, "wrong_shape")]


def test_odd_bytes_of_a_csv(save):
    text = (
        f'\ufeff"event_id",user_id,timestamp,type,campaign\r\ne1,u\0v,{T},IM,5" pipe\r\n\r\ne2,u,{T},IM,"5"" pipe"\r\n'
    )
    events, letters = read(save("log.csv", text))
    assert [(event.user_id, event.campaign) for event in events] == [("u\0v", '5" pipe'), ("u", '5" pipe')]
    assert not letters


ROW = f"e1,u,{T},IM,c,0\n"
LINE = f'{{"event_id":"e1","user_id":"u","timestamp":{T},"type":"IM"}}'


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("log.csv", ROW + ROW, "the first line is not a header"),
        ("log.csv", "20180703,u1,CN,5,a\n", "the first line is not a header"),
        ("log.csv", "", "Empty CSV file"),
        ("log.csv", LINE, "is JSON by its content; name it .jsonl"),
        ("log.csv", b"PAR1" + b"\0" * 40, "is Parquet by its content; name it .parquet"),
        ("log.csv", b"PK\x03\x04" + b"\0" * 40, "a zip archive or an Excel file"),
        ("log.csv", (HEADER + ROW).encode("utf-16"), "text in UTF-16 by its content; save it as UTF-8"),
        ("log.jsonl", HEADER + ROW, "is not JSON by its content"),
        ("log.json", '{"events": [\n' + LINE + "]}", "neither one JSON object a line nor an array"),
        ("log.json", " ", "is empty"),
        ("log.parquet", HEADER, "is not Parquet by its content"),
        ("log.avro", LINE, "is JSON by its content"),
        ("log.tsv", HEADER, "a log's name ends with .csv"),
        ("log", HEADER, "a log's name ends with .csv"),
    ],
)
def test_no_file_is_read_as_what_it_is_not(save, name, content, problem):
    with pytest.raises(LogFileError) as error:
        LogFile(save(name, content))
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", gzip.compress((HEADER + ROW).encode(), mtime=0)),
        ("log.csv.gz", HEADER + ROW),
        ("log.csv.zst", pa.Codec("zstd").compress((HEADER + ROW).encode()).to_pybytes()),
        ("log.json", f"\ufeff[{LINE},\n{LINE}]"),
        ("log.json", f"[\n{LINE.replace(',', ', ')}\n]\n"),
        ("log.ndjson", f"{LINE}\n\n{LINE}"),
        ("log.jsonl.gz", gzip.compress(LINE.encode(), mtime=0)),
        ("log.JSON.zst", pa.Codec("zstd").compress(LINE.encode()).to_pybytes()),
    ],
)
def test_compressed_text_and_json_are_logs(save, name, content):
    events, letters = read(save(name, content))
    assert {(event.event_id, event.timestamp) for event in events} == {("e1", T)}
    assert not letters


def test_json_that_is_no_event_is_one_letter_each(save):
    bad = ["not json", "5", '{"event_id":"\\ud800","user_id":"u","timestamp":1,"type":"IM"}', "[" * 100_000,
           LINE.replace("}", ',"campaign":{"a":1}}'), LINE.replace("}", ',"revenue":NaN}'),
           '{"event_id":"x"}']  # fmt: skip
    events, letters = read(save("log.jsonl", "\n".join([LINE, *bad, LINE]).encode() + b'\n{"event_id":"\xff"}\n'))
    assert len(events) == 2
    assert sorted(reasons(letters)) == [
        (2, "wrong_shape"), (3, "wrong_shape"), (4, "not_utf8"), (5, "wrong_shape"), (6, "wrong_type"), (7, "revenue"),
        (8, "missing"), (10, "not_utf8"),
    ]  # fmt: skip


def test_an_array_that_breaks_off_gives_what_was_there(save):
    log = LogFile(save("log.json", f"[{LINE}, {LINE}, {{"))
    found = 0
    with pytest.raises(LogFileError, match="not JSON from here on"):
        for batch in log.batches():
            found += len(batch.offsets)
    assert found == 2


def test_ambiguous_times_are_refused_with_the_option(save):
    with pytest.raises(LogFileError, match=r"column 'timestamp': .*--date-order"):
        LogFile(save("log.csv", f"{HEADER}e1,u,05/02/2024,IM,c,0\n"))
    path = save("log.csv", f"{HEADER}e1,u,05/02/2024,IM,c,0\ne2,u,05/13/2024,IM,c,0\n")
    assert LogFile(path).remarks == [f"{path}: dates have the month first"]


def test_the_first_time_column_counts_in_the_letter_in_ms(save):
    """So that a letter that is tried again is read as the file was."""
    _, letters = read(save("log.csv", f"{HEADER}e1,u,1714550400,view,c,0\ne2,u,1714550400,IM,c,0\n"))
    assert json.loads(letters[0].payload)["timestamp"] == T


def test_a_parquet_that_was_written_here_is_in_ms_whatever_settings_say(save, tmp_path):
    """As the log of mended letters, which a flow reads with the settings of the log that they came from."""
    batches = list(LogFile(save("log.csv", f"{HEADER}e1,u,7,IM,c,0\n")).batches())
    with LogWriter(tmp_path / "own.parquet") as out:
        out.write(decode_columns(batches[0], timedelta(0)).events)
    assert read(tmp_path / "own.parquet", TimeFormat(TimeUnit.S))[0][0].timestamp == 7
    assert read(tmp_path / "log.csv", TimeFormat(TimeUnit.S))[0][0].timestamp == 7_000
