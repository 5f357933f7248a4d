"""`python -m jobs dead-letters` where the dataflow reads topics: the bytes go back, and the letters go."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.dead_letters.keeping import keeper_of
from jobs.dead_letters.mending import Mender
from jobs.dead_letters.through_topics import through_topics
from schemas.avro.codec import Codec, codec, load_schema
from schemas.dead_letters import DeadLetter
from schemas.events import Event
from settings import load_settings
from stores.cassandra.address import CassandraAddress
from stores.cassandra.reader import CassandraReader
from stores.cassandra.writer import CassandraWriter
from stores.sqlite.writer import SqliteWriter
from tests.flow.running import PATIENCE, make_recovery, query, running_flow, table, wait_for
from tests.flow.streaming import Stream
from tests.jobs.running import complaint, jobs
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka
from tests.services.registry import Registry as RegistryServer
from topics.letter_topic import letter_headers, letter_key, read_dead_letters
from topics.publisher import Publisher
from topics.registry import Registry
from topics.whole_topic import Read, read_topic

NOW = time.time_ns() // 1_000_000
HOUR = 3_600_000
GOOD = Event("e", "some user", NOW - HOUR, "CL")


@pytest.fixture
def stream(kafka: Kafka) -> Stream:
    made = Stream(kafka.brokers).make(3)
    made.kafka.make(str(made.settings["kafka_dead_letter_topic"]), 1, compacted=True)
    return made


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def publish(stream: Stream, *letters: DeadLetter) -> None:
    publisher = Publisher(stream.kafka, str(stream.settings["kafka_dead_letter_topic"]))
    for letter in letters:
        publisher.send_one(letter_key(letter), letter.payload, letter_headers(letter, NOW))
    publisher.flush()


def bury(stream: Stream, store: Path, *letters: DeadLetter) -> None:
    """Keep letters as the dataflow does: in the topic and in the table."""
    publish(stream, *letters)
    writer = SqliteWriter(store)
    writer.write_dead_letters(letters)
    writer.flush()
    writer.close()


def in_topic(stream: Stream) -> list[DeadLetter]:
    return [each.letter for each in read_dead_letters(stream.kafka, str(stream.settings["kafka_dead_letter_topic"]))]


def in_table(store: Path) -> list[tuple[object, ...]]:
    return query(store, 'SELECT source, "partition", "offset", reason FROM dead_letters ORDER BY 1, 2, 3')


def places(letters: Sequence[DeadLetter]) -> list[tuple[object, ...]]:
    return [(letter.source, letter.partition, letter.offset, letter.reason) for letter in letters]


def messages(stream: Stream, topic: int = 0) -> list[Read]:
    return [message for some in read_topic(stream.kafka, stream.topics[topic]) for message in some]


def retry(stream: Stream, store: Path, *arguments: object, **settings: object) -> str:
    done = jobs("dead-letters", "retry", *arguments, **(stream.settings | {"sqlite_path": store} | settings))
    assert done.returncode == 0, done.stderr
    return done.stdout


def drain(stream: Stream, recovery: Path, store: Path, **settings: object) -> str:
    """Run the dataflow until all was read and saved; what it logged."""
    with running_flow(recovery, **(stream.settings | {"sqlite_path": store} | settings)) as program:
        wait_for(stream.is_read, program)
        program.send_signal(signal.SIGTERM)
        _, errors = program.communicate(timeout=PATIENCE)
        assert program.returncode == 0, errors
    return errors


def test_an_event_that_came_too_early_goes_back_in(stream: Stream, store: Path, tmp_path: Path) -> None:
    """With a larger skew allowed it is scored, in its place; its letter is gone, and a second retry does nothing."""
    recovery = make_recovery(tmp_path / "recovery")
    early = replace(GOOD, event_id="early", timestamp=NOW + 6 * HOUR)
    stream.send(GOOD, early)
    stream.send_bytes([(b"k", b"{}")], topic=1)
    drain(stream, recovery, store)
    assert [letter.reason for letter in in_topic(stream)] == ["unframed", "time_ahead"]
    assert len(in_table(store)) == 2
    assert len(table(store)) == 1

    assert retry(stream, store) == "0 of 2 dead letters went back in\n2 stay: 1 unframed, 1 time_ahead\n"
    said = retry(stream, store, max_skew="1d")
    assert said == "1 of 2 dead letters went back in\n1 stay: 1 unframed\n"
    assert places(in_topic(stream)) == in_table(store) == [(stream.topics[1], *in_table(store)[0][1:])]
    assert "1 scored" in drain(stream, recovery, store, max_skew="1d")
    rows, sent = table(store), messages(stream)
    assert len(rows) == 2
    assert [(each.key, each.value) for each in sent if each.value == codec().encode_one(early)] == [
        (b"some user", codec().encode_one(early))
    ] * 2

    assert retry(stream, store, max_skew="1d") == "0 of 1 dead letters went back in\n1 stay: 1 unframed\n"
    assert messages(stream) == sent


def test_letters_go_back_to_their_topics(stream: Stream, store: Path) -> None:
    """As they were, keyed by user; those of a topic that is not read stay, and so do those that are still bad."""
    marketing, conversions = stream.topics
    letters = [
        DeadLetter(marketing, 1, 5, "unknown_schema", "", codec().encode_one(GOOD)),
        DeadLetter(conversions, 0, 2, "undecodable", "", codec().encode_one(replace(GOOD, type="CN"))),
        DeadLetter("elsewhere", 0, 0, "unknown_schema", "", codec().encode_one(GOOD)),
        DeadLetter(marketing, 1, 6, "undecodable", "", codec().encode_one(GOOD)[:-3]),
        DeadLetter(marketing, 1, 7, "too_late", "", codec().encode_one(GOOD)),
    ]
    bury(stream, store, *letters)
    assert retry(stream, store) == (
        "2 of 5 dead letters went back in\n"
        "2 stay: 1 unknown_schema, 1 undecodable\n"
        "1 left alone, which --reason would send in to no avail: 1 too_late\n"
    )
    assert [(each.key, each.value) for each in messages(stream)] == [(b"some user", letters[0].payload)]
    assert [(each.key, each.value) for each in messages(stream, 1)] == [(b"some user", letters[1].payload)]
    left = sorted([letters[2], letters[3], letters[4]], key=lambda letter: (letter.source, letter.offset))
    assert in_topic(stream) == left
    assert in_table(store) == places(left)
    assert "1 of 1 dead letters went back in" in retry(stream, store, "--reason", "too_late")
    assert len(messages(stream)) == 2


def test_a_schema_that_the_registry_knows_by_now(stream: Stream, store: Path, registry: RegistryServer) -> None:
    """And one that it does not know stays."""
    with Registry(registry.url) as client:
        schema_id = client.register(f"{stream.name}-value", load_schema("event"))
    known, unknown = (Codec(writes_id=number).encode_one(GOOD) for number in (schema_id, 2**31 - 1))
    bury(
        stream, store,
        DeadLetter(stream.topics[0], 0, 0, "unknown_schema", "the registry does not answer", known),
        DeadLetter(stream.topics[0], 0, 1, "unknown_schema", "the registry does not answer", unknown),
    )  # fmt: skip
    assert retry(stream, store) == "0 of 2 dead letters went back in\n2 stay: 2 unframed\n"
    said = retry(stream, store, schema_registry_url=registry.url)
    assert said == "1 of 2 dead letters went back in\n1 stay: 1 unknown_schema\n"
    assert [each.value for each in messages(stream)] == [known]


def test_letters_go_from_cassandra_too(stream: Stream, cassandra: Cassandra, keyspace: str) -> None:
    letters = [
        DeadLetter(stream.topics[0], 1, offset, "unknown_schema", "", payload)
        for offset, payload in enumerate((codec().encode_one(GOOD), b"{}"))
    ]
    writer = CassandraWriter(CassandraAddress((cassandra.host,), cassandra.port, keyspace))
    writer.write_dead_letters(letters)
    writer.flush()
    writer.close()
    publish(stream, *letters)
    done = jobs(
        "dead-letters", "retry",
        **(stream.settings | {"store": "cassandra", "cassandra_hosts": cassandra.host}),
        cassandra_port=cassandra.port, cassandra_keyspace=keyspace,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "1 of 2 dead letters went back in\n1 stay: 1 unframed\n"), done.stderr
    reader = CassandraReader(CassandraAddress((cassandra.host,), cassandra.port, keyspace))
    assert in_topic(stream) == reader.dead_letters(10) == letters[1:]
    reader.close()


class Crash(Exception):
    """The end of the program."""


def test_a_crash_before_the_letters_are_cleared_makes_a_repeat(
    stream: Stream, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is sent again, and counts once."""
    for name, value in (stream.settings | {"sqlite_path": store}).items():
        monkeypatch.setenv(f"ADSTREAMS_{name.upper()}", str(value))
    bury(stream, store, DeadLetter(stream.topics[0], 1, 5, "unknown_schema", "", codec().encode_one(GOOD)))
    settings = load_settings()
    keeper = keeper_of(settings)
    with monkeypatch.context() as patch:

        def crash(letters: Sequence[DeadLetter]) -> None:
            raise Crash

        patch.setattr(keeper, "clear", crash)
        mended = Mender(Codec(), settings.max_skew).mend([each.letter for each in keeper.letters()])
        with pytest.raises(Crash):
            through_topics(stream.kafka, stream.topics, keeper, mended)
    assert len(in_topic(stream)) == len(in_table(store)) == 1

    assert retry(stream, store) == "1 of 1 dead letters went back in\n"
    assert in_topic(stream) == in_table(store) == []
    assert retry(stream, store) == "no dead letters\n"
    assert len(messages(stream)) == 2
    assert "1 scored (0 late), 1 repeats" in drain(stream, make_recovery(tmp_path / "recovery"), store)
    assert len(table(store)) == 1


def test_letters_of_a_topic_have_a_time(stream: Stream, store: Path) -> None:
    bury(stream, store, DeadLetter(stream.topics[0], 1, 5, "unframed", "the message starts with 7b7d", b"{}"))
    settings = stream.settings | {"sqlite_path": store}
    day = time.strftime("%Y-%m-%d", time.gmtime(NOW / 1000))
    listed = jobs("dead-letters", "list", **settings)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert f"{stream.topics[0]}/1/5" in listed.stdout
    assert day in listed.stdout
    shown = jobs("dead-letters", "show", f"{stream.topics[0]}/1/5", **settings)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert day in shown.stdout


def test_a_missing_topic_is_told_in_one_line(kafka: Kafka, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(kafka.brokers)
    for name, value in (stream.settings | {"sqlite_path": store}).items():
        monkeypatch.setenv(f"ADSTREAMS_{name.upper()}", str(value))
    for command in ("list", "retry"):
        assert f"topic {stream.settings['kafka_dead_letter_topic']}: there is no such topic" in complaint(
            "dead-letters", command
        )
