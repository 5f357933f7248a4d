"""Processes that are killed at any moment, and flows that go on with another number of them."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Amount
from tests.faults.loads import check, drain, sending, wait_for_more
from tests.flow.running import PATIENCE, make_recovery, processes, wait_for
from tests.flow.streaming import Stream


def test_kills_at_any_moment(
    stream: Stream,
    settings: dict[str, object],
    amount: Amount,
    chance: random.Random,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guarantee: kill -9 at any moment, while it starts, resumes, reads, writes or saves: each event has one effect."""
    recovery = make_recovery(tmp_path / "recovery")
    with sending(stream):
        began = time.monotonic()
        with processes(1, recovery, **settings) as (program,):
            wait_for_more(stream, program)
            program.kill()
        saved = time.monotonic() - began  # what a start, reading and two epochs take on this machine
        for _ in range(amount.kills):
            with processes(1, recovery, **settings) as (program,):
                with pytest.raises(subprocess.TimeoutExpired):
                    program.wait(chance.uniform(0, 1.5 * saved))
                program.kill()
    drain(stream, recovery, 1, settings)
    check(stream, settings, monkeypatch, least=1_000)


def test_other_numbers_of_processes_with_a_kill_while_they_resume(
    stream: Stream,
    settings: dict[str, object],
    chance: random.Random,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guarantee: 1, 4, 2 and 3 processes, one after the other on one recovery directory, are as one run of one."""
    recovery = make_recovery(tmp_path / "recovery")
    with sending(stream):
        for count in (1, 4, 2, 3):
            with processes(count, recovery, **settings) as programs:
                time.sleep(chance.uniform(0, 3.0))  # the moment of the kill: nothing is waited for
                chance.choice(programs).kill()
            before = sum(stream.committed().values())
            with processes(count, recovery, **settings) as programs:
                wait_for(lambda before=before: sum(stream.committed().values()) > before, programs[0])
                chance.choice(programs).send_signal(signal.SIGTERM)
                assert [program.wait(PATIENCE) for program in programs] == [0] * count
    drain(stream, recovery, 1, settings)
    check(stream, settings, monkeypatch, least=1_000)
