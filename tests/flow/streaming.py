"""Topics of a test's own on a real broker, what is sent to them, and the flow that reads them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, TopicPartition

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
        consumer = self.kafka.consumer({})
        places = [(name, n) for name, topic in self.described().items() for n in range(topic.partitions)]
        return {place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=PATIENCE)[1] for place in places}

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
        # Not by an admin client: librdkafka's crashes when the group's coordinator is not ready.
        consumer = Kafka([self.brokers], self.config | {"group.id": group or self.name}).consumer({})
        try:
            found = consumer.committed([TopicPartition(*place) for place in self.ends()], PATIENCE)
        except KafkaException:
            return {}  # the coordinator may still be starting
        finally:
            consumer.close()
        return {(each.topic, each.partition): max(each.offset, 0) for each in found}

    def is_read(self, group: str | None = None) -> bool:
        """Whether all was read, and was saved an epoch ago."""
        return self.committed(group) == self.ends()
