"""`python -m jobs import`: what comes out of whatever files hold, to the letter."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from jobs.importing.imports import import_log
from schemas.errors import ColumnsError, JobError
from schemas.logs.time_texts import DateOrder
from schemas.logs.times import TimeFormat, TimeUnit

MAPPED = "SELECT who AS user_id, moment AS timestamp, kind AS type, campaign, value AS revenue FROM log"
AT = "2024-05-01 08:00:00"
MS = 1_714_550_400_000


def events(log: Path | list[Path], sql: str = MAPPED, **options: Any) -> list[dict[str, Any]]:
    logs = log if isinstance(log, list) else [log]
    to = logs[0].parent / "out" / "events.parquet"
    to.parent.mkdir(exist_ok=True)
    import_log(logs, sql, to, **options)
    rows: list[dict[str, Any]] = pa.parquet.read_table(to).to_pylist()
    return rows


def csv(folder: Path, *lines: str, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_bytes("".join(f"{line}\n" for line in ("who,moment,kind,campaign,value", *lines)).encode())
    return path


TEXTS = [
    "1047583920.1714550401", "1047583920.1714550499", "001", "1", "1.10", "0x1F", "1e5", "2024-05-01",
    "2024-05-01 10:00", "TRUE", "null", "NaN", "-0", "+7", " padded ", "1_000", "550E8400-E29B-41D4-A716-446655440000",
    "12345678901234567890123",
]  # fmt: skip


@pytest.mark.parametrize("form", ["plain", "quoted", "tsv", "jsonl", "parquet", "gz", "bz2", "array"])
def test_text_is_text(form: str, tmp_path: Path) -> None:
    """Ids and campaigns come out as they stand in the file, in every format, and made ids are the same in all."""
    rows = [{"who": text, "moment": AT, "kind": "IM", "campaign": text, "value": "0"} for text in TEXTS]
    cells = [list(row.values()) for row in rows]
    plain = "\n".join(",".join(row) for row in [list(rows[0]), *cells]) + "\n"
    path = tmp_path / "log.csv"
    match form:
        case "plain":
            path.write_text(plain)
        case "quoted":
            path.write_text("\r\n".join(",".join(f'"{cell}"' for cell in row) for row in [list(rows[0]), *cells]))
        case "tsv":
            path.write_text(plain.replace(",", "\t"))
        case "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case "array":
            path.write_text(json.dumps(rows, indent=1))
        case "parquet":
            pa.parquet.write_table(pa.Table.from_pylist(rows), path)
        case "gz":
            path.write_bytes(gzip.compress(plain.encode()))
        case "bz2":
            path.write_bytes(bz2.compress(plain.encode()))
    path = path.rename(
        tmp_path / f"log{'.parquet' if form == 'parquet' else '.json' if form in ('jsonl', 'array') else '.csv'}"
    )
    found = events(path)
    assert sorted(row["user_id"] for row in found) == sorted(TEXTS)
    assert all(row["campaign"] == row["user_id"] for row in found)
    reference = events(csv(tmp_path, *(",".join(row) for row in cells), name="plain.csv"))
    assert {row["event_id"] for row in found} == {row["event_id"] for row in reference}


def test_empty_cells_are_none(tmp_path: Path) -> None:
    """Quoted or not; so that coalesce takes the next."""
    found = events(
        csv(tmp_path, f"u,{AT},IM,,", f'v,{AT},CL,"",""'),
        "SELECT coalesce(campaign, who) AS user_id, moment AS timestamp, kind AS type, campaign, "
        "value AS revenue FROM log",
    )
    assert sorted((row["user_id"], row["campaign"], row["revenue"]) for row in found) == [
        ("u", "NA", 0),
        ("v", "NA", 0),
    ]


@pytest.mark.parametrize(
    ("condition", "which"),
    [
        ("value = 1", ["1", "1.0", "1e0"]),
        ("value > 0", ["1", "1.0", "1e0", "0.6", "10", "9"]),
        ("value >= 9 AND value < 11", ["10", "9"]),
        ("value IN (9, 10)", ["10", "9"]),
        ("value BETWEEN 0.5 AND 0.7", ["0.6"]),
        ("round(value) = 1", ["1", "1.0", "1e0", "0.6"]),
        ("value * 2 = 20", ["10"]),
        ("coalesce(value, 0) = 0", [""]),
        ("value = (SELECT max(value) FROM log)", ["10"]),
    ],
)
def test_numbers_compare_as_numbers(condition: str, which: list[str], tmp_path: Path) -> None:
    """In a query that takes a column of text for a number; campaigns of the same form stay as they are."""
    values = ["1", "1.0", "1e0", "0.6", "10", "9", ""]
    log = csv(tmp_path, *(f"u{n},{AT},IM,{value},{value}" for n, value in enumerate(values)))
    sql = f"SELECT who AS user_id, moment AS timestamp, 'IM' AS type, campaign FROM log WHERE {condition}"
    assert sorted(row["campaign"] for row in events(log, sql)) == sorted(value or "NA" for value in which)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("epoch_ms(moment)", MS),
        ("to_timestamp(moment / 1000)", MS),
        ("moment + 1000", MS + 1000),
        ("make_timestamp(moment * 1000)", MS),
    ],
)
def test_times_are_calculated_with(time: str, expected: int, tmp_path: Path) -> None:
    """Functions that want numbers get them."""
    log = csv(tmp_path, f"u,{MS},IM,a,0")
    assert [
        r["timestamp"] for r in events(log, f"SELECT who AS user_id, {time} AS timestamp, kind AS type FROM log")
    ] == [expected]


@pytest.mark.parametrize(
    "time",
    ["moment::TIMESTAMP + INTERVAL 1 HOUR", "moment + INTERVAL 1 HOUR", "date_trunc('hour', moment) + INTERVAL 1 HOUR"],
)
def test_texts_that_are_times_are_calculated_with(time: str, tmp_path: Path) -> None:
    """As numbers are."""
    log = csv(tmp_path, f"u,{AT},IM,a,0")
    (row,) = events(log, f"SELECT who AS user_id, {time} AS timestamp, kind AS type FROM log")
    assert row["timestamp"] == MS + 3_600_000


def test_a_value_that_is_no_number_is_named(tmp_path: Path) -> None:
    """With how to go on."""
    log = csv(tmp_path, f"u,{AT},IM,a,1", f"u,{AT},IM,a,n/a")
    with pytest.raises(JobError, match=r"'value' .* 'n/a'; TRY_CAST\(value AS DOUBLE\)"):
        events(
            log,
            "SELECT who AS user_id, moment AS timestamp, CASE WHEN value = 1 THEN 'CN' ELSE 'IM' END AS type FROM log",
        )


def test_ids_that_are_floats_are_refused(tmp_path: Path) -> None:
    """Those of Parquet and of JSON alike; whole numbers are texts."""
    for column in ([1.5, 2.0], [123456789012.0, None]):
        table = pa.table({"who": column, "moment": [MS, MS], "kind": ["IM", "CL"]})
        pa.parquet.write_table(table, tmp_path / "log.parquet")
        with pytest.raises(ColumnsError, match="user_id"):
            events(tmp_path / "log.parquet", "SELECT who AS user_id, moment AS timestamp, kind AS type FROM log")
    table = pa.table({"who": [123456789012345678, None], "moment": [MS, MS], "kind": ["IM", "CL"]})
    pa.parquet.write_table(table, tmp_path / "log.parquet")
    (row,) = events(tmp_path / "log.parquet", "SELECT who AS user_id, moment AS timestamp, kind AS type FROM log")
    assert row["user_id"] == "123456789012345678"


def test_long_numbers_of_json_are_whole(tmp_path: Path) -> None:
    """Ids above 64 bits with a sign, also beside texts."""
    path = tmp_path / "log.jsonl"
    for ids in ([18446744073709551615, 7], [18446744073709551615, "a"], [9007199254740993, -1]):
        path.write_text("".join(json.dumps({"who": each, "moment": MS, "kind": "IM"}) + "\n" for each in ids))
        found = events(path, "SELECT who AS user_id, moment AS timestamp, kind AS type FROM log")
        assert {row["user_id"] for row in found} == {str(each) for each in ids}


@pytest.mark.parametrize("other", ["c2,2024-05-02 09:00:00,CN,,19.5", "c2,1714640400,CN,001,x", "ç,2024-05-02,CN,a,"])
def test_made_ids_depend_on_the_row_alone(other: str, tmp_path: Path) -> None:
    """Whatever else a file holds."""
    rows = (f"c1,{AT},IM,spring,0", "c1,2024-05-01 09:00:00,CN,,20")
    day = {row["event_id"] for row in events(csv(tmp_path, *rows))}
    both = {row["event_id"] for row in events(csv(tmp_path, *rows, other))}
    assert len(day) == 2
    assert day < both or day == both


def test_numbers_of_json_make_no_other_ids(tmp_path: Path) -> None:
    """One value with a point makes floats of a whole column."""
    path, made = tmp_path / "log.jsonl", []
    for more in ("", json.dumps({"who": "v", "moment": MS, "kind": "CN", "value": 0.5}) + "\n"):
        path.write_text(json.dumps({"who": "u", "moment": MS, "kind": "CN", "value": 20}) + "\n" + more)
        rows = events(path, "SELECT who AS user_id, moment AS timestamp, kind AS type, value AS revenue FROM log")
        made.append({row["event_id"] for row in rows if row["user_id"] == "u"})
    assert made[0] == made[1]


def test_equal_rows_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And all of them kept."""
    found = events(csv(tmp_path, *[f"u,{AT},IM,a,0"] * 3, f"v,{AT},IM,a,0"))
    assert len({row["event_id"] for row in found}) == 4
    assert "2 rows are equal to an earlier one" in capsys.readouterr().out


