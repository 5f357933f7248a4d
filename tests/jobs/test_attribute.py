"""`python -m jobs attribute`: the credits of a log, and the paths for other tools."""

from __future__ import annotations

import csv
import gzip
import subprocess
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.simulate import simulate
from model.scoring.training_record import from_milliseconds
from schemas.credits import RULES
from schemas.logs.parquet_log import ROWS
from settings import Settings
from tests.flow.running import ROOT, query, run_flow
from tests.jobs.running import complaint, jobs
from tests.model.driving import DAY

LOG = """user_id,timestamp,type,event_id,campaign,revenue
a,1500000000000,IM,1,Spring,
a,1500003600000,CL,2,Spring,
a,1500007200000,CN,3,,20
a,1500007200000,CN,3,,20
b,1500000000000,PS,4,,
b,1500003600000,CN,5,,10
a,1500010800000,IM,6,Autumn,
c,1500010800000,IM,7,Spring,
a,1499999000000,IM,8,Autumn,
d,1500010800000,CN,9,,5
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    return path


def test_what_is_said_and_written(log: Path, tmp_path: Path) -> None:
    """Late touches and repeats are in their places; all sums are those of the rows."""
    credits, paths, days = tmp_path / "credits.csv", tmp_path / "paths.csv", tmp_path / "days.csv.gz"
    files = ("--to", credits, "--paths", paths, "--by-day", days)
    run = jobs("attribute", log, *files, "--look-back", "12h", model=ROOT / "model" / "decay.json")
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert lines[0] == "3 conversions of 3 users, revenue 35.00, from 10 events"
    assert lines.pop(1) == "first event 2017-07-14 02:23:20, last event 2017-07-14 05:40:00 UTC"
    assert lines[1] == "credited by decay (7d horizon); touches of up to 12h before a conversion"
    assert lines[2].strip() == "Conversions by rule, beside the revenue that the model credits"
    assert lines[3].split() == ["last", "time"]
    assert " ".join(lines[4].split()) == "campaign type revenue credit touch first linear decay position"
    assert max(map(len, lines)) < 80
    assert "campaign" in lines.pop()  # decay knows none
    assert [line.split()[:2] for line in lines[5:]][-2:] == [["no", "touch"], ["all", "35.0"]]
    assert lines[-1].split()[2:] == ["3.0"] * 6
    with credits.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 + 2 + 1
    for conversion, value in (("3", 20.0), ("5", 10.0), ("9", 5.0)):
        mine = [row for row in rows if row["conversion_id"] == conversion]
        assert sum(float(row["credit"]) for row in mine) == pytest.approx(1)
        assert {float(row["revenue"]) for row in mine} == {value}
    assert [row["campaign"] for row in rows if row["conversion_id"] == "3" and row["type"]] == [
        "Autumn",
        "Spring",
        "Spring",
    ]
    assert paths.read_text().splitlines() == [
        "path,total_conversions,total_conversion_value,total_null,separator",
        "(PS),1,10.0,0, > ",
        "Autumn > Spring > Spring,1,20.0,0, > ",
        "Spring,0,0.0,1, > ",
    ]  # fmt: skip
    with gzip.open(days, "rt") as file:
        sums = list(csv.DictReader(file))
    assert [(row["day"], row["campaign"], row["type"]) for row in sums] == [
        ("2017-07-14", "", "PS"),
        ("2017-07-14", "Autumn", "IM"),
        ("2017-07-14", "Spring", "CL"),
        ("2017-07-14", "Spring", "IM"),
        ("2017-07-14", "", ""),
    ]  # fmt: skip
    for rule in RULES:
        for row in sums:
            mine = [each for each in rows if (each["campaign"], each["type"]) == (row["campaign"], row["type"])]
            assert float(row[rule]) == pytest.approx(sum(float(each[rule]) for each in mine))
            revenue = sum(float(each[rule]) * float(each["revenue"]) for each in mine)
            assert float(row[f"{rule}_revenue"]) == pytest.approx(revenue)


@pytest.mark.parametrize(
    ("robots", "said"),
    [
        ((("bot", 600, 3),), "1 automated user has 2 of the 3 conversions, credited as all others are"),
        ((("bot", 501, 0), ("bot2", 900, 1)), "2 automated users have 1 of the 2 conversions"),
        ((("monitor", 700, 0),), "1 automated user has 0 of the 1 conversions"),
        ((("busy", 490, 1),), ""),
    ],
)
def test_what_automated_users_have_is_said(robots: tuple[tuple[str, int, int], ...], said: str, tmp_path: Path) -> None:
    """Late and repeated events change nothing; a limit of 0 sets nobody apart."""
    rows = [("ann", 1_500_000_000_000, "IM", "i", ""), ("ann", 1_500_000_900_000, "CN", "n", 9)]
    for user, touches, orders in robots:
        rows += [(user, 1_500_000_000_000 + n * 1_000, "CL", f"{user}{n}", "") for n in range(touches)]
        rows += [(user, 1_500_000_950_000 + n * 45_000, "CN", f"{user}-{n}", 5) for n in (0, 1, 3)[:orders]]
    with (tmp_path / "log.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("user_id", "timestamp", "type", "event_id", "revenue"), *rows[::-1], *rows[:300]])
    run = jobs("attribute", tmp_path / "log.csv")
    assert (run.returncode, run.stderr) == (0, "")
    lines = [line for line in run.stdout.splitlines() if "automated" in line]
    assert len(lines) == bool(said)
    assert all(line.startswith(said) and "500" in line for line in lines)
    if said:
        assert "automated" not in jobs("attribute", tmp_path / "log.csv", max_daily_events="0").stdout


def test_values_of_paths_are_sums_without_noise(tmp_path: Path) -> None:
    """0.1 + 0.2 is 0.3, in a compressed file as well."""
    log, paths = tmp_path / "log.csv", tmp_path / "paths.csv.gz"
    rows = [
        f"{user},1500000000000,IM,1,,\n{user},1500003600000,CN,2,,{value}" for user, value in (("a", 0.1), ("b", 0.2))
    ]
    log.write_text("\n".join([LOG.splitlines()[0], *rows]))
    run = jobs("attribute", log, "--paths", paths)
    assert run.returncode == 0, run.stderr
    assert "credited by default (1d horizon); touches of up to 30d before" in run.stdout
    assert gzip.decompress(paths.read_bytes()).decode().splitlines()[1:] == ["(IM),2,0.3,0, > "]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("nowhere.csv",), "nowhere.csv: no such file"),
        (("LOG", "--look-back", "soon"), "--look-back: 'soon' is not a duration"),
        (("LOG", "--look-back", "0d"), "--look-back: must be at least 1min, got 0d"),
        (("LOG", "--to", "credits.txt"), "credits.txt: must end with .csv or .csv.gz or .parquet"),
        (("LOG", "--by-day", "days.txt"), "--by-day: days.txt: must end with .csv or .csv.gz or .parquet"),
        (("LOG", "--paths", "paths.parquet"), "--paths: paths.parquet: must end with .csv or .csv.gz"),
        (("LOG", "--to", "LOG"), "is the log itself"),
        (("LOG", "--to", "x.csv", "--by-day", "./x.csv"), "--by-day: x.csv is the file of --to"),
        (("nowhere.csv", "--to", "LOG"), "nowhere.csv: no such file"),
        (("LOG", "--paths", "nowhere/paths.csv"), "--paths: nowhere/paths.csv: no such directory"),
        (("LOG", "--store-models"), "adstreams.db"),
        (("NONE",), "none of its 1 events is a conversion (CN)"),
    ],
)
def test_what_is_wrong_is_told_on_one_line(arguments: tuple[str, ...], line: str, log: Path, tmp_path: Path) -> None:
    none = tmp_path / "none.csv"
    none.write_text("user_id,timestamp,type,event_id\na,1500000000000,IM,1\n")
    places = {"LOG": log, "NONE": none}
    assert line in complaint("attribute", *(places.get(each, each) for each in arguments))


def test_what_came_too_late_has_no_part(tmp_path: Path) -> None:
    """As in the stream: in a later batch, behind more than twice the events that count, an old conversion is none."""
    settings = {"sequence_length": 2, "model": ROOT / "model" / "decay.json"}
    shown = [("a", 1_500_000_000_000 + number, "IM", f"e{number}", 0.0) for number in range(9)]
    between = [(f"b{number}", 1_500_000_000_000, "IM", "e", 0.0) for number in range(ROWS)]
    late, last = ("a", 1_499_000_000_000, "CN", "late", 7.0), ("b0", 1_500_000_001_000, "CN", "last", 8.0)
    names = ("user_id", "timestamp", "type", "event_id", "revenue")

    def attributed(*rows: tuple[object, ...]) -> subprocess.CompletedProcess[str]:
        table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
        pq.write_table(table, tmp_path / "log.parquet")
        return jobs("attribute", tmp_path / "log.parquet", **settings)

    run = attributed(*shown, *between, late, last)
    assert (run.returncode, run.stderr) == (0, "")
    said = f"1 conversions of 1 users, revenue 8.00, from {ROWS + 11:,} events, 1 came too late"
    assert run.stdout.splitlines()[0] == said
    run = attributed(*shown, *between, late)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert line.endswith("is a conversion (CN), 1 came too late")


@pytest.mark.parametrize("following", [False, True], ids=["one model", "two models"])
def test_the_stream_credits_the_same(tmp_path: Path, following: bool) -> None:
    """To the last bit, whatever the batches: the tables of a flow over the log, and the file that the job writes."""
    log, credits, store = tmp_path / "log.parquet", tmp_path / "credits.parquet", tmp_path / "store.db"
    start = Settings().simulator_start_time
    simulate(log, users=300, events=12_000, seed=7, start_ms=start)
    flags: tuple[str, ...] = ()
    if following:
        at, flags = from_milliseconds(start + 9 * DAY), ("--store-models",)
        run = jobs("models", "add", ROOT / "model" / "decay.json", "--from", at, sqlite_path=store)
        assert run.returncode == 0, run.stderr
    run = run_flow(source="file", file=log, sqlite_path=store)
    assert run.returncode == 0, run.stderr
    models = query(store, "SELECT DISTINCT model_id FROM conversion_credit ORDER BY 1")
    assert models == [("decay",), ("default",)] if following else [("default",)]
    days = tmp_path / "days.parquet"
    run = jobs("attribute", log, "--to", credits, "--by-day", days, *flags, sqlite_path=store)
    assert run.returncode == 0, run.stderr
    assert (f", decay from {from_milliseconds(start + 9 * DAY)} on (7d horizon); " in run.stdout) == following
    names = ("type", "campaign", *RULES)
    offline = duckdb.sql(
        f"SELECT user_id, epoch_ms(conversion_time), revenue, coalesce(epoch_ms(touch_time), 0), {', '.join(names)}"
        f" FROM '{credits}' ORDER BY user_id, conversion_time, conversion_id, touch"
    ).fetchall()
    stored = query(
        store,
        f"SELECT user_id, event_time, revenue, touch_time, {', '.join('touch.' + name for name in names)}"
        " FROM touch_credit AS touch JOIN propensity_by_user USING (user_id, event_time, event_key)"
        " ORDER BY user_id, event_time, event_id, place",
    )
    assert len(stored) > 200
    assert stored == offline
    keys = "day, campaign, type"
    sums = ", ".join((*RULES, *(f"{rule}_revenue" for rule in RULES)))
    offline = duckdb.sql(f"SELECT day::VARCHAR, campaign, type, {sums} FROM '{days}' ORDER BY {keys}").fetchall()
    stored = query(store, f"SELECT {keys}, {sums} FROM credit_by_day ORDER BY {keys}")
    assert len({day for day, *_ in stored}) > 5
    assert [row[:3] for row in stored] == [row[:3] for row in offline]
    assert [row[3:] for row in stored] == [pytest.approx(row[3:]) for row in offline]
