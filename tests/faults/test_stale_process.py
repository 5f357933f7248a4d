"""A process that goes on from an old copy of the recovery directory, as on a host that was taken for dead."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from schemas.event_types import TYPES
from schemas.events import Event
from tests.faults.loads import check, drain
from tests.faults.proxy import Proxy
from tests.flow.running import PATIENCE, make_recovery, processes, wait_for
from tests.flow.streaming import Stream
from tests.services.cassandra import Cassandra

TIME = 1_500_000_000_000
USERS = 40


def events(name: str, first: int, count: int) -> list[Event]:
    """A minute after each other, of one user after the other."""
    return [
        Event(f"{name}{n}", f"u{n % USERS}", TIME + (first + n) * 60_000, TYPES[n % 4], campaign=f"c{n % 3}")
        for n in range(count)
    ]


def test_a_stale_process_on_another_host(
    stream: Stream, settings: dict[str, object], cassandra: Cassandra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guarantee: what it had under way and writes when all is done changes no row; nor does all that it does then."""
    stream.make()
    ours, theirs = make_recovery(tmp_path / "ours"), tmp_path / "theirs"
    stream.send(*events("a", 0, 400))
    drain(stream, ours, 1, settings)
    shutil.copytree(ours, theirs)
    stream.send(*events("b", 1_000, 400))
    group = f"{stream.name}-stale"
    with Proxy(cassandra.port).running() as proxy:
        stale = settings | {"cassandra_port": proxy.port, "kafka_config": json.dumps({"group.id": group})}
        with processes(1, theirs, **stale) as (program,):
            wait_for(lambda: stream.is_read(group), program)
            proxy.hold()
            stream.send(*events("c", 2_000, 400))
            wait_for(lambda: proxy.held > 1_000, program)
            program.send_signal(signal.SIGSTOP)
            os.waitpid(program.pid, os.WUNTRACED)

            stream.send(*events("late", 500, 400), *events("d", 3_000, 400))
            drain(stream, ours, 1, settings)
            check(stream, settings, monkeypatch, least=1_900)

            answered = proxy.answered
            proxy.release()
            wait_for(lambda: proxy.answered > answered)
            check(stream, settings, monkeypatch, least=1_900)

            program.send_signal(signal.SIGCONT)
            wait_for(lambda: stream.is_read(group), program)
            program.terminate()
            assert program.wait(PATIENCE) == 0
    check(stream, settings, monkeypatch, least=1_900)
