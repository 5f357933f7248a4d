"""The system as it runs in production: topics in; a table, a changelog and dead letters out, exactly."""

from __future__ import annotations

import re
import signal
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import codec
from schemas.dead_letters import DeadLetter
from schemas.events import TYPES, Event
from schemas.messages import MessageBatch
from schemas.propensity_codec import PropensityCodec
from settings import load_settings
from stores.choosing import reader_of
from tests.flow.running import PATIENCE, ROOT, make_recovery, processes, wait_for
from tests.flow.streaming import Stream
from tests.jobs.running import jobs
from tests.reference import event_key, final_rows, load
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka
from topics.dead_letters import read_dead_letters
from topics.reading import read_topic

EVENTS, USERS = 5_000, 300
MODEL = ROOT / "model" / "decay.json"


def fill(stream: Stream) -> int:
    """Send what the two producers of the simulator send, with mishaps; how many messages that were."""
    run = jobs(
        "simulate", "--brokers", stream.brokers, "--topics", ",".join(stream.topics), "--partitions", 2,
        "--users", USERS, "--events", EVENTS, "--rate", 0, "--repeats", 0.2, "--late", 0.2, "--broken", 0.01,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return sum(stream.ends().values())


def what_was_sent(stream: Stream) -> tuple[list[dict[str, Any]], list[DeadLetter]]:
    """All valid events in the topics, repeats too, and a dead letter for each message that is none."""
    events, letters = list[Event](), list[DeadLetter]()
    for topic in stream.topics:
        for messages in read_topic(stream.kafka, topic):
            for message in messages:
                number, offset, value = message.partition, message.offset, message.value
                decoded = codec().decode(MessageBatch.of(topic, number, offset, [value or b""]))
                events += decoded.events.events()
                letters += decoded.letters
    return [asdict(event) for event in events], letters


def counted(errors: list[str]) -> Counter[str]:
    """What all processes of a run say that they did in all."""
    total: Counter[str] = Counter()
    for text in errors:
        (line,) = re.findall(r"in all, .*", text)
        for number, word in re.findall(r"([\d,]+) (scored|late|repeats|conflicts|dead)", line):
            total[word] += int(number.replace(",", ""))
    return total


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
    events, broken = what_was_sent(stream)
    expected, total = final_rows(events, load(MODEL)), counted(errors)
    assert len(expected) >= EVENTS * 0.9
    assert len(broken) > EVENTS * 0.005
    if not crash:  # what a killed process had counted is not known
        assert total["scored"] + total["repeats"] + total["dead"] == sent
        assert (total["scored"], total["dead"]) == (len(expected), len(broken))
        assert total["repeats"] > EVENTS * 0.1
        assert total["late"] > 0  # behind a later event of the same user

    for name, value in settings.items():
        monkeypatch.setenv(f"ADSTREAMS_{name.upper()}", str(value))
    reader = reader_of(load_settings())()
    try:
        users = sorted({user for user, _, _ in expected})
        found = {(user, point.event_time, point.event_id): point for user in users for point in reader.curve(user)}
        assert found.keys() == expected.keys()
        for key, row in expected.items():
            point = found[key]
            assert (point.event_type, point.campaign, point.seen) == (row.type, row.campaign, row.seen)
            state, segment, publisher, _, _, product, quantity, revenue = row.body
            assert (point.state, point.segment, point.publisher, point.product) == (state, segment, publisher, product)
            assert (point.quantity, point.revenue) == (quantity, revenue)
            assert point.propensity == pytest.approx(row.propensity, abs=1e-12)
        latest = {each.user_id: each for each in reader.latest(users)}
        assert {
            (letter.source, letter.partition, letter.offset): letter.payload for letter in reader.dead_letters(10_000)
        } == {(letter.source, letter.partition, letter.offset): letter.payload for letter in broken}
    finally:
        reader.close()

    assert latest.keys() == set(users)
    newest: dict[str, Any] = {}
    for key, row in expected.items():
        place = (key[1], TYPES.index(row.type), event_key(key[2]))
        newest[key[0]] = max(newest.get(key[0], (place, 0.0, 0)), (place, row.propensity, row.seen))
    for user, (place, propensity, seen) in newest.items():
        assert (latest[user].event_time, latest[user].seen) == (place[0], seen)
        assert latest[user].propensity == pytest.approx(propensity, abs=1e-12)

    last = {}
    for messages in read_topic(stream.kafka, f"{stream.name}-propensity"):
        for message in messages:
            last[message.key] = PropensityCodec().decode_one(message.value or b"")
    changelog = {
        row.user_id: (row.timestamp, row.type, row.propensity, row.seen, row.model_id) for row in last.values()
    }
    assert changelog == {
        user: (each.event_time, each.event_type, each.propensity, each.seen, each.model_id)
        for user, each in latest.items()
    }
    letters = [rejection.letter for rejection in read_dead_letters(stream.kafka, f"{stream.name}-dead")]
    assert {(x.source, x.partition, x.offset, x.reason, x.payload) for x in letters} == {
        (x.source, x.partition, x.offset, x.reason, x.payload) for x in broken
    }
