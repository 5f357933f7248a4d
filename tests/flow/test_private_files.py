"""Whose files the program makes: the store, its locks and the recovery directory are their user's alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jobs.run import prepare_recovery
from stores.sqlite.database import connect
from tests.flow.running import make_recovery, run_flow, running_flow, wait_for


@pytest.fixture(autouse=True)
def usual_mask() -> Iterator[None]:
    """What most machines have: others may read what is made."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_store_is_its_users_alone(tmp_path: Path) -> None:
    """And what SQLite keeps beside it."""
    with closing(connect(tmp_path / "store.db")) as connection:
        connection.execute("INSERT INTO provenance VALUES ('')")
        assert {path.name: mode(path) for path in tmp_path.iterdir()} == {
            "store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600,
        }  # fmt: skip


def test_a_store_that_somebody_opened_to_others_stays_as_it_is(tmp_path: Path) -> None:
    """A page of another user may read it; that everybody may is told."""
    store = tmp_path / "store.db"
    settings = {"sqlite_path": store, "simulator_events": 1, "simulator_rate": 0}
    assert "may read it" not in run_flow(**settings).stderr
    store.chmod(0o644)
    assert f"{store}: everybody on this machine may read it" in run_flow(**settings).stderr
    assert mode(store) == 0o644
    store.chmod(0o640)
    assert "may read it" not in run_flow(**settings).stderr


def test_a_flow_closes_its_recovery_directory_to_others(tmp_path: Path) -> None:
    """Also one that was made by hand, and the files that come while it runs."""
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    assert mode(recovery) == 0o755
    with running_flow(recovery, sqlite_path=store, simulator_rate=500) as program:
        wait_for(lambda: store.exists() and store.stat().st_size > 100_000, program)
        held = {path: mode(path) for folder in (recovery, tmp_path) for path in folder.iterdir() if path.is_file()}
    assert mode(recovery) == 0o700
    assert recovery / "ad-streams.lock" in held
    assert {path.name for path, bits in held.items() if bits != 0o600} == set()


def test_a_directory_that_is_made_for_the_flow_is_closed_at_once(tmp_path: Path) -> None:
    recovery = tmp_path / "recovery"
    prepare_recovery(recovery)
    assert {mode(path) for path in recovery.iterdir()} == {0o600}
    assert mode(recovery) == 0o700
