"""Stopping, crashing and going on: the rows are those of a run that nobody interrupted."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from settings import RECOVERY_NOTE
from tests.flow.running import (
    PATIENCE,
    count,
    make_recovery,
    query,
    run_flow,
    running_flow,
    table,
    uninterrupted_table,
    wait_for,
)

EVENTS = 60_000


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    rows = uninterrupted_table(tmp_path_factory.mktemp("uninterrupted") / "store.db", EVENTS)
    assert len(rows) == EVENTS
    return rows


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_goes_on_where_it_was(
    how: signal.Signals, uninterrupted: list[tuple[object, ...]], tmp_path: Path
) -> None:
    """SIGTERM and Ctrl-C drain, save and exit 0, and nothing is read twice; after kill -9 no row is lost or doubled."""
    store, recovery = tmp_path / "store.db", make_recovery(tmp_path / "recovery")
    settings = {"sqlite_path": store, "simulator_users": 300}
    with running_flow(recovery, simulator_rate=5_000, **settings) as program:
        wait_for(lambda: count(store) > 8_000, program)
        program.send_signal(how)
        _, errors = program.communicate()
    assert program.returncode == (0 if how != signal.SIGKILL else -signal.SIGKILL), errors
    before = count(store)
    assert before < EVENTS
    run = run_flow(recovery=recovery, simulator_rate=0, simulator_events=EVENTS, **settings)
    assert run.returncode == 0, run.stderr
    assert table(store) == uninterrupted
    if how != signal.SIGKILL:
        assert "Traceback" not in errors
        assert f"{EVENTS - before:,} scored" in run.stderr
        assert " 0 repeats" in run.stderr


def test_a_store_that_fails_in_mid_run_is_told_in_the_last_line(tmp_path: Path) -> None:
    """Bytewax prints pages at an error in a step; the end of them is one plain line. Nothing of the epoch is lost."""
    store, recovery = tmp_path / "store.db", make_recovery(tmp_path / "recovery")
    settings = {"sqlite_path": store, "simulator_users": 300}
    with running_flow(recovery, simulator_rate=2_000, **settings) as program:
        wait_for(lambda: count(store) > 2_000, program)
        query(store, "ALTER TABLE latest_propensity RENAME TO gone")
        _, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 1
    last = errors.splitlines()[-1]
    assert last.startswith(f"ad-streams: SQLite file {store}: ")
    assert "latest_propensity" in last
    query(store, "ALTER TABLE gone RENAME TO latest_propensity")
    run = run_flow(recovery=recovery, simulator_rate=0, simulator_events=20_000, **settings)
    assert run.returncode == 0, run.stderr
    assert count(store) == 20_000


def test_a_file_is_read_on_where_it_was(tmp_path: Path) -> None:
    """A run that was stopped in the middle of a file does not start it again."""
    file = tmp_path / "log.csv"
    lines = [f"e{n},u{n % 50},{1_500_000_000_000 + n},IM\n" for n in range(400_000)]
    file.write_text("event_id,user_id,timestamp,type\n" + "".join(lines))
    store, recovery = tmp_path / "store.db", make_recovery(tmp_path / "recovery")
    settings = {"source": "file", "file": file, "sqlite_path": store}
    with running_flow(recovery, **settings) as program:
        wait_for(lambda: count(store) > 0, program)
        program.send_signal(signal.SIGTERM)
        program.communicate()
    assert program.returncode == 0
    before = count(store)
    assert 0 < before < len(lines)
    run = run_flow(recovery=recovery, **settings)
    assert f"{len(lines) - before:,} scored" in run.stderr
    assert count(store) == len(lines)


@pytest.mark.parametrize("change", [{"buckets": 8}, {"sequence_length": 10}, {"simulator_seed": 8}])
def test_a_recovery_directory_keeps_what_its_state_depends_on(change: dict[str, int], tmp_path: Path) -> None:
    """Other buckets, another sequence length or another world are refused in one line; the same ones go on."""
    recovery = make_recovery(tmp_path / "recovery")
    settings = {"sqlite_path": tmp_path / "store.db", "simulator_events": 100, "simulator_rate": 0}
    assert run_flow(recovery=recovery, **settings).returncode == 0
    run = run_flow(recovery=recovery, **settings, **change)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert f"ADSTREAMS_{next(iter(change)).upper()}" in line
    assert str(recovery) in line
    assert run_flow(recovery=recovery, **settings).returncode == 0


def test_another_file_is_read_from_its_start(tmp_path: Path) -> None:
    """A recovery directory knows how far each log was read, and keeps the sequences of both."""
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    for name in ("a", "b"):
        lines = [f"{name}{number},u,{1_500_000_000_000 + number},IM\n" for number in range(10)]
        (tmp_path / f"{name}.csv").write_text("event_id,user_id,timestamp,type\n" + "".join(lines))
        run = run_flow(recovery=recovery, source="file", file=tmp_path / f"{name}.csv", sqlite_path=store)
        assert "10 scored" in run.stderr, run.stderr
    assert query(store, "SELECT max(seen) FROM propensity_by_user") == [(20,)]


def test_another_file_of_the_same_name_is_read_from_its_start(tmp_path: Path) -> None:
    """But one that only grew goes on where it was."""
    recovery, file = make_recovery(tmp_path / "recovery"), tmp_path / "log.csv"
    settings = {"source": "file", "file": file, "sqlite_path": tmp_path / "store.db"}
    header, time = "event_id,user_id,timestamp,type\n", 1_500_000_000_000
    file.write_text(header + f"a,u,{time},IM\n")
    assert "1 scored" in run_flow(recovery=recovery, **settings).stderr
    with file.open("a") as more:
        more.write(f"b,u,{time + 1},IM\n")
    run = run_flow(recovery=recovery, **settings)
    assert "1 scored (0 late), 0 repeats" in run.stderr
    file.write_text(header + f"c,u,{time + 2},IM\nd,u,{time + 3},IM\n")
    run = run_flow(recovery=recovery, **settings)
    assert "2 scored" in run.stderr
    assert "another file than before" in run.stderr


def test_a_recovery_directory_belongs_to_one_running_flow(tmp_path: Path) -> None:
    """A second flow is refused with the pid of the first; after its death, however sudden, the directory is free."""
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    with running_flow(recovery, sqlite_path=store) as program:
        wait_for(lambda: count(store) > 0, program)
        run = run_flow(recovery=recovery, sqlite_path=tmp_path / "other.db")
        assert run.returncode == 2
        (line,) = run.stderr.splitlines()
        assert line.endswith(f"in use by process {program.pid}")
        program.kill()
    run = run_flow(recovery=recovery, sqlite_path=store, simulator_rate=0, simulator_events=5_000)
    assert run.returncode == 0, run.stderr
    assert count(store) == 5_000


def test_a_sqlite_file_belongs_to_one_running_flow(tmp_path: Path) -> None:
    """A second flow is refused with the pid of the first, by whatever name it calls the file; not after its death."""
    store, link, other = tmp_path / "store.db", tmp_path / "link.db", make_recovery(tmp_path / "other")
    with running_flow(make_recovery(tmp_path / "recovery"), sqlite_path=store) as program:
        wait_for(lambda: count(store) > 0, program)
        link.symlink_to(store)
        run = run_flow(recovery=other, sqlite_path=link, simulator_events=10, simulator_rate=0)
        assert run.returncode == 2
        assert run.stderr == f"ad-streams: ADSTREAMS_SQLITE_PATH: {link}: in use by process {program.pid}\n"
        assert not (other / RECOVERY_NOTE).exists()  # it is as free for another file as before
        assert program.poll() is None
        program.kill()
        program.wait(PATIENCE)
    run = run_flow(sqlite_path=link, simulator_events=10, simulator_rate=0)
    assert run.returncode == 0, run.stderr


def test_another_source_than_a_recovery_directory_was_made_with_is_refused(tmp_path: Path) -> None:
    """Bytewax cannot resume from it: one line instead of its pages."""
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    run_flow(recovery=recovery, sqlite_path=store, simulator_events=100, simulator_rate=0)
    (tmp_path / "log.csv").write_text("event_id,user_id,timestamp,type\na,u,1,IM\n")
    run = run_flow(recovery=recovery, sqlite_path=store, source="file", file=tmp_path / "log.csv")
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert "ADSTREAMS_SOURCE" in line


def test_a_store_that_was_made_anew_does_not_go_with_old_state(tmp_path: Path) -> None:
    """Its curves would begin in the middle: refused in one line."""
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    settings = {"sqlite_path": store, "simulator_events": 100, "simulator_rate": 0}
    assert run_flow(recovery=recovery, **settings).returncode == 0
    store.unlink()
    run = run_flow(recovery=recovery, **settings)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert line.startswith("ad-streams: store: ")
    assert str(recovery) in line


def test_a_store_file_that_vanishes_ends_the_run(tmp_path: Path) -> None:
    """Rows must not go on into a file that nobody can open any more."""
    store, recovery = tmp_path / "store.db", make_recovery(tmp_path / "recovery")
    with running_flow(recovery, sqlite_path=store, simulator_rate=2_000) as program:
        wait_for(lambda: count(store) > 0, program)
        store.unlink()
        _, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 1
    assert errors.splitlines()[-1].endswith("removed or replaced while it was written")


def test_a_stopped_run_leaves_its_rows_in_the_file(tmp_path: Path) -> None:
    """Not beside it: a copy of the one file has all."""
    run = run_flow(sqlite_path=tmp_path / "store.db", simulator_events=3_000, simulator_rate=0)
    assert run.returncode == 0
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"store.db", "store.db-flow"}  # the lock, which holds a process id


def test_a_directory_that_is_not_a_recovery_directory_is_told_in_one_line(tmp_path: Path) -> None:
    """With the command that makes one."""
    run = run_flow(recovery=tmp_path, sqlite_path=tmp_path / "store.db")
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert "python -m bytewax.recovery" in line
