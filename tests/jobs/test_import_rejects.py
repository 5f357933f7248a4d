"""`python -m jobs import`: what is no event costs its row, and what is no log is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import fastavro
import pyarrow.parquet
import pytest

from jobs.importing.imports import import_log
from schemas.errors import JobError, LogFileError
from tests.jobs.running import jobs

SQL = "SELECT who AS user_id, moment AS timestamp, kind AS type FROM log"
HEAD = "who,moment,kind\n"
ROW = "u,2024-05-01 08:00:00,IM\n"


def rejected(log: Path, sql: str = SQL) -> list[dict[str, object]]:
    """The rejected rows of an import that goes on to its end."""
    to, kept = log.parent / "out.parquet", log.parent / "rejected.jsonl"
    import_log([log], sql, to, kept)
    lines = kept.read_bytes().decode().splitlines()
    return [json.loads(line, parse_constant=pytest.fail) for line in lines]


def users(folder: Path) -> list[str]:
    found: list[str] = pyarrow.parquet.read_table(folder / "out.parquet").column("user_id").to_pylist()
    return found


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"ragged,1,2,3\n", "wrong_shape"),
        (b"ragged\n", "wrong_shape"),
        (b"v\xff\xfe,2024-05-01 08:00:00,IM\n", "not_utf8"),
        (b"y" * 9_000_000 + b",2024-05-01,IM\n", "wrong_shape"),
        (b"v,soon,IM\n", "wrong_type"),
        (b",2024-05-01 08:00:00,IM\n", "missing"),
        (b"v,2024-05-01 08:00:00,view\x1b[31m\n", "wrong_type"),
    ],
)
def test_a_line_that_is_no_event_costs_itself(line: bytes, reason: str, tmp_path: Path) -> None:
    """It is written down as valid JSON, and all others come."""
    log = tmp_path / "log.csv"
    log.write_bytes((HEAD + ROW * 9).encode() + line + ROW.replace("u", "w").encode())
    (kept,) = rejected(log)
    assert kept["reason"] == reason
    assert len(json.dumps(kept)) < 20_000
    assert sorted(users(tmp_path)) == ["u"] * 9 + ["w"]


@pytest.mark.parametrize(
    "line",
    [b"{broken\n", b"[1]\n", b'{"who": "\xff"}\n', b"7\n", b'{"who": NaN}\n', b'{"a": "' + b"y" * 9_000_000 + b'"}\n'],
)
def test_a_line_that_is_no_object_costs_itself(line: bytes, tmp_path: Path) -> None:
    """Of JSON lines."""
    log = tmp_path / "log.jsonl"
    good = b'{"who": "u", "moment": "2024-05-01T08:00:00Z", "kind": "IM"}\n'
    log.write_bytes(good + line + b"\n" + good)
    (kept,) = rejected(log)
    assert kept["reason"] == "wrong_shape"
    assert users(tmp_path) == ["u", "u"]


def test_a_bad_value_of_a_container_costs_its_record(tmp_path: Path) -> None:
    """A time that no calendar of Python has, none at all, and a number that is too great."""
    fields = [{"name": "who", "type": "string"}, {"name": "kind", "type": "string"}]
    fields += [{"name": "moment", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]}]  # type: ignore[dict-item]
    fields += [{"name": "count", "type": "long"}]
    schema = fastavro.parse_schema({"type": "record", "name": "r", "fields": fields})
    times: list[tuple[int | None, int]] = [(1_714_550_400_000, 1), (1_714_550_400_000_000, 1), (None, 1), (5, 1 << 40)]
    log = tmp_path / "log.avro"
    with log.open("wb") as file:
        rows = [{"who": f"u{n}", "kind": "IM", "moment": time, "count": c} for n, (time, c) in enumerate(times)]
        fastavro.writer(file, schema, rows)
    kept = rejected(log, SQL.replace(" FROM", ", count AS quantity FROM"))
    assert sorted(str(each["reason"]) for each in kept) == ["missing", "time_range", "wrong_type"]
    assert users(tmp_path) == ["u0"]


def test_a_tab_file_keeps_its_other_lines(tmp_path: Path) -> None:
    """Where one is too long, or a quote is never closed."""
    log = tmp_path / "log.tsv"
    rows = [f"{who}\t2024-05-01\tIM\n" for who in ("u", '"v', "y" * 9_000_000, "w")]
    log.write_text(HEAD.replace(",", "\t") + "".join(rows))
    (kept,) = rejected(log)
    assert "9,000," in str(kept["detail"])
    assert sorted(users(tmp_path)) == ['"v', "u", "w"]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELEC", "SELEC"),
        ("VALUES (1)", "no column 'user_id'; the columns are 'col0'"),
        ("COPY log TO 'x.csv'", "not a SELECT"),
        ("WITH a AS (COPY (SELECT 1) TO 'written') SELECT * FROM a", "not a SELECT"),
        ("WITH a AS (INSERT INTO log VALUES (1, 2, 3) RETURNING *) SELECT * FROM a", "not a SELECT"),
        ("SELECT * FROM (WITH a AS (DELETE FROM log RETURNING *) SELECT * FROM a)", "not a SELECT"),
        ("SELECT 1; SELECT 2", "several"),
        ("INSTALL httpfs", "not a SELECT"),
        ("ATTACH 'other.db'", "not a SELECT"),
        ("SELECT nothing FROM log", "nothing"),
        ("SELECT * FROM sources", "sources"),
        ("SELECT who AS user_id, who AS timestamp, kind AS type, at + 'x' AS revenue FROM log", "--sql"),
        ("", "--sql"),
    ],
)
def test_a_wrong_query_is_one_line(sql: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And writes nothing anywhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text(HEAD + ROW)
    with pytest.raises(JobError) as failed:
        import_log([tmp_path / "log.csv"], sql, tmp_path / "out.csv")
    assert words in str(failed.value)
    assert "\n" not in str(failed.value)
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'u' AS user_id, 1714557600000 AS timestamp, 'IM' AS type FROM generate_series(1, 2)",
        "FROM (VALUES ('u', '2024-05-01', 'IM'), ('u', '2024-05-02', 'IM')) v(user_id, timestamp, type)",
        "SELECT who AS user_id, moment AS timestamp, kind AS type FROM read_json('other.jsonl')",
        "SELECT who AS user_id, moment AS timestamp, kind AS type FROM read_csv('other.csv', all_varchar=true);",
        "WITH a AS (FROM log), b AS (FROM log) SELECT a.who user_id, a.moment AS timestamp, b.kind AS type FROM a, b",
    ],
)
def test_a_query_may_read_what_it_likes(sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a reader of its own, from no row of the log, or from all of it twice."""
    monkeypatch.chdir(tmp_path)
    row = {"who": "u", "moment": "2024-05-01T08:00:00Z", "kind": "IM"}
    Path("other.jsonl").write_text(2 * (json.dumps(row) + "\n"))
    Path("other.csv").write_text(HEAD + ROW * 2)
    Path("log.csv").write_text(HEAD + ROW + "ragged\n" + ("" if "other" in sql or "1" in sql else ROW))
    import_log([Path("log.csv")], sql, Path("out.parquet"))
    assert len(users(tmp_path)) in (2, 4)


