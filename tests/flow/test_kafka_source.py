"""Kafka as the source: nothing is skipped, and what cannot be read is told in one plain line."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from schemas.events import Event
from tests.flow.running import PATIENCE, count, make_recovery, query, run_flow, running_flow, wait_for
from tests.flow.streaming import Stream
from tests.services.kafka import Kafka
from tests.services.ports import free_port

TIME = 1_500_000_000_000


@pytest.fixture
def stream(kafka: Kafka) -> Stream:
    return Stream(kafka.brokers).make()


@pytest.fixture
def admin(kafka: Kafka) -> AdminClient:
    """Held as long as the test runs: an admin client that nobody holds drops what it was asked."""
    return kafka.admin()


def events(count: int, first: int = 0) -> list[Event]:
    return [Event(f"e{n}", f"u{n % 7}", TIME + n * 1_000, "IM") for n in range(first, first + count)]


def ids(store: Path) -> set[str]:
    return {str(event_id) for (event_id,) in query(store, "SELECT event_id FROM propensity_by_user")}


def drain(stream: Stream, recovery: Path, store: Path, rows: int) -> str:
    """Run the flow until so many rows are there and all is saved; what it logged."""
    with running_flow(recovery, sqlite_path=store, **stream.settings) as program:
        wait_for(lambda: count(store) >= rows and stream.is_read(), program)
        program.send_signal(signal.SIGTERM)
        _, errors = program.communicate(timeout=PATIENCE)
        assert program.returncode == 0, errors
    return errors


def last_line(errors: str) -> str:
    return errors.rstrip().rpartition("\n")[2]


def test_a_flow_goes_on_where_it_was(stream: Stream, tmp_path: Path) -> None:
    """Every message once, none again after a clean end, whatever the group's offsets say."""
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    stream.send(*events(500))
    stream.send(*events(20, 500), topic=1)
    assert "520 scored" in drain(stream, recovery, store, 520)
    stream.send(*events(30, 520))
    again = drain(stream, recovery, store, 550)
    assert "30 scored" in again
    assert " 0 repeats" in again
    assert ids(store) == {f"e{n}" for n in range(550)}


def test_the_groups_offsets_are_never_read(stream: Stream, tmp_path: Path) -> None:
    """A new recovery directory reads from the beginning, though the group has read all."""
    stream.send(*events(50))
    drain(stream, make_recovery(tmp_path / "one"), tmp_path / "one.db", 50)
    assert stream.is_read()
    drain(stream, make_recovery(tmp_path / "two"), tmp_path / "two.db", 50)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "ADSTREAMS_KAFKA_BROKERS: no broker answers at {brokers} within 10 s"),
        (
            {"kafka_config": '{"security.protcol": "SSL"}'},
            'ADSTREAMS_KAFKA_CONFIG: No such configuration property: "security.protcol"',
        ),
    ],
)
def test_brokers_that_cannot_be_used_are_told_at_the_start(
    settings: dict[str, object], line: str, tmp_path: Path
) -> None:
    brokers = f"127.0.0.1:{free_port()}"
    run = run_flow(**(Stream(brokers).settings | settings), sqlite_path=tmp_path / "store.db")
    assert run.returncode == 2
    assert run.stderr.startswith(f"ad-streams: {line.format(brokers=brokers)}")
    assert run.stderr.count("\n") == 1


def test_a_topic_that_is_missing_is_told_at_the_start(kafka: Kafka, tmp_path: Path) -> None:
    stream = Stream(kafka.brokers)
    run = run_flow(**stream.settings, sqlite_path=tmp_path / "store.db")
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert run.stderr.startswith(f"ad-streams: ADSTREAMS_KAFKA_TOPICS: no topic {stream.topics[0]} at {kafka.brokers};")


def test_messages_deleted_before_they_were_read_stop_the_start(
    stream: Stream, admin: AdminClient, tmp_path: Path
) -> None:
    """Never a silent jump to the end, or to what is left."""
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    stream.send(*events(50))
    drain(stream, recovery, store, 50)
    stream.send(*events(100, 50))
    topic = stream.topics[0]
    ends = {number: end for (name, number), end in stream.ends().items() if name == topic}
    places = [TopicPartition(topic, number, end - 1) for number, end in ends.items()]
    for answer in admin.delete_records(places).values():
        answer.result(PATIENCE)
    run = run_flow(recovery=recovery, sqlite_path=store, **stream.settings)
    assert run.returncode == 1
    assert re.fullmatch(
        rf"ad-streams: topic {topic}, partition \d: messages from offset \d+ on, where this run resumes, were deleted"
        r" \(the first one now is \d+\); keep them longer, or start anew with an empty recovery directory",
        last_line(run.stderr),
    )
    assert "Traceback" not in run.stderr
    assert count(store) == 50


