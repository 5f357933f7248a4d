"""A file a day: several files are one log for the flow, which goes on with new ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from tests.flow.running import query, run_flow

HEADER = "event_id,user_id,timestamp,type,campaign,revenue\n"
DAYS = {
    "day1.csv": HEADER + "a,u1,1714550400,CL,spring,0\nbad,u1,soon,CL,spring,0\n",
    "day2.csv": HEADER.upper() + "b,u1,2024-05-02 08:00:00,CN,,50\na,u1,2024-05-01 08:00:00,CL,spring,0\n",
    "day3.jsonl": '{"event_id": "c", "user_id": "u2", "timestamp": 1714723200000, "type": "IM"}\n',
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, text in DAYS.items():
        (folder / name).write_text(text)
    return folder


def rows(store: Path):
    """What is known of each event: its id, its time and how many events of the user came before and with it."""
    return query(store, "SELECT event_id, event_time, seen FROM propensity_by_user ORDER BY event_id")


EXPECTED = [("a", 1_714_550_400_000, 1), ("b", 1_714_636_800_000, 2), ("c", 1_714_723_200_000, 1)]


@pytest.mark.parametrize("form", ["{0}", "{0}/*", "{0}/**/day?.*", "{0}/day2.csv,{0}/day3.jsonl, {0}/day1.csv"])
def test_a_folder_a_pattern_and_names_are_one_log(folder, tmp_path, form):
    run = run_flow(source="file", file=form.format(folder), sqlite_path=tmp_path / "store.db")
    assert run.returncode == 0, run.stderr
    assert rows(tmp_path / "store.db") == EXPECTED
    letters = query(tmp_path / "store.db", 'SELECT source, "offset", reason FROM dead_letters')
    assert letters == [(str(folder / "day1.csv"), 3, "wrong_type")]
    assert "3 scored (0 late), 1 repeats" in run.stderr
    assert "first event 2024-05-01 08:00:00, last event 2024-05-03 08:00:00 UTC" in run.stderr
    assert "day1.csv: numbers are seconds since 1970" in run.stderr


def test_a_flow_that_is_resumed_goes_on_with_new_files(folder, tmp_path):
    store, recovery = tmp_path / "store.db", tmp_path / "recovery"
    later = {name: (folder / name).read_text() for name in ("day1.csv", "day3.jsonl")}
    for name in later:
        (folder / name).unlink()
    recovery.mkdir()

    subprocess.run([sys.executable, "-m", "bytewax.recovery", recovery, "1"], check=True)
    first = run_flow(recovery=recovery, source="file", file=folder, sqlite_path=store)
    assert first.returncode == 0, first.stderr
    for name, text in later.items():  # one that comes before in the order, too
        (folder / name).write_text(text)
    second = run_flow(recovery=recovery, source="file", file=folder, sqlite_path=store)
    assert second.returncode == 0, second.stderr
    assert rows(store) == EXPECTED
    assert "day2.csv: resuming after row 3" in second.stderr
    (folder / "day2.csv").write_text(HEADER)
    third = run_flow(recovery=recovery, source="file", file=folder, sqlite_path=store)
    assert third.returncode == 1
    assert third.stderr.splitlines()[-1].startswith(f"ad-streams: {folder}/day2.csv: is shorter than when it was read")
    other = run_flow(recovery=recovery, source="file", file=folder, sqlite_path=store, time_unit="ms")
    assert other.returncode == 2
    assert "ADSTREAMS_TIME_UNIT: recovery directory" in other.stderr


@pytest.mark.parametrize("bad", ["event_id,user_id\nx,y\n", HEADER + "x,u,05/02/2024,IM,,\n"])
def test_all_files_must_be_readable_before_anything_starts(folder, tmp_path, bad):
    (folder / "day4.csv").write_text(bad)
    run = run_flow(source="file", file=folder, sqlite_path=tmp_path / "store.db")
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith(f"ad-streams: ADSTREAMS_FILE: {folder}/day4.csv: ")
    assert not (tmp_path / "store.db").exists()


def test_attribute_reads_several_files_as_one_log(folder, tmp_path):
    for given in ([str(folder)], [str(folder / name) for name in DAYS], [f"{folder}/*"]):
        result = CliRunner().invoke(app, ["attribute", *given, "--to", str(tmp_path / "credits.csv")])
        assert result.exit_code == 0, result.output
        assert "1 conversions of 1 users, revenue 50.00, from 4 events, 1 rows were no events" in result.output
        assert "first event 2024-05-01 08:00:00, last event 2024-05-03 08:00:00 UTC" in result.output
        assert "spring" in (tmp_path / "credits.csv").read_text()
