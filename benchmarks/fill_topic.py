"""Events into a topic: `python -m benchmarks.fill_topic BROKERS TOPIC USERS EVENTS`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np

from benchmarks.logs import CHUNK, events
from schemas.avro.codec import codec
from schemas.events import USER_ID, EventBatch
from schemas.messages import pieces
from topics.client import Kafka
from topics.publisher import Publisher

PARTITIONS = 4


def fill(kafka: Kafka, topic: str, users: int, count: int) -> None:
    """Make a topic of `count` events in time order, each of a random one of `users`, keyed by user."""
    kafka.make(topic, PARTITIONS)
    rng = np.random.default_rng(1)
    send(
        kafka,
        topic,
        (events(rng.integers(0, users, min(CHUNK, count - first)), first, rng) for first in range(0, count, CHUNK)),
    )


def send(kafka: Kafka, topic: str, batches: Iterable[EventBatch]) -> None:
    """Send events, keyed by user."""
    publisher = Publisher(kafka, topic)
    for batch in batches:
        publisher.send([user.encode() for user in batch.texts(USER_ID)], pieces(*codec().encode(batch)))
    publisher.flush()


def main() -> None:
    """Fill it."""
    brokers, topic, users, count = sys.argv[1:]
    fill(Kafka([brokers]), topic, int(users), int(count))


if __name__ == "__main__":
    main()
