"""`python -m jobs supervise`: a flow in several processes that is started again as a whole when it loses one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flow.running import (
    PATIENCE,
    ROOT,
    count,
    environment,
    make_recovery,
    run_flow,
    table,
    uninterrupted_table,
    wait_for,
)

EVENTS, SOME = 40_000, 6_000


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    return uninterrupted_table(tmp_path_factory.mktemp("uninterrupted") / "store.db", EVENTS)


@contextmanager
def supervised(folder: Path, **settings: object) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Three processes under supervision, and the file to which they and it write what they say."""
    told = folder / "told"
    command = [sys.executable, "-m", "jobs", "supervise", "--processes", "3", "--recovery", str(folder / "recovery")]
    with told.open("w") as file:
        program = subprocess.Popen(command, cwd=ROOT, env=environment(**settings), stderr=file, text=True)
    try:
        yield program, told
    finally:
        if program.poll() is None:
            program.terminate()
        program.wait(PATIENCE)


def started(told: Path) -> list[list[int]]:
    """The process ids of each start so far."""
    return [[int(pid) for pid in line.split(", ")] for line in re.findall("started as (.*)\n", told.read_text())]


@pytest.mark.parametrize(("how", "word"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSTOP, "does not respond")])
def test_a_lost_process_loses_and_doubles_nothing(
    how: signal.Signals, word: str, uninterrupted: list[tuple[object, ...]], tmp_path: Path
) -> None:
    """Guarantee: one of three that is killed or stands still, and all go on from the last epoch, without a hand."""
    store = tmp_path / "store.db"
    settings = {"simulator_events": EVENTS, "simulator_rate": 3_000, "simulator_users": 300}
    with supervised(tmp_path, sqlite_path=store, **settings) as (program, told):
        wait_for(lambda: count(store) > SOME, program)
        first = started(told)[0]
        assert len(first) == 3
        os.kill(first[1], how)
        wait_for(lambda: len(started(told)) == 2, program)
        assert word in told.read_text()
        assert not any(Path(f"/proc/{pid}").exists() for pid in first)
        assert program.wait(PATIENCE) == 0, told.read_text()
    assert len(started(told)) == 2, told.read_text()
    assert table(store) == uninterrupted


def test_a_signal_drains_all(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with supervised(tmp_path, sqlite_path=store, simulator_rate=1_000) as (program, told):
        wait_for(lambda: count(store) > 0, program)
        program.terminate()
        assert program.wait(PATIENCE) == 0, told.read_text()
    assert not any(Path(f"/proc/{pid}").exists() for pid in started(told)[0])
    assert told.read_text().count("in all, ") == 3
    assert "Traceback" not in told.read_text()


def test_a_wrong_setting_is_told_and_not_tried_again(tmp_path: Path) -> None:
    with supervised(tmp_path, simulator_rate=-1) as (program, told):
        assert program.wait(PATIENCE) == 2
    assert told.read_text().count("\n") == 1
    assert "ADSTREAMS_SIMULATOR_RATE" in told.read_text()


def test_a_flow_that_its_directory_refuses_is_not_tried_again(tmp_path: Path) -> None:
    """The flow itself says so, and exits with 2."""
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    assert run_flow(recovery=recovery, sqlite_path=store, simulator_events=10, simulator_rate=0).returncode == 0
    with supervised(tmp_path, sqlite_path=store, simulator_events=10, buckets=7) as (program, told):
        assert program.wait(PATIENCE) == 2, told.read_text()
    assert "ADSTREAMS_BUCKETS: recovery directory" in told.read_text()
    assert len(started(told)) == 1