def test_names_match_whatever_their_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And what the event does not have is named, with the nearest that it has."""
    path = tmp_path / "log.csv"
    path.write_text(f"EVENT_ID,User_Id,TIMESTAMP,TYPE,CAMPAIN,REVENUE,Zzz\ne1,u1,{AT},CL,spring,2,1\n")
    (row,) = events(path, "FROM log")
    assert (row["event_id"], row["user_id"], row["revenue"], row["campaign"]) == ("e1", "u1", 2, "NA")
    said = capsys.readouterr().err
    assert "'CAMPAIN'" in said
    assert "did you mean 'campaign'?" in said
    assert "'Zzz'" in said


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (["1714550400", "1714554000"], "seconds since 1970"),
        (["1714550400000000", "1714554000000000"], "µs since 1970"),
        (["1714550400000000000"], "ns since 1970"),
        (["05/01/2024 08:00", "05/13/2024 08:00"], "month first"),
        (["01.05.2024 08:00", "13.05.2024"], "day first"),
        (["20240501", "20240502"], "are dates"),
    ],
)
def test_how_times_are_written_is_found_and_said(
    times: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of all values."""
    found = events(csv(tmp_path, *(f"u,{time},IM,a,0" for time in times)))
    assert MS - 8 * 3_600_000 <= found[0]["timestamp"] <= MS
    out = capsys.readouterr().out
    assert words in out
    assert "first event 2024-05-01" in out


