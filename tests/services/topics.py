"""The topics of the program, as they are by default."""

from __future__ import annotations

from dataclasses import dataclass

from tests.services.kafka import Kafka


@dataclass(frozen=True)
class Topic:
    """A topic; a compacted one keeps the newest message of each key."""

    name: str
    partitions: int
    compacted: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.partitions}{', compacted' if self.compacted else ''})"


TOPICS = (
    Topic("events", 4),
    Topic("conversions", 2),
    Topic("propensity", 4, compacted=True),
    Topic("dead-letters", 1, compacted=True),
)


def make_missing(kafka: Kafka) -> None:
    """Make those topics that are not there; the others are left as they are."""
    there = kafka.admin().list_topics(timeout=60).topics
    for topic in TOPICS:
        if topic.name not in there:
            config = {"cleanup_policy": "compact"} if topic.compacted else {}
            kafka.create_topic(topic.name, topic.partitions, **config)