def test_a_topic_made_anew_stops_the_start(stream: Stream, admin: AdminClient, tmp_path: Path) -> None:
    """Offsets of another topic mean nothing, even where its name is the same."""
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    stream.send(*events(50))
    drain(stream, recovery, store, 50)
    topic = stream.topics[0]
    admin.delete_topics([topic])[topic].result(PATIENCE)
    wait_for(lambda: topic not in stream.kafka.describe([topic]))
    stream.make()
    stream.send(*events(100))
    run = run_flow(recovery=recovery, sqlite_path=store, **stream.settings)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert run.stderr.startswith(f"ad-streams: topic {topic}: it was made anew since recovery directory {recovery}")


def test_a_topic_deleted_while_it_is_read_ends_the_run(stream: Stream, admin: AdminClient, tmp_path: Path) -> None:
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    stream.send(*events(50))
    with running_flow(recovery, sqlite_path=store, **stream.settings) as program:
        wait_for(lambda: count(store) == 50, program)
        admin.delete_topics([stream.topics[1]])[stream.topics[1]].result(PATIENCE)
        _, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 1
    problem = r": it was deleted while it was read|, partition \d: it does not exist any more \(.*\)"
    told = rf"ad-streams: topic {stream.topics[1]}({problem})"
    assert re.fullmatch(told, last_line(errors))
    assert "Traceback" not in errors


def test_a_topic_that_is_no_longer_listed_stops_the_start(stream: Stream, tmp_path: Path) -> None:
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    stream.send(*events(5))
    drain(stream, recovery, store, 5)
    fewer = stream.settings | {"kafka_topics": stream.topics[0]}
    run = run_flow(recovery=recovery, sqlite_path=store, **fewer)
    assert (run.returncode, run.stderr) == (
        2,
        f"ad-streams: ADSTREAMS_KAFKA_TOPICS: recovery directory {recovery} reads {stream.topics[1]} too,"
        " which is not listed any more\n",
    )


def test_more_partitions_end_the_run_to_be_started_again(stream: Stream, admin: AdminClient, tmp_path: Path) -> None:
    """Noticed by itself, drained, exit code 75; the next start reads them all, and nothing again."""
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    stream.send(*events(50))
    with running_flow(recovery, sqlite_path=store, **stream.settings) as program:
        wait_for(lambda: count(store) == 50, program)
        topic = stream.topics[0]
        admin.create_partitions([NewPartitions(topic, 5)])[topic].result(PATIENCE)
        _, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 75
    assert f"topic {topic} has 5 partitions now, not 2" in errors
    stream.send(*events(100, 50))
    assert "100 scored" in (again := drain(stream, recovery, store, 150))
    assert " 0 repeats" in again


def test_two_topics_are_replayed_together_in_event_time(stream: Stream, tmp_path: Path) -> None:
    """Conversions are fewer, so their topic could be read far ahead: then most events would come late."""
    hour = 3_600_000
    stream.send(*[Event(f"e{n}", f"u{n % 50}", TIME + n * hour // 20, "IM") for n in range(20_000)])
    stream.send(*[Event(f"c{n}", f"u{n % 50}", TIME + n * hour * 2, "CN") for n in range(500)], topic=1)
    errors = drain(stream, make_recovery(tmp_path / "recovery"), tmp_path / "store.db", 20_500)
    (late,) = re.findall(r"in all, .* scored \(([\d,]+) late\)", errors)
    assert int(late.replace(",", "")) < 2_000


def test_a_broker_that_restarts_is_waited_for(tmp_path: Path) -> None:
    """A broker of its own: nothing is lost, read again, or told as a traceback."""
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    with Kafka(tmp_path / "kafka") as broker:
        stream = Stream(broker.brokers).make()
        stream.send(*events(50))
        with running_flow(recovery, sqlite_path=store, **stream.settings) as program:
            wait_for(lambda: count(store) == 50, program)
            broker.restart()
            stream.send(*events(50, 50))
            wait_for(lambda: count(store) == 100 and stream.is_read(), program)
            program.send_signal(signal.SIGTERM)
            _, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0, errors
    assert "100 scored" in errors
    assert " 0 repeats" in errors
