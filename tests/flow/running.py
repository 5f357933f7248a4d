"""Running the real dataflow in processes of its own, and reading what it wrote."""

from __future__ import annotations

import gzip
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.ports import free_port

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT.parent / "shared" / "data"
PATIENCE = 600
"""Seconds after which a condition that should come true counts as a failure, on any machine."""


def data_file(name: str) -> Path:
    """A log of somebody else's; skips where there is none, but never in CI."""
    path = DATA / name
    if not path.exists():
        assert os.environ.get("CI") != "true", f"{path} must be there in CI"
        pytest.skip(f"no {path}")
    return path


def environment(**settings: object) -> dict[str, str]:
    """This environment with only the given settings, named without their prefix."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ADSTREAMS_")}
    kept["ADSTREAMS_ACTIONS"] = str(ROOT / "model" / "actions.json")  # named: as default it is for simulated events
    return kept | {f"ADSTREAMS_{name.upper()}": str(value) for name, value in settings.items()}


def command(processes: int = 1, recovery: Path | None = None) -> list[str]:
    """The command line of the dataflow, as the README gives it."""
    flags = [] if recovery is None else ["-r", str(recovery), "-s", "1", "-b", "0"]
    if processes == 1:
        return [sys.executable, "-m", "bytewax.run", "dataflow", *flags]
    return [sys.executable, "-m", "bytewax.testing", "-p", str(processes), "dataflow", *flags]


def run_flow(processes: int = 1, recovery: Path | None = None, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run the dataflow to its end."""
    return subprocess.run(
        command(processes, recovery),
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def uninterrupted_table(store: Path, events: int) -> list[tuple[object, ...]]:
    """What a flow writes of so many simulated events of 300 users when nothing happens to it."""
    run = run_flow(sqlite_path=store, simulator_events=events, simulator_rate=0, simulator_users=300)
    assert run.returncode == 0, run.stderr
    return table(store)


def make_recovery(path: Path) -> Path:
    """A new recovery directory."""
    path.mkdir()
    subprocess.run([sys.executable, "-m", "bytewax.recovery", str(path), "2"], check=True)
    return path


@contextmanager
def running_flow(recovery: Path, **settings: object) -> Iterator[subprocess.Popen[str]]:
    """The dataflow while it runs; it is killed if the test does not end it."""
    with processes(1, recovery, None, **settings) as (program,):
        yield program


@contextmanager
def processes(
    count: int, recovery: Path, last: Mapping[str, str] | None = None, **settings: object
) -> Iterator[list[subprocess.Popen[str]]]:
    """One flow in so many processes, the last with more in its environment; what is left of them is killed."""
    addresses = ";".join(f"127.0.0.1:{free_port()}" for _ in range(count))
    programs = [
        subprocess.Popen(
            command(1, recovery) + (["-i", str(number), "-a", addresses] if count > 1 else []),
            cwd=ROOT,
            env=environment(**settings) | (dict(last or {}) if number == count - 1 else {}),
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    try:
        yield programs
    finally:
        for program in programs:
            if program.poll() is None:
                program.kill()
        for program in programs:
            if program.stderr is not None and not program.stderr.closed:
                program.communicate()


def wait_for(condition: Callable[[], bool], program: subprocess.Popen[str] | None = None) -> None:
    """Wait until a condition holds; one that takes long to look at is looked at less often."""
    deadline = time.monotonic() + PATIENCE
    while True:
        began = time.monotonic()
        if condition():
            return
        now = time.monotonic()
        assert now < deadline, "the condition did not come true"
        assert program is None or program.poll() is None, _end_of(program)
        time.sleep(max(0.02, 3 * (now - began)))


def _end_of(program: subprocess.Popen[str]) -> str:
    """What a program said at last that ended too early."""
    _, errors = program.communicate()
    return f"the program ended with {program.returncode} before the condition came true: {(errors or '')[-1_000:]}"


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Rows of the embedded store; none while it is not there."""
    if not path.exists():
        return []
    connection = sqlite3.connect(path, timeout=PATIENCE)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def count(path: Path) -> int:
    """Rows of `propensity_by_user`, 0 while there is no such table."""
    if not query(path, "SELECT 1 FROM sqlite_master WHERE name = 'propensity_by_user'"):
        return 0
    ((number,),) = query(path, "SELECT count(*) FROM propensity_by_user")
    return int(str(number))


def table(path: Path) -> list[tuple[object, ...]]:
    """All of `propensity_by_user`, in the order of its key."""
    return query(path, "SELECT * FROM propensity_by_user ORDER BY user_id, event_time, event_key")


def read_text(path: Path) -> str:
    """A compressed text file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return file.read()
