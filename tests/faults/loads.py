"""What flows while things break, and what must have come of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flow.exactness import check_store, check_topics, truth_of
from tests.flow.running import PATIENCE, ROOT, environment, processes, wait_for
from tests.flow.streaming import Stream

USERS, RATE = 300, 200


@contextmanager
def sending(stream: Stream) -> Iterator[None]:
    """Send what the simulator's two producers do, with mishaps, until the block ends."""
    command = [
        sys.executable, "-m", "jobs", "simulate", "--brokers", stream.brokers, "--topics", ",".join(stream.topics),
        "--partitions", "2", "--users", str(USERS), "--events", "1000000", "--rate", str(RATE),
        "--repeats", "0.3", "--late", "0.2", "--broken", "0.01",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL) as program:
        try:
            wait_for(lambda: len(stream.described()) == 2)
            yield
        finally:
            program.terminate()
            program.wait(PATIENCE)


def drain(stream: Stream, recovery: Path, count: int, settings: Mapping[str, object]) -> None:
    """Run the flow until all is read and saved, and end it."""
    with processes(count, recovery, **settings) as programs:
        wait_for(stream.is_read, programs[0])
        programs[-1].send_signal(signal.SIGTERM)
        assert [program.wait(PATIENCE) for program in programs] == [0] * count


def check(stream: Stream, settings: Mapping[str, object], monkeypatch: pytest.MonkeyPatch, least: int) -> None:
    """Fail unless the store and the topics hold what a batch over all that was sent says, and that was enough."""
    truth = truth_of(stream)
    assert len(truth.rows) > least
    check_topics(truth, stream, check_store(truth, settings, monkeypatch))


def wait_for_more(stream: Stream, program: subprocess.Popen[str]) -> None:
    """Wait until more was read and saved, by a program that goes on."""
    before = sum(stream.committed().values())
    wait_for(lambda: sum(stream.committed().values()) > before, program)
