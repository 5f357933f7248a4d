"""A clock that somebody sets while events flow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from settings import RESTART
from tests.faults.loads import check, drain, sending
from tests.flow.running import PATIENCE, make_recovery, processes, wait_for
from tests.flow.streaming import Stream


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


def test_a_clock_that_is_set_by_an_hour(
    stream: Stream, settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guarantee: an hour forth or back on one of two processes, or wrong from the start, changes no row."""
    recovery, clock = make_recovery(tmp_path / "recovery"), tmp_path / "clock"
    last = false_clock(clock)

    def set_to(offset: str) -> None:
        clock.with_suffix(".new").write_text(offset)
        clock.with_suffix(".new").replace(clock)

    def wait_for_more() -> None:
        before = sum(stream.committed().values())
        wait_for(lambda: sum(stream.committed().values()) > before)

    set_to("+0")
    with sending(stream):
        with processes(2, recovery, last, **settings) as programs:
            wait_for_more()
            set_to("+1h")
            wait_for_more()
            set_to("+0")  # an hour back, while sources wait
            assert programs[1].wait(PATIENCE) == RESTART
            programs[0].wait(PATIENCE)
            assert "the clock was set back by 3" in programs[1].communicate()[1]
        set_to("-1h")
        with processes(2, recovery, last, **settings) as programs:
            wait_for_more()
    drain(stream, recovery, 1, settings)
    check(stream, settings, monkeypatch, least=500)
