"""Bad input never stops the flow and never vanishes; what cannot be read at all is told in one plain line."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.privileges import unprivileged
from tests.flow.running import PATIENCE, ROOT, command, environment, query, run_flow

HEADER = "event_id,user_id,timestamp,type,campaign,quantity,revenue\n"
TIME = 1_500_000_000_000
HOSTILE = "<img src=x onerror=alert(1)> \"quoted\" 'single' \x00 \U0001f600 ,\n; DROP TABLE"


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def test_every_bad_row_is_a_dead_letter_and_the_rest_is_scored(tmp_path: Path) -> None:
    """Each with the file, its row number, the reason and the row; scored + repeats + dead = sent."""
    rows = {
        "good,u,1500000000000,IM,c,1,2.5\n": None,
        f"{quoted(HOSTILE)},{quoted(HOSTILE)},1500000000001,CN,{quoted(HOSTILE)},1,9.99\n": None,
        "nan,u,1500000000002,CN,c,1,NaN\n": "revenue",
        "inf,u,1500000000003,CN,c,1,inf\n": "revenue",
        "old,u,-1,IM,c,1,0\n": "time_range",
        "far,u,4102444800001,IM,c,1,0\n": "time_range",
        ",u,1500000000004,IM,c,1,0\n": "id_length",
        "e,,1500000000005,IM,c,1,0\n": "id_length",
        f"{'e' * 1_025},u,1500000000006,IM,c,1,0\n": "id_length",
        "e,u,yesterday,IM,c,1,0\n": "wrong_type",
        "e,u,1500000000007,XX,c,1,0\n": "wrong_type",
        "e,u,1500000000008,IM,c,many,0\n": "wrong_type",
        "e,u,1500000000009,IM,c,1,much\n": "wrong_type",
        "e,u,1500000000010,IM,c,99999999999,0\n": "wrong_type",
        "short,u,1500000000011\n": "wrong_shape",
        "long,u,1500000000012,IM,c,1,0,more,and more\n": "wrong_shape",
        "last,u,1500000000013,PS,c,1,0\n": None,
    }
    file, store = tmp_path / "log.csv", tmp_path / "store.db"
    file.write_bytes(
        (HEADER + "".join(rows)).encode() + b"b\xff,u,1500000000014,IM,c,1,0\n" + b"good,u,1500000000000,IM,c,1,2.5\n"
    )
    run = run_flow(source="file", file=file, sqlite_path=store)
    assert run.returncode == 0, run.stderr
    letters = query(store, 'SELECT source, "partition", "offset", reason, payload FROM dead_letters ORDER BY "offset"')
    expected = [reason for reason in rows.values() if reason] + ["not_utf8"]
    assert Counter(reason for *_, reason, _ in letters) == Counter(expected)
    assert {source for source, *_ in letters} == {str(file)}
    by_offset = {offset: payload for _, _, offset, _, payload in letters}
    assert json.loads(bytes(by_offset[4]))["event_id"] == "nan"
    assert bytes(by_offset[16]) == b"short,u,1500000000011"
    assert f"3 scored (0 late), 1 repeats (0 conflicts), {len(expected)} dead letters" in run.stderr
    kept = query(store, "SELECT event_id, user_id, campaign FROM propensity_by_user WHERE event_type = 'CN'")
    assert kept == [(HOSTILE, HOSTILE, HOSTILE)]


def truncated_gzip(path: Path) -> None:
    body = HEADER + "".join(f"e{n},u{n % 9},{TIME + n},IM,c{n * 7919 % 1000},1,0\n" for n in range(300_000))
    whole = gzip.compress(body.encode())
    path.write_bytes(whole[: len(whole) // 2])


def broken_parquet(path: Path) -> None:
    path.write_bytes(b"PAR1" + bytes(100) + b"PAR1")


FILES: list[tuple[str, Callable[[Path], object], str]] = [
    ("empty.csv", lambda path: path.write_text(""), "mpty"),
    ("empty.csv.gz", lambda path: path.write_bytes(b""), "mpty"),
    ("no-type.csv", lambda path: path.write_text("event_id,user_id,timestamp\n"), "no column 'type'"),
    (
        "twice.csv",
        lambda path: path.write_text("event_id,user_id,timestamp,type,type\n1,2,3,IM,IM\n"),
        "'type' occurs twice",
    ),
    ("truncated.csv.gz", truncated_gzip, "truncated"),
    ("not.csv.gz", lambda path: path.write_bytes(b"\x1f\x8bno gzip"), ""),
    ("broken.parquet", broken_parquet, "arquet"),
    ("broken.avro", lambda path: path.write_bytes(b"Obj\x01nonsense"), ""),
    ("log.xls", lambda path: path.write_text("x"), "ends with .csv"),
]


@pytest.mark.parametrize(("name", "make", "word"), FILES, ids=[name for name, *_ in FILES])
def test_a_file_that_cannot_be_read_is_told_in_one_line(
    name: str, make: Callable[[Path], object], word: str, tmp_path: Path
) -> None:
    """The last line names the file and the reason; the exit code is not 0; no traceback."""
    make(tmp_path / name)
    run = run_flow(source="file", file=tmp_path / name, sqlite_path=tmp_path / "store.db")
    assert run.returncode in (1, 2), run.stderr
    assert "Traceback" not in run.stderr
    last = run.stderr.splitlines()[-1]
    assert last.startswith("ad-streams: ")
    assert name in last
    assert word in last


def test_rows_before_a_truncation_are_kept(tmp_path: Path) -> None:
    """A compressed log that breaks off gives all that came before."""
    truncated_gzip(tmp_path / "log.csv.gz")
    run = run_flow(source="file", file=tmp_path / "log.csv.gz", sqlite_path=tmp_path / "store.db")
    assert run.returncode == 1
    ((rows,),) = query(tmp_path / "store.db", "SELECT count(*) FROM propensity_by_user")
    assert int(str(rows)) > 50_000


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"buckets": "many"}, "ADSTREAMS_BUCKETS"),
        ({"source": "kafkaesque"}, "ADSTREAMS_SOURCE"),
        ({"source": "file"}, "ADSTREAMS_FILE"),
        ({"model": "/nowhere/model.json"}, "ADSTREAMS_MODEL"),
        ({"sqlite_path": "/nowhere/store.db"}, "/nowhere/store.db"),
        ({"sqlite_pth": "x"}, "did you mean ADSTREAMS_SQLITE_PATH?"),
    ],
)
def test_bad_settings_stop_at_once(settings: dict[str, str], word: str, tmp_path: Path) -> None:
    """Exit code 2 and one line that names the setting."""
    run = run_flow(**{"sqlite_path": tmp_path / "store.db", **settings})
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert line.startswith("ad-streams: ")
    assert word in line


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"source": "file", "file": "log.csv"}, "ADSTREAMS_FILE: "),
        ({"sqlite_path": "store.db"}, "SQLite file "),
        ({"model": "model.json"}, "ADSTREAMS_MODEL: "),
        ({"recovery": "recovery"}, "recovery directory "),
    ],
)
def test_what_lies_in_a_folder_that_may_not_be_entered(settings: dict[str, str], word: str, tmp_path: Path) -> None:
    """Exit code 2 and one line that says so."""
    closed, given = tmp_path / "closed", {"sqlite_path": str(tmp_path / "store.db"), **settings}
    closed.mkdir(mode=0o600)
    name = list(settings)[-1]
    given[name] = str(closed / settings[name])
    recovery = given.pop("recovery", None)
    run = subprocess.run(
        unprivileged(command(1, Path(recovery) if recovery else None)),
        cwd=ROOT, env=environment(**given), capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
    assert run.stderr == f"ad-streams: {word}{closed / settings[name]}: Permission denied\n"
