"""`python -m jobs import`: somebody's log becomes events."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from schemas.logs.log_files import LogFile
from tests.flow.running import data_file, query, run_flow
from tests.jobs.running import jobs

TOUCHPOINTS = """
SELECT customer_id AS user_id, time AS timestamp,
  CASE WHEN conversion = 1 THEN 'CN' WHEN channel = 'Paid Search' THEN 'PS' ELSE 'IM' END AS type,
  channel AS campaign, conversion_value AS revenue
FROM log
"""


TIME = 1_500_000_000_000


def ids(path: Path) -> list[str]:
    return [event for batch in LogFile(path).batches() for event in batch.columns.column("event_id").to_pylist()]


def test_every_touchpoint_becomes_a_row(tmp_path: Path) -> None:
    """31,130 rows of somebody else's log: all are events, and all are scored."""
    log = tmp_path / "touchpoints.parquet"
    run = jobs("import", data_file("touchpoints.csv.gz"), "--sql", TOUCHPOINTS, "--to", log)
    assert run.returncode == 0, run.stderr
    assert "31,130 rows: 31,130 events" in run.stdout
    flow = run_flow(source="file", file=log, sqlite_path=tmp_path / "store.db")
    assert "31,130 scored" in flow.stderr
    assert query(tmp_path / "store.db", "SELECT count(*) FROM propensity_by_user") == [(31_130,)]
    assert query(tmp_path / "store.db", "SELECT count(*) FROM propensity_by_user WHERE event_type = 'CN'") == [(957,)]


def test_made_ids_stay_with_their_rows(tmp_path: Path) -> None:
    """The same row has the same id in another order of lines, and equal rows have different ones."""
    rows = [f"c{n % 3},2018-07-01T00:00:{n % 4:02}Z,web\n" for n in range(24)]
    sql = "SELECT customer AS user_id, time AS timestamp, 'IM' AS type, channel AS campaign FROM log"
    made = []
    for number, order in enumerate((rows, rows[::-1])):
        source = tmp_path / f"log{number}.csv.gz"
        source.write_bytes(gzip.compress(("customer,time,channel\n" + "".join(order)).encode()))
        run = jobs("import", source, "--sql", sql, "--to", tmp_path / f"{number}.csv")
        assert run.returncode == 0, run.stderr
        made.append(sorted(ids(tmp_path / f"{number}.csv")))
    assert made[0] == made[1]
    assert len(set(made[0])) == len(rows)


def test_rejected_rows_are_told_and_kept(tmp_path: Path) -> None:
    """How many, why, and the rows themselves."""
    source, rejected = tmp_path / "log.csv", tmp_path / "rejected.jsonl"
    source.write_text(
        "id,who,moment,what\n1,a,1500000000000,IM\n2,b,-5,IM\n3,c,1500000000000,view\n4,,1500000000000,CL\n"
    )
    sql = "SELECT id AS event_id, who AS user_id, moment AS timestamp, what AS type FROM log"
    run = jobs("import", source, "--sql", sql, "--to", tmp_path / "out.csv", "--rejected", rejected)
    assert run.returncode == 0, run.stderr
    assert "4 rows: 1 events" in run.stdout
    kept = [json.loads(line) for line in rejected.read_text().splitlines()]
    assert {line["values"]["event_id"]: line["reason"] for line in kept} == {
        "2": "time_range",
        "3": "wrong_type",
        "4": "missing",
    }
    for reason in ("1 time_range", "1 wrong_type", "1 missing"):
        assert reason in run.stdout


def test_a_value_that_is_no_time_costs_its_own_row_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB takes the whole column for texts then; a time that names no zone is UTC, wherever the import runs."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    source, to = tmp_path / "log.csv", tmp_path / "log.parquet"
    times = ["2020-01-01 00:00:01", "yesterday", "2020-01-01T02:00:02.5+02:00", "1577836803000"]
    source.write_text("".join(["user_id,timestamp,type\n", *(f"u,{time},IM\n" for time in times)]))
    run = jobs("import", source, "--sql", "SELECT * FROM log", "--to", to)
    assert "4 rows: 3 events" in run.stdout, run.stderr
    assert "1 wrong_type" in run.stdout
    assert "timestamp is 'yesterday'" in run.stdout
    found = [time for batch in LogFile(to).batches() for time in batch.columns.column("timestamp").to_pylist()]
    assert found == [1577836801000, 1577836802500, 1577836803000]


def test_a_line_that_is_no_row_does_not_stop_an_import(tmp_path: Path) -> None:
    """It is rejected with its text; ids that turn from numbers to words late in the file are fine."""
    source, rejected = tmp_path / "log.csv", tmp_path / "rejected.jsonl"
    lines = [f"{n},{TIME + n}\n" for n in range(30_000)] + ["ragged,1,2,3\n", f"word,{TIME}\n"]
    source.write_text("who,moment\n" + "".join(lines))
    sql = "SELECT who AS user_id, moment AS timestamp, 'IM' AS type FROM log"
    run = jobs("import", source, "--sql", sql, "--to", tmp_path / "out.parquet", "--rejected", rejected)
    assert run.returncode == 0, run.stderr
    assert "30,002 rows: 30,001 events" in run.stdout
    (line,) = [json.loads(line) for line in rejected.read_text().splitlines()]
    assert (line["reason"], line["values"]) == ("wrong_shape", "ragged,1,2,3")


@pytest.mark.parametrize(
    ("log", "sql", "to", "word"),
    [
        ("log.csv", "SELEC", "out.csv", "--sql"),
        ("log.csv", "SELECT 1 AS one FROM log", "out.csv", "no column 'user_id'"),
        ("log.csv", "SELECT nothing FROM log", "out.csv", "nothing"),
        ("absent.csv", "SELECT 1 FROM log", "out.csv", "no such file"),
        ("log.csv", "SELECT 'u' AS user_id, 1 AS timestamp, 'IM' AS type FROM log", "out.xls", "out.xls"),
        ("log.csv", "SELECT 'u' AS user_id, 1 AS timestamp, 'IM' AS type FROM log", "log.csv", "is the log itself"),
        (
            "log.csv",
            "SELECT 'u' AS user_id, 1 AS timestamp, 'IM' AS type FROM log",
            "nowhere/out.csv",
            "no such folder",
        ),
    ],
)
def test_a_wrong_command_is_told_in_one_line(log: str, sql: str, to: str, word: str, tmp_path: Path) -> None:
    """Exit code 2, no traceback."""
    (tmp_path / "log.csv").write_text("a,b\n1,2\n")
    run = jobs("import", tmp_path / log, "--sql", sql, "--to", tmp_path / to)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert line.startswith("ad-streams: ")
    assert word in line


def test_simulated_logs_are_the_same_at_every_run(tmp_path: Path) -> None:
    """`python -m jobs simulate --to FILE`: same seed, same bytes; another seed, others."""
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        run = jobs("simulate", "--to", tmp_path / f"{name}.csv", "--events", 5_000, "--users", 300, "--seed", seed)
        assert run.returncode == 0, run.stderr
    a, b, c = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert a == b != c
    assert len(ids(tmp_path / "a.csv")) == 5_000
