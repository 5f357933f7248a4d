"""The counts in the log: none waits for the next event, and a flow without events still says that it lives."""

from __future__ import annotations

import logging
import re
import threading
from datetime import datetime
from pathlib import Path

import pytest

from steps import progress
from steps.progress import IDLE_INTERVAL, LOG_INTERVAL, Counts, ProgressLog, ProgressSink
from tests.flow.running import PATIENCE, make_recovery, running_flow, wait_for

REST = "(0 late), 0 repeats (0 conflicts), 0 dead letters"


def test_what_was_counted_is_logged_once_and_then_the_silence() -> None:
    lines, now = ProgressLog("", 0.0), 0.0
    said = list[str]()
    for tick in range(30):
        if tick == 1:
            lines.add(Counts(scored=7, bucket="b", users=3))
        now += LOG_INTERVAL
        if line := lines.line(now):
            said.append(line)
    assert said == [
        f"1 events/s, 3 users; in this run: 7 scored {REST}",
        f"idle for 60 s, 3 users; in this run: 7 scored {REST}",
        f"idle for 120 s, 3 users; in this run: 7 scored {REST}",
    ]


def test_a_flow_that_has_had_no_event_says_so_once_a_minute() -> None:
    lines = ProgressLog("worker 2/2: ", 100.0)
    assert lines.line(100.0 + IDLE_INTERVAL - 1) is None
    assert lines.line(100.0 + IDLE_INTERVAL) == f"worker 2/2: idle for 60 s, 0 users; in this run: 0 scored {REST}"


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (Counts(dead=2), "0 scored (0 late), 0 repeats (0 conflicts), 2 dead letters"),
        (Counts(repeats=3, conflicts=1), "0 scored (0 late), 3 repeats (1 conflicts), 0 dead letters"),
        (Counts(expired=4), "0 dead letters, 4 expired"),
        (Counts(erased=5), "0 dead letters, 5 erased"),
    ],
)
def test_events_that_are_not_scored_are_news_too(counts: Counts, said: str) -> None:
    lines = ProgressLog("", 0.0)
    lines.add(counts)
    assert (lines.line(LOG_INTERVAL) or "").endswith(said)
    assert lines.last_lines(LOG_INTERVAL)[0].startswith("in all, ")


def test_a_pause_keeps_nothing_back(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The last batch before a pause is logged though no other follows; nothing is after the end."""
    monkeypatch.setattr(progress, "LOG_INTERVAL", 0.01)
    caplog.set_level(logging.INFO, "adstreams")
    partition = ProgressSink().build("progress", 0, 1)
    partition.write_batch([Counts(scored=1, bucket="b", users=1)])
    partition.write_batch([Counts(scored=1, bucket="b", users=2)])
    wait_for(lambda: " 2 scored " in caplog.text)
    partition.close()
    assert caplog.messages[-1].startswith("in all, ")
    wait_for(lambda: not any(each.name == "progress" for each in threading.enumerate()))


def test_counts_of_a_stream_that_pauses_are_in_the_log_with_its_date(tmp_path: Path) -> None:
    """Of a real flow that has an event every ten seconds."""
    recovery = make_recovery(tmp_path / "recovery")
    with running_flow(recovery, sqlite_path=tmp_path / "store.db", simulator_rate=0.1) as program:
        assert program.stderr is not None
        line = next(line for line in iter(program.stderr.readline, "") if re.search(r"[1-9][\d,]* scored", line))
        program.terminate()
        program.communicate(timeout=PATIENCE)
    assert "; in this run: " in line
    assert re.search(r"[1-9]\d* scored", line)
    moment = datetime.strptime(line.split()[0], "%Y-%m-%dT%H:%M:%S%z")
    assert abs((datetime.now(moment.tzinfo) - moment).total_seconds()) < PATIENCE
