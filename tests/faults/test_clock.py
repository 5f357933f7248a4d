"""A clock that somebody sets while events flow."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from settings import RESTART
from tests.flow.running import PATIENCE, count, make_recovery, processes, table, uninterrupted_table, wait_for


def false_clock(file: Path) -> dict[str, str]:
    """The environment of a process whose clock is off by what a file says; skips without libfaketime, never in CI."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        assert os.environ.get("CI") != "true", "libfaketime must be there in CI"
        pytest.skip("CLOCKS WERE NOT SET: no libfaketime (apt-get install faketime)")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def test_a_clock_that_is_set_by_an_hour(tmp_path: Path) -> None:
    """Guarantee: an hour forth or back on one of two processes, or wrong from the start, changes no row.

    Into the embedded store: with Kafka and Cassandra the process stood still under libfaketime, why was not found.
    """
    recovery, clock, store = make_recovery(tmp_path / "recovery"), tmp_path / "clock", tmp_path / "store.db"
    last, events = false_clock(clock), 40_000
    settings = {"sqlite_path": store, "simulator_users": 300, "simulator_rate": 400, "simulator_events": events}

    def set_to(offset: str) -> None:
        clock.with_suffix(".new").write_text(offset)
        clock.with_suffix(".new").replace(clock)

    def wait_for_more(program: subprocess.Popen[str]) -> None:
        """Some seconds of the stream: libfaketime looks at its file once a second."""
        before = count(store)
        wait_for(lambda: count(store) > before + 1_500, program)

    set_to("+0")
    with processes(2, recovery, last, **settings) as programs:
        wait_for_more(programs[1])
        set_to("+1h")
        wait_for_more(programs[1])
        set_to("+0")  # an hour back, while sources wait
        assert programs[1].wait(PATIENCE) == RESTART
        programs[0].wait(PATIENCE)
        assert "the clock was set back by 3" in programs[1].communicate()[1]
    set_to("-1h")
    with processes(2, recovery, last, **settings | {"simulator_rate": 0}) as programs:
        assert [program.wait(PATIENCE) for program in programs] == [0, 0]
    assert table(store) == uninterrupted_table(tmp_path / "other.db", events)
