"""Brokers that refuse what is sent: librdkafka's own mock cluster, told to fail."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import POINTER, c_char_p, c_int, c_int16, c_size_t, c_void_p

import numpy as np
import pytest
from confluent_kafka import TopicPartition

from schemas.errors import TopicError
from topics.client import Kafka
from topics.native.librdkafka import PRODUCER, lib, new_client
from topics.publisher import BatchPublisher

PRODUCE = 0
"""Kafka's number for the request that is to fail."""
PASSING, FINAL = (6, 7, 19), 10
"""Not leader, timed out, too few replicas; and a message that is too large."""


class MockCluster:
    """Three brokers in this process, with one topic of four partitions."""

    topic = "propensity"

    def __init__(self) -> None:
        for name, gives, takes in (
            ("new", c_void_p, (c_void_p, c_int)),
            ("bootstraps", c_char_p, (c_void_p,)),
            ("destroy", None, (c_void_p,)),
        ):
            function = getattr(lib, f"rd_kafka_mock_cluster_{name}")
            function.restype, function.argtypes = gives, takes
        lib.rd_kafka_mock_topic_create.argtypes = (c_void_p, c_char_p, c_int, c_int)
        lib.rd_kafka_mock_push_request_errors_array.argtypes = (c_void_p, c_int16, c_size_t, POINTER(c_int))
        for state in ("down", "up"):
            getattr(lib, f"rd_kafka_mock_broker_set_{state}").argtypes = (c_void_p, c_int)
        self._client = new_client(PRODUCER, {}, {})
        self._cluster = lib.rd_kafka_mock_cluster_new(self._client, 3)
        lib.rd_kafka_mock_topic_create(self._cluster, self.topic.encode(), 4, 3)

    @property
    def kafka(self) -> Kafka:
        return Kafka([lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()])

    def refuse(self, *codes: int) -> None:
        """Answer the next requests to produce with these errors."""
        lib.rd_kafka_mock_push_request_errors_array(self._cluster, PRODUCE, len(codes), (c_int * len(codes))(*codes))

    def set(self, state: str) -> None:
        """Let all brokers go `down`, or come `up` again."""
        for number in (1, 2, 3):
            getattr(lib, f"rd_kafka_mock_broker_set_{state}")(self._cluster, number)

    def close(self) -> None:
        lib.rd_kafka_mock_cluster_destroy(self._cluster)
        lib.rd_kafka_destroy(self._client)


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    found = MockCluster()
    yield found
    found.close()


def joined(texts: list[bytes]) -> tuple[bytes, np.ndarray]:
    return b"".join(texts), np.cumsum([0, *map(len, texts)])


def batch(count: int) -> tuple[tuple[bytes, np.ndarray], tuple[bytes, np.ndarray]]:
    return joined([b"user-%d" % (number % 7) for number in range(count)]), joined([b"%d" % n for n in range(count)])


def read(cluster: MockCluster) -> list[tuple[bytes | None, bytes | None]]:
    """All messages, those of one partition in order: the mock cannot describe its topics to `read_topic`."""
    consumer, found = cluster.kafka.consumer({"isolation.level": "read_uncommitted"}), []
    places = [TopicPartition(cluster.topic, number) for number in range(4)]
    ends = {place.partition: consumer.get_watermark_offsets(place, 10)[1] for place in places}
    consumer.assign([TopicPartition(cluster.topic, number, 0) for number, end in ends.items() if end])
    while len(found) < sum(ends.values()):
        found += [(message.key(), message.value()) for message in consumer.consume(1_000, 1.0)]
    consumer.close()
    return found


def test_errors_that_pass_are_lived_through(cluster: MockCluster) -> None:
    """Guarantee: produce errors that may be retried lose nothing, double nothing and change no order."""
    publisher = BatchPublisher(cluster.kafka, cluster.topic)
    for _ in range(5):
        cluster.refuse(*PASSING)
        publisher.send(*batch(200))
        publisher.flush()
    found = read(cluster)
    assert sorted(found) == sorted((b"user-%d" % (n % 7), b"%d" % n) for n in range(200) for _ in range(5))
    for user in {key for key, _ in found}:
        values = [int(value) for key, value in found if key == user]
        assert values == sorted(set(values)) * 5


def test_an_error_that_does_not_pass_is_told(cluster: MockCluster) -> None:
    """Guarantee: what the brokers refuse for good ends the run, and is not counted as sent."""
    publisher = BatchPublisher(cluster.kafka, cluster.topic)
    cluster.refuse(*[FINAL] * 100)
    with pytest.raises(TopicError, match=f"topic {cluster.topic}: a message was not delivered: Broker: "):
        publisher.send(*batch(200))
        publisher.flush()


def test_brokers_that_are_all_down_for_a_while(cluster: MockCluster) -> None:
    """Guarantee: what was sent meanwhile arrives, once."""
    publisher = BatchPublisher(cluster.kafka, cluster.topic)
    publisher.send(*batch(10))
    publisher.flush()
    cluster.set("down")
    publisher.send(*batch(200))
    assert publisher._client.flush(2.0) > 0
    cluster.set("up")
    publisher.flush()
    assert len(read(cluster)) == 210
