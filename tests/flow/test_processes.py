"""Several processes, crashes among them, and another number of processes afterwards: the rows are the same."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.flow.running import (
    PATIENCE,
    count,
    make_recovery,
    processes,
    run_flow,
    table,
    uninterrupted_table,
    wait_for,
)

EVENTS = 40_000


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    return uninterrupted_table(tmp_path_factory.mktemp("uninterrupted") / "store.db", EVENTS)


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_loses_and_doubles_nothing(
    killed: int, uninterrupted: list[tuple[object, ...]], tmp_path: Path
) -> None:
    """Kill -9 of one of two, which ends the other too; one process goes on from what both had saved."""
    store, recovery = tmp_path / "store.db", make_recovery(tmp_path / "recovery")
    settings = {"sqlite_path": store, "simulator_users": 300}
    with processes(2, recovery, simulator_rate=4_000, **settings) as programs:
        wait_for(lambda: count(store) > 6_000, programs[killed])
        programs[killed].kill()
        programs[1 - killed].wait(PATIENCE)
    assert count(store) < EVENTS
    run = run_flow(recovery=recovery, simulator_rate=0, simulator_events=EVENTS, **settings)
    assert run.returncode == 0, run.stderr
    assert table(store) == uninterrupted


@pytest.mark.parametrize("asked", [(0, 1), (0,), (1,)], ids=["both", "first", "second"])
def test_a_signal_to_any_process_drains_all(
    asked: tuple[int, ...], uninterrupted: list[tuple[object, ...]], tmp_path: Path
) -> None:
    """All exit with 0; the next run, of one process, reads no event again."""
    store, recovery = tmp_path / "store.db", make_recovery(tmp_path / "recovery")
    settings = {"sqlite_path": store, "simulator_users": 300}
    with processes(2, recovery, simulator_rate=4_000, **settings) as programs:
        wait_for(lambda: count(store) > 6_000, programs[0])
        for number in asked:
            programs[number].send_signal(signal.SIGTERM)
        assert [program.wait(PATIENCE) for program in programs] == [0, 0]
    before = count(store)
    run = run_flow(recovery=recovery, simulator_rate=0, simulator_events=EVENTS, **settings)
    assert f"{EVENTS - before:,} scored" in run.stderr
    assert " 0 repeats" in run.stderr
    assert table(store) == uninterrupted
