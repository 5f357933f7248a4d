"""A topic from its beginning to its end, as it stands when the reading starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from schemas.errors import TopicError
from topics.client import SILENT, TIMEOUT, Kafka, passes

MESSAGES = 10_000
"""Messages of a list at the most."""
PATIENCE = 3 * TIMEOUT
"""Seconds without a message after which a broker counts as gone."""

Headers = dict[str, str | bytes | None]

Note = Callable[[int, int], None]
"""Told how far a reading is: the offsets that lie behind it, and how many there are in all."""


class Read(NamedTuple):
    """A message as it lies in its topic; one without a value deletes its key where the topic is compacted."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int
    offset: int
    time: int
    """When it says that it was made, in ms since 1970."""


def read_topic(kafka: Kafka, topic: str, note: Note | None = None) -> Iterator[list[Read]]:
    """All messages of a topic, those of one partition in order; what is sent while it is read is left out.

    Messages of transactions that are open or were aborted are left out too.

    Raises:
        TopicError: no broker answers, there is no such topic, or it cannot be read.
    """
    if topic not in (found := kafka.describe([topic])):
        raise TopicError(f"topic {topic}: there is no such topic at {','.join(kafka.brokers)}")
    # An empty fetch is answered soon: it is what says that a partition has ended.
    consumer = kafka.consumer({"enable.partition.eof": True, "fetch.wait.max.ms": 50, "fetch.queue.backoff.ms": 5})
    try:
        yield from _Reading(kafka, topic, consumer, found[topic].partitions).lists(note)
    except KafkaException as error:
        if error.args[0].code() in SILENT:
            raise kafka.unreachable() from None
        raise TopicError(f"topic {topic}: {error.args[0].str()}") from None
    finally:
        consumer.close()


class _Reading:
    """How far each partition was read, and where it ended when the reading began."""

    def __init__(self, kafka: Kafka, topic: str, consumer: Consumer, partitions: int) -> None:
        self._kafka, self._topic, self._consumer = kafka, topic, consumer
        edges = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), TIMEOUT)
            for number in range(partitions)
        }
        self._places = {number: first for number, (first, _) in edges.items()}
        self._ends = {number: end for number, (_, end) in edges.items()}
        self._first = sum(self._places.values())

    def lists(self, note: Note | None) -> Iterator[list[Read]]:
        unread = [number for number, end in self._ends.items() if self._places[number] < end]
        self._consumer.assign([TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in unread])
        heard, total = time.monotonic(), sum(self._ends.values()) - self._first
        while any(self._places[number] < self._ends[number] for number in unread):
            before = sum(self._places.values())
            if taken := self._take():
                yield taken
            now = sum(self._places.values())
            if now > before:
                heard = time.monotonic()
                if note is not None:
                    note(now - self._first, total)
            elif time.monotonic() - heard > PATIENCE:
                raise self._kafka.unreachable()

    def _take(self) -> list[Read]:
        """The next messages, none after a while in which none came."""
        taken = []
        for message in self._consumer.consume(MESSAGES, 0.1):
            number, offset, error = message.partition(), message.offset(), message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                if passes(error):
                    continue
                raise KafkaException(error)
            assert number is not None and offset is not None, "both are None only beside an error"
            if error is None and offset < self._ends[number]:
                headers = dict(message.headers() or ())
                taken.append(Read(message.key(), message.value(), headers, number, offset, message.timestamp()[1]))
                self._places[number] = offset + 1
            else:  # the offsets before the end may be those of no message: of markers, or of what was compacted away
                self._places[number] = self._ends[number]
        return taken
