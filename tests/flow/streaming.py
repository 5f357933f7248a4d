"""Topics of a test's own on a real broker, what is sent to them, and the flow that reads them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.avro.codec import codec
from schemas.errors import TopicError
from schemas.events import Event
from tests.flow.running import PATIENCE
from topics.client import Kafka, Topic
from topics.publisher import Publisher


@dataclass(frozen=True)
class Stream:
    """Topics with names of their own."""

    brokers: str
    name: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:10]}")
    config: dict[str, str] = field(default_factory=dict)

    @property
    def kafka(self) -> Kafka:
        return Kafka([self.brokers], self.config)

    @property
    def topics(self) -> tuple[str, str]:
        return f"{self.name}-events", f"{self.name}-conversions"

    @property
    def settings(self) -> dict[str, object]:
        """The settings of a flow that reads them, named without their prefix."""
        return {
            "source": "kafka",
            "kafka_brokers": self.brokers,
            "kafka_topics": ",".join(self.topics),
            "kafka_propensity_topic": f"{self.name}-propensity",
            "kafka_dead_letter_topic": f"{self.name}-dead",
            "kafka_config": json.dumps({"group.id": self.name} | self.config),
        }

    def make(self, partitions: int = 2) -> Stream:
        """Make the topics to read."""
        for topic in self.topics:
            self.kafka.make(topic, partitions)
        return self

    def send(self, *events: Event, topic: int = 0) -> None:
        """Send events, keyed by user."""
        self.send_bytes([(event.user_id.encode(), codec().encode_one(event)) for event in events], topic)

    def send_bytes(self, messages: Sequence[tuple[bytes, bytes]], topic: int = 0) -> None:
        """Send messages as they are."""
        publisher = Publisher(self.kafka, self.topics[topic])
        publisher.send([key for key, _ in messages], [value for _, value in messages])
        publisher.flush()

    def ends(self) -> dict[tuple[str, int], int]:
        """The offset behind the last message of each partition."""
        with closing(self._consumer()) as consumer:
            return _ends(consumer, self._places())

    def described(self) -> dict[str, Topic]:
        """The topics that are there, however long a busy machine's broker takes to say so."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.kafka.describe(self.topics)
            except TopicError:
                if time.monotonic() > deadline:
                    raise

    def committed(self, group: str | None = None) -> dict[tuple[str, int], int]:
        """What the consumer group, or another one, says it has read, as a lag tool sees it."""
        with closing(self._consumer(group)) as consumer:
            return _committed(consumer, self._places())

    def is_read(self, group: str | None = None) -> bool:
        """Whether all was read, and was saved an epoch ago."""
        places = self._places()
        with closing(self._consumer(group)) as consumer:
            return _committed(consumer, places) == _ends(consumer, places)

    def _places(self) -> list[tuple[str, int]]:
        return [(name, n) for name, topic in self.described().items() for n in range(topic.partitions)]

    def _consumer(self, group: str | None = None) -> Consumer:
        return Kafka([self.brokers], self.config | {"group.id": group or self.name}).consumer({})


def _ends(consumer: Consumer, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    return {place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=PATIENCE)[1] for place in places}


def _committed(consumer: Consumer, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    # Not by an admin client: librdkafka's crashes when the group's coordinator is not ready.
    try:
        found = consumer.committed([TopicPartition(*place) for place in places], PATIENCE)
    except KafkaException:
        return {}  # the coordinator may still be starting
    return {(each.topic, each.partition): max(each.offset, 0) for each in found}
