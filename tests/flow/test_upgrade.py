"""What an earlier version left behind is gone on with: recovery directory and SQLite store."""

from __future__ import annotations

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

from tests.flow.running import count, query, run_flow, table

FORMER = Path(__file__).parent / "version_0.1.0.tar.xz"
"""Recovery directory and store of version 0.1.0 (commit e74b553) after 1,500 events of 40 users:
`python -m bytewax.recovery recovery 1`, then the flow with `-r recovery -s 10 -b 0` and ADSTREAMS_SIMULATOR_RATE=0."""
EVENTS = 3_000
SETTINGS = {"simulator_users": 40, "simulator_events": EVENTS, "simulator_rate": 0}
CREDITS = "SELECT * FROM conversion_credit ORDER BY user_id, event_time, event_key"


def rows(store: Path, columns: str) -> list[tuple[object, ...]]:
    """Some columns of `propensity_by_user`, in the order of its key."""
    return query(store, f"SELECT {columns} FROM propensity_by_user ORDER BY user_id, event_time, event_key")


def columns_of(store: Path) -> str:
    """The columns of `propensity_by_user`: those of today may be more than those of version 0.1.0."""
    return ", ".join(str(name) for _, name, *_ in query(store, "PRAGMA table_info(propensity_by_user)"))


def test_a_flow_goes_on_from_what_version_0_1_0_left(tmp_path: Path) -> None:
    """The rows are those of a flow that began anew: state, offsets and rows were all understood."""
    with tarfile.open(FORMER) as former:
        former.extractall(tmp_path, filter="data")
    store, anew = tmp_path / "store.db", tmp_path / "anew.db"
    run = run_flow(recovery=tmp_path / "recovery", sqlite_path=store, **SETTINGS)
    assert run.returncode == 0, run.stderr
    assert "1,500 scored" in run.stderr
    assert run_flow(sqlite_path=anew, **SETTINGS).returncode == 0
    assert count(store) == EVENTS
    assert table(store) == table(anew)
    assert query(store, CREDITS) == query(anew, CREDITS) != []


def test_a_replay_into_the_store_of_version_0_1_0_changes_nothing(tmp_path: Path) -> None:
    with tarfile.open(FORMER) as former:
        former.extractall(tmp_path, filter="data")
    store = tmp_path / "store.db"
    columns = columns_of(store)
    before = rows(store, columns)
    run = run_flow(sqlite_path=store, **SETTINGS | {"simulator_events": 1_500})
    assert run.returncode == 0, run.stderr
    assert "1,500 scored" in run.stderr
    assert rows(store, columns) == before


def test_events_that_version_0_1_0_had_read_are_repeats(tmp_path: Path) -> None:
    """Its state holds hashes of their bodies: none of them is taken for a conflict, whatever columns were added."""
    with tarfile.open(FORMER) as former:
        former.extractall(tmp_path, filter="data")
    store, recovery = tmp_path / "store.db", tmp_path / "recovery"
    columns = columns_of(store)
    before = rows(store, columns)
    with closing(sqlite3.connect(recovery / "part-0.sqlite3")) as state, state:
        assert state.execute("DELETE FROM snaps WHERE step_id = 'ad_streams.source'").rowcount == 1
    run = run_flow(recovery=recovery, sqlite_path=store, **SETTINGS | {"simulator_events": 1_500})
    assert run.returncode == 0, run.stderr
    assert "0 scored (0 late), 1,500 repeats (0 conflicts)" in run.stderr
    assert rows(store, columns) == before
