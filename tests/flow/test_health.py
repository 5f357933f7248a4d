"""What a real flow reports of itself while it runs, is frozen, is stopped, is killed, and has read all."""

from __future__ import annotations

import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from schemas.flow_status import problem_of
from stores.sqlite.reader import SqliteReader
from stores.sqlite.writer import SqliteWriter
from tests.flow.running import PATIENCE, make_recovery, run_flow, running_flow, wait_for
from viz.api import read_health


def problem(store: Path) -> str:
    with closing(SqliteReader(store)) as reader:
        return problem_of(reader.statuses(), time.time_ns() // 1_000_000)


def is_well(store: Path) -> bool:
    return store.exists() and not problem(store)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_flow_that_is_frozen_stopped_or_killed_is_not_well(tmp_path: Path, how: signal.Signals) -> None:
    store, recovery = tmp_path / "store.db", make_recovery(tmp_path / "recovery")
    with running_flow(recovery, sqlite_path=store, simulator_rate=50) as program:

        def saved() -> bool:
            with closing(SqliteReader(store)) as reader:
                return bool(read_health(reader)["last_epoch"])

        wait_for(lambda: is_well(store) and saved(), program)
        with closing(SqliteReader(store)) as reader:
            health = read_health(reader)
        assert health["status"] == "ok"
        assert health["processes"][0]["pid"] == program.pid
        assert health["last_read"] <= health["processes"][0]["beat"]
        program.send_signal(signal.SIGSTOP)
        wait_for(lambda: "it was killed, or it is frozen" in problem(store), program)
        program.send_signal(signal.SIGCONT)
        wait_for(lambda: is_well(store), program)
        program.send_signal(how)
        program.communicate(timeout=PATIENCE)
    expected = "the flow was stopped" if how is signal.SIGTERM else "it was killed"
    wait_for(lambda: expected in problem(store))


def test_a_flow_whose_source_has_ended_is_well(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    assert run_flow(sqlite_path=store, simulator_events=500, simulator_rate=0).returncode == 0
    with closing(SqliteReader(store)) as reader:
        health = read_health(reader)
    assert (health["status"], health["processes"][0]["state"], health["processes"][0]["code"]) == ("ok", "ended", 0)
    assert health["behind_by"] is None


def test_a_store_that_no_flow_has_filled_says_so(tmp_path: Path) -> None:
    SqliteWriter(tmp_path / "store.db").close()
    with closing(SqliteReader(tmp_path / "store.db")) as reader:
        health = read_health(reader)
    assert (health["status"], health["problem"]) == ("not running", "no flow has reported to this store: start it")
