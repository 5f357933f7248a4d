"""A topic read from its beginning to its end, whatever it is made of."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer, TopicPartition

from schemas.errors import TopicError
from tests.services.kafka import Kafka as Server
from tests.services.ports import free_port
from topics import client
from topics.client import Kafka
from topics.publisher import Publisher
from topics.whole_topic import MESSAGES, Read, read_topic


@pytest.fixture
def cluster(kafka: Server) -> Kafka:
    return Kafka([kafka.brokers])


@pytest.fixture
def topic(kafka: Server, topic_prefix: str) -> str:
    """A topic of one partition."""
    kafka.create_topic(f"{topic_prefix}read")
    return f"{topic_prefix}read"


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [str(number).encode() for number in range(first, first + count)]


def send(cluster: Kafka, topic: str, values: list[bytes]) -> None:
    """Each value is its own key."""
    publisher = Publisher(cluster, topic)
    publisher.send(values, values)
    publisher.flush()


def everything(lists: Iterator[list[Read]]) -> list[Read]:
    return [message for messages in lists for message in messages]


def test_an_empty_topic_has_no_messages(cluster: Kafka, topic: str) -> None:
    assert everything(read_topic(cluster, topic)) == []


def test_all_messages_of_all_partitions(cluster: Kafka, kafka: Server, topic_prefix: str) -> None:
    """Those of one partition in order, and the reading says how far it is."""
    topic, values, told = f"{topic_prefix}parted", numbered(2_000), list[tuple[int, int]]()
    kafka.create_topic(topic, 5)
    send(cluster, topic, values)
    messages = everything(read_topic(cluster, topic, lambda done, of: told.append((done, of))))
    assert {message.value for message in messages} == set(values)
    assert len(messages) == len(values)
    assert len({message.partition for message in messages}) == 5
    for partition in range(5):
        theirs = [message for message in messages if message.partition == partition]
        assert [message.offset for message in theirs] == list(range(len(theirs)))
    assert told == sorted(told)
    assert told[-1] == (2_000, 2_000)


def test_a_message_is_given_as_it_was_sent(cluster: Kafka, topic: str) -> None:
    """No value is not an empty value; a message may say when it was made."""
    began = time.time_ns() // 1_000_000
    publisher = Publisher(cluster, topic)
    publisher.send([b"", b"c"], [b"", b"1"], [1_500_000_000_000, 1_500_000_000_001])
    publisher.send_one(b"a", b"", {"one": b"1", "none": None})
    publisher.send_one(b"b", None)
    publisher.flush()
    messages = everything(read_topic(cluster, topic))
    assert messages == [
        Read(b"", b"", {}, 0, 0, 1_500_000_000_000),
        Read(b"c", b"1", {}, 0, 1, 1_500_000_000_001),
        Read(b"a", b"", {"one": b"1", "none": None}, 0, 2, messages[2].time),
        Read(b"b", None, {}, 0, 3, messages[3].time),
    ]
    assert messages[2].time >= began


def test_what_is_sent_meanwhile_is_left_out(cluster: Kafka, topic: str) -> None:
    """The end is where it was when the reading began."""
    values = numbered(2 * MESSAGES + 10)
    send(cluster, topic, values)
    lists = read_topic(cluster, topic)
    messages = list(next(lists))
    send(cluster, topic, numbered(3 * MESSAGES, first=10**6))
    messages += everything(lists)
    assert [message.value for message in messages] == values


def test_a_topic_whose_beginning_is_gone(cluster: Kafka, kafka: Server, topic: str) -> None:
    send(cluster, topic, numbered(10))
    admin = kafka.admin()
    for answer in admin.delete_records([TopicPartition(topic, 0, 4)]).values():
        answer.result(60)
    told = list[tuple[int, int]]()
    messages = everything(read_topic(cluster, topic, lambda done, of: told.append((done, of))))
    assert [message.value for message in messages] == numbered(6, first=4)
    assert told[-1] == (6, 6)


@pytest.mark.parametrize("ending", ["commit", "abort", "open"])
def test_a_topic_that_ends_in_a_transaction(ending: str, cluster: Kafka, topic: str) -> None:
    """Its last offsets are no messages that may be read: the reading ends all the same."""
    producer = Producer({"bootstrap.servers": ",".join(cluster.brokers), "transactional.id": topic})
    producer.init_transactions(60)
    for number in (0, 1):
        producer.begin_transaction()
        producer.produce(topic, str(number).encode())
        assert producer.flush(60) == 0
        if number == 0 or ending == "commit":
            producer.commit_transaction(60)
        elif ending == "abort":
            producer.abort_transaction(60)
    values = [message.value for message in everything(read_topic(cluster, topic))]
    assert values == (numbered(2) if ending == "commit" else numbered(1))


def test_a_missing_topic_is_told(cluster: Kafka, topic_prefix: str) -> None:
    with pytest.raises(TopicError, match=f"^topic {topic_prefix}none: there is no such topic at "):
        next(read_topic(cluster, f"{topic_prefix}none"))


def test_a_missing_broker_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT", 1.0)
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(TopicError, match=f"^ADSTREAMS_KAFKA_BROKERS: no broker answers at {address} within 1 s: "):
        next(read_topic(Kafka([address]), "events"))
