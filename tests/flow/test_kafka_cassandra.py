"""The system as it runs in production: topics in; a table, a changelog and dead letters out, exactly."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from schemas.events import Event
from tests.flow.exactness import MODEL, check_store, check_topics, counted, truth_of
from tests.flow.running import PATIENCE, make_recovery, processes, wait_for
from tests.flow.streaming import Stream
from tests.jobs.running import jobs
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka

EVENTS, USERS = 5_000, 300


def fill(stream: Stream) -> int:
    """Send what the two producers of the simulator send, with mishaps; how many messages that were."""
    run = jobs(
        "simulate", "--brokers", stream.brokers, "--topics", ",".join(stream.topics), "--partitions", 2,
        "--users", USERS, "--events", EVENTS, "--rate", 0, "--repeats", 0.2, "--late", 0.2, "--broken", 0.01,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return sum(stream.ends().values())


@pytest.mark.parametrize(("count", "crash"), [(1, False), (2, False), (2, True)], ids=["one", "two", "killed"])
def test_rows_are_those_of_a_batch_over_the_same_events(
    count: int,
    crash: bool,
    kafka: Kafka,
    cassandra: Cassandra,
    keyspace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """20% repeats, 20% late and 1% broken messages: scored + repeats + dead = sent, and every row as it must be.

    Also after a kill -9 of one of two processes on the way.
    """
    stream = Stream(kafka.brokers)
    sent = fill(stream)
    settings = stream.settings | {
        "store": "cassandra", "cassandra_hosts": cassandra.host, "cassandra_port": cassandra.port,
        "cassandra_keyspace": keyspace, "model": MODEL,
    }  # fmt: skip
    recovery = make_recovery(tmp_path / "recovery")
    if crash:
        with processes(count, recovery, **settings) as programs:
            wait_for(lambda: sum(stream.committed().values()) > 0, programs[0])
            programs[1].kill()
            programs[0].wait(PATIENCE)
        stream.send(Event("after", "user-0000001", 1_500_000_000_000, "CL"))  # the next run has something to read
    with processes(count, recovery, **settings) as programs:
        wait_for(stream.is_read, programs[0])
        for program in programs:
            program.send_signal(signal.SIGTERM)
        errors = [program.communicate(timeout=PATIENCE)[1] for program in programs]
        assert [program.returncode for program in programs] == [0] * count, errors
    truth, total = truth_of(stream), counted(errors)
    assert len(truth.rows) >= EVENTS * 0.9
    assert len(truth.broken) > EVENTS * 0.005
    if not crash:  # what a killed process had counted is not known
        assert total["scored"] + total["repeats"] + total["dead"] == sent
        assert (total["scored"], total["dead"]) == (len(truth.rows), len(truth.broken))
        assert total["repeats"] > EVENTS * 0.1
        assert total["late"] > 0  # behind a later event of the same user
    check_topics(truth, stream, check_store(truth, settings, monkeypatch))