def test_outputs_are_files_of_their_own(tmp_path: Path) -> None:
    """Neither may be the log, nor both one, however their names are written."""
    log, link, to = tmp_path / "log.csv", tmp_path / "link.csv", tmp_path / "out.csv"
    log.write_text(HEAD + ROW)
    link.symlink_to(log)
    hard = tmp_path / "hard.csv"
    hard.hardlink_to(log)
    (tmp_path / "sub").mkdir()
    again = tmp_path / "sub" / ".." / "out.csv"
    for out, kept in (
        (log, None),
        (link, None),
        (hard, None),
        (to, log),
        (to, link),
        (to, to),
        (to, again),
        (again, to),
    ):
        with pytest.raises(JobError, match="is the"):
            import_log([log], SQL, out, kept)
    assert log.read_text() == HEAD + ROW
    assert not to.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04 zip", "Excel"),
        (b"SQLite format 3\0", "SQLite"),
        ("who,moment,kind\n".encode("utf-16"), "UTF-16"),
        (b"", "empty"),
        (b"PAR1 broken", "log.csv"),
        (b"Obj\x01 broken", "log.csv"),
        (b"\x1f\x8b broken", "log.csv"),
        (b"[{broken", "JSON"),
    ],
)
def test_no_file_is_read_as_what_it_is_not(content: bytes, words: str, tmp_path: Path) -> None:
    """It is refused in one line."""
    log = tmp_path / "log.csv"
    log.write_bytes(content)
    with pytest.raises((JobError, LogFileError), match=words) as failed:
        import_log([log], SQL, tmp_path / "out.csv")
    assert "\n" not in str(failed.value)
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_the_command_line_asks_for_zones_that_there_are(tmp_path: Path) -> None:
    """One plain line."""
    (tmp_path / "log.csv").write_text(HEAD + ROW)
    run = jobs("import", tmp_path / "log.csv", "--sql", SQL, "--to", tmp_path / "out.csv", "--time-zone", "Mars/Base")
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert "--time-zone" in line