def test_ambiguous_dates_are_asked_about(tmp_path: Path) -> None:
    """Options decide."""
    log = csv(tmp_path, "u,05/02/2024 10:00,IM,a,0")
    with pytest.raises(JobError, match="--date-order"):
        events(log)
    (row,) = events(log, times=TimeFormat(order=DateOrder.DMY, zone="Europe/Berlin"))
    assert row["timestamp"] == 1_707_123_600_000
    (row,) = events(csv(tmp_path, "u,5000,IM,a,0"), times=TimeFormat(unit=TimeUnit.S))
    assert row["timestamp"] == 5_000_000


def test_times_of_day_are_refused(tmp_path: Path) -> None:
    """They have no date."""
    with pytest.raises(JobError, match="times of day"):
        events(csv(tmp_path, "u,10:00:00,IM,a,0"))


def test_what_is_finer_than_ms_is_rounded_down(tmp_path: Path) -> None:
    """In every type of Parquet's."""
    for kind in (pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.timestamp("ns", "UTC")):
        nanoseconds = MS * 1_000_000 + 999_999
        value = nanoseconds if kind.unit == "ns" else nanoseconds // 1_000
        column = pa.array([value], pa.int64()).cast(kind)
        pa.parquet.write_table(pa.table({"who": ["u"], "moment": column, "kind": ["IM"]}), tmp_path / "log.parquet")
        (row,) = events(tmp_path / "log.parquet", "SELECT who AS user_id, moment AS timestamp, kind AS type FROM log")
        assert row["timestamp"] == MS


