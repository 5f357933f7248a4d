"""A store knows what filled it: nothing of another world comes into it, and no part of its history is left out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.flow.running import make_recovery, query, run_flow, table

HEADER = "event_id,user_id,timestamp,type,campaign,revenue\n"
DAY1 = HEADER + "e1,u1,1714550400000,CL,spring,0\ne2,u2,1714550400000,CL,spring,0\n"
DAY2 = HEADER + "e3,u1,1714640400000,CN,,50\n"
ORDER = "SELECT seen, (SELECT count(*) FROM touch_credit AS touch WHERE touch.user_id = 'u1' AND type <> '')"
ORDER += " FROM propensity_by_user WHERE event_id = 'e3'"


@pytest.fixture
def days(tmp_path: Path) -> list[Path]:
    """A file a day."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number, text in enumerate((DAY1, DAY2), start=1):
        (folder / f"day{number}.csv").write_text(text)
    return sorted(folder.iterdir())


def refused(run) -> str:
    """The one line of a start that is not allowed."""
    assert run.returncode == 2, run.stderr
    (line,) = run.stderr.splitlines()
    assert line.startswith("ad-streams: ADSTREAMS_")
    return line


def test_a_second_days_file_alone_is_refused(days: list[Path], tmp_path: Path) -> None:
    """Without the first day's events the order would have no touch; what is stored stays as it is."""
    settings = {"source": "file", "sqlite_path": tmp_path / "store.db"}
    assert run_flow(file=days[0], **settings).returncode == 0
    before = table(tmp_path / "store.db")
    line = refused(run_flow(file=days[1], **settings))
    assert "day1.csv" in line
    assert "-r" in line
    assert "ADSTREAMS_SQLITE_PATH" in line
    assert table(tmp_path / "store.db") == before
    recovery = make_recovery(tmp_path / "new")  # nor does a new state know them
    assert "day1.csv" in refused(run_flow(recovery=recovery, file=days[1], **settings))
    assert not (recovery / "ad-streams.json").exists()
    assert run_flow(file=days[0], **settings).returncode == 0
    assert table(tmp_path / "store.db") == before
    assert run_flow(file=days[0].parent, **settings).returncode == 0  # both together are one history
    assert query(tmp_path / "store.db", ORDER) == [(2, 1)]


def test_a_second_days_file_is_one_history_with_the_first_ones_state(days: list[Path], tmp_path: Path) -> None:
    """The recovery directory knows the first day, and a copy of it does."""
    recovery, settings = make_recovery(tmp_path / "state"), {"source": "file", "sqlite_path": tmp_path / "store.db"}
    assert run_flow(recovery=recovery, file=days[0], **settings).returncode == 0
    copy = shutil.copytree(recovery, tmp_path / "copy")
    run = run_flow(recovery=copy, file=days[1], **settings)
    assert run.returncode == 0, run.stderr
    assert query(tmp_path / "store.db", ORDER) == [(2, 1)]


def test_a_grown_and_a_renamed_file_are_the_same_log_and_a_changed_one_is_not(days: list[Path], tmp_path: Path) -> None:
    """What counts is what was read: it must be there again."""
    settings = {"source": "file", "sqlite_path": tmp_path / "store.db"}
    assert run_flow(file=days[0], **settings).returncode == 0
    grown = tmp_path / "log.csv"
    grown.write_text(DAY1 + DAY2.removeprefix(HEADER))
    assert run_flow(file=grown, **settings).returncode == 0
    assert query(tmp_path / "store.db", ORDER) == [(2, 1)]
    days[0].write_text(DAY2)
    line = refused(run_flow(file=days[0], **settings))
    assert "day1.csv" in line
    grown.write_text(DAY1)  # less than it was
    assert "log.csv" in refused(run_flow(file=grown, **settings))


def test_no_world_is_mixed_with_another(days: list[Path], tmp_path: Path) -> None:
    """A simulated world takes no log, no other population, and goes on itself, with and without a state."""
    world = {"simulator_events": 50, "simulator_rate": 0, "simulator_users": 20, "sqlite_path": tmp_path / "sim.db"}
    assert run_flow(**world).returncode == 0
    before = table(tmp_path / "sim.db")
    line = refused(run_flow(source="file", file=days[0], sqlite_path=tmp_path / "sim.db"))
    assert "ADSTREAMS_SQLITE_PATH" in line
    assert "simulated" in line
    assert "day1.csv" in line
    for change in ({"simulator_seed": 8}, {"simulator_users": 21}, {"simulator_start": "2018-01-01"}):
        assert next(iter(change)).upper() in refused(run_flow(**world | change))
    assert table(tmp_path / "sim.db") == before
    run = run_flow(recovery=make_recovery(tmp_path / "state"), **world | {"simulator_events": 80})
    assert run.returncode == 0, run.stderr
    assert table(tmp_path / "sim.db")[: len(before)] != []
    assert len(table(tmp_path / "sim.db")) == 80


def test_the_log_takes_no_simulated_events_even_with_its_own_state(days: list[Path], tmp_path: Path) -> None:
    """Nor does a directory that was made for the simulator help."""
    settings = {"sqlite_path": tmp_path / "store.db"}
    assert run_flow(source="file", file=days[0], **settings).returncode == 0
    state = make_recovery(tmp_path / "state")
    line = refused(run_flow(recovery=state, simulator_events=10, simulator_rate=0, **settings))
    assert "ADSTREAMS_SQLITE_PATH" in line


def test_a_start_that_stored_nothing_binds_nobody(days: list[Path], tmp_path: Path) -> None:
    """A file that has no row leaves the store free for another."""
    empty = tmp_path / "empty.csv"
    empty.write_text(HEADER)
    settings = {"source": "file", "sqlite_path": tmp_path / "store.db"}
    assert run_flow(file=empty, **settings).returncode == 0
    assert run_flow(file=days[0], **settings).returncode == 0
    refused(run_flow(file=days[1], **settings))


def test_a_store_of_a_version_before_is_taken_for_what_fills_it_first(days: list[Path], tmp_path: Path) -> None:
    """And says so."""
    settings = {"source": "file", "sqlite_path": tmp_path / "store.db"}
    assert run_flow(file=days[0], **settings).returncode == 0
    query(tmp_path / "store.db", "DROP TABLE provenance")
    run = run_flow(file=days[0], **settings)
    assert run.returncode == 0, run.stderr
    assert "does not record what filled it" in run.stderr
    refused(run_flow(file=days[1], **settings))
