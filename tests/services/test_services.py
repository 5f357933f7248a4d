"""The servers themselves: they answer, and keep their data through a stop and a kill."""

import pytest
from confluent_kafka import Consumer, KafkaError, Producer

from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka


def send(kafka: Kafka, topic: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": kafka.brokers})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(60) == 0


def messages(kafka: Kafka, topic: str, number: int) -> set[bytes | None]:
    consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    read = consumer.consume(number, 60)
    consumer.close()
    return {message.value() for message in read}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_kafka_keeps_what_was_sent(kafka: Kafka, topic_prefix: str, end: str) -> None:
    """Messages that were acknowledged are there after a stop and after a kill, at the same address."""
    topic, brokers = f"{topic_prefix}kept", kafka.brokers
    kafka.create_topic(topic, 2)
    send(kafka, topic, b"a", b"b")
    getattr(kafka, end)()
    assert not kafka.running
    kafka.start()
    assert kafka.brokers == brokers
    send(kafka, topic, b"c")
    assert messages(kafka, topic, 3) == {b"a", b"b", b"c"}


def test_kafka_makes_no_topic_by_itself(kafka: Kafka, topic_prefix: str) -> None:
    """A topic that a client asks about is not made by that."""
    name = f"{topic_prefix}none"
    topics = Producer({"bootstrap.servers": kafka.brokers}).list_topics(name, timeout=60).topics
    assert topics[name].error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_cassandra_keeps_rows(cassandra: Cassandra, keyspace: str) -> None:
    """A restarted server has its rows, at the same address."""
    with cassandra.session() as session:
        session.execute(
            f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        )
        session.execute(f"CREATE TABLE {keyspace}.t (a int PRIMARY KEY)")
        session.execute(f"INSERT INTO {keyspace}.t (a) VALUES (1)")
    cassandra.restart()
    with cassandra.session() as session:
        assert [row.a for row in session.execute(f"SELECT a FROM {keyspace}.t")] == [1]