def test_a_time_after_9999_costs_its_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And no more."""
    log = csv(tmp_path, f"u,{MS},IM,a,0", f"v,{MS * 1000},IM,a,0")
    (row,) = events(log, "SELECT who AS user_id, epoch_ms(moment) AS timestamp, kind AS type FROM log")
    assert row["user_id"] == "u"
    assert "1 time_range" in capsys.readouterr().out


def test_a_name_is_a_name(tmp_path: Path) -> None:
    """Brackets are no pattern, nor is anything in a name that exists; a pattern is one where no file is called so."""
    for number, name in enumerate(("log1.csv", "log[1].csv", "log*.csv", "logs.csv")):
        csv(tmp_path, f"u{number},{AT},IM,a,0", name=name)
    assert [row["user_id"] for row in events(tmp_path / "log[1].csv")] == ["u1"]
    assert [row["user_id"] for row in events(tmp_path / "log*.csv")] == ["u2"]
    assert {row["user_id"] for row in events(tmp_path / "log?.csv")} == {"u0", "u2", "u3"}
    assert len(events([tmp_path / "log1.csv", tmp_path / "logs.csv", tmp_path / "log1.csv"])) == 2
    table = pa.table({"who": ["p"], "moment": [MS], "kind": ["IM"], "campaign": ["a"], "value": [0]})
    pa.parquet.write_table(table, tmp_path / "log[1].parquet")
    assert [row["user_id"] for row in events(tmp_path / "log[1].parquet")] == ["p"]


def test_a_folder_is_one_log(tmp_path: Path) -> None:
    """Files of other columns too."""
    folder = tmp_path / "in"
    folder.mkdir()
    csv(folder, f"u,{AT},IM,a,0", name="day1.csv")
    (folder / "day2.csv").write_text(f"kind;who;moment\nCL;v;{AT}\n")
    found = events([folder])
    assert {(row["user_id"], row["campaign"]) for row in found} == {("u", "a"), ("v", "NA")}


SNOWPLOW = (
    'a\t{at}\tIM\t\t0\nb\t{at}\tCL\t"Best" shoes\t0\nc\t{at}\tCN\t5" screen\t1\n'
    "d\t{at}\tIM\tx\\\ty\t0\ne\t{at}\tIM\tC:\\new\t0\n"
)


@pytest.mark.parametrize(
    "header",
    ["who\tmoment\tkind\tcampaign\tvalue", "who,moment,kind,campaign,value", "who\nmoment\nkind\ncampaign\nvalue\n"],
)
def test_a_file_without_a_header_gets_its_names(header: str, tmp_path: Path) -> None:
    """Else it is refused; quotes within tabs are as they are, and a tab behind a backslash is of the value."""
    path, names = tmp_path / "events.tsv", tmp_path / "header.txt"
    path.write_text(SNOWPLOW.format(at=AT))
    names.write_text(header)
    with pytest.raises(JobError, match="--columns"):
        events(path)
    found = {row["user_id"]: row["campaign"] for row in events(path, columns=names)}
    assert found == {"a": "NA", "b": '"Best" shoes', "c": '5" screen', "d": "x\ty", "e": "C:\\new"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\n|\n"])
def test_values_of_several_lines(end: str, tmp_path: Path) -> None:
    """Whatever ends the lines of the file, and where two do."""
    first, _, second = end.partition("|")
    path = tmp_path / "log.csv"
    lines = ['who,moment,kind,"campaign",value', f'u,{AT},IM,"a\nb",0', f'v,{AT},IM,"a\r\n""b""",0', f"w,{AT},IM,c,0"]
    path.write_bytes("".join(line + (second or first if n % 2 else first) for n, line in enumerate(lines)).encode())
    assert {row["user_id"]: row["campaign"] for row in events(path)} == {"u": "a\nb", "v": 'a\r\n"b"', "w": "c"}
