"""Messages into one topic, each of them delivered or complained about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.errors import TopicError
from topics.client import Kafka
from topics.native.sending import Joined, Sender

MOST_WAITING = 100_000
"""Messages that may wait for their acknowledgement before `send` waits too."""
MOST_BYTES = 32 << 20
"""Bytes of single messages, which may be large, that may wait so."""


_SETTINGS = {
    # Java's clients choose a key's partition in the same way.
    "partitioner": "murmur2_random",
    "delivery.report.only.error": True,
    "linger.ms": 5,
    "message.timeout.ms": 0,
    "queue.buffering.max.messages": 2 * MOST_WAITING,
    "queue.buffering.max.kbytes": 2**31 - 1,
}


class _Publishing:
    """What all publishers have in common: they send in order, what they were refused comes up, and they can wait.

    What one key has been sent last is what a compacted topic keeps. Errors that may pass are retried by the client for
    as long as it takes.
    """

    def __init__(self, topic: str, producer: Producer | Sender, failed: list[str]) -> None:
        self._topic, self._client, self._failed = topic, producer, failed

    def flush(self) -> None:
        """Return once all was acknowledged.

        Raises:
            TopicError: a message cannot be delivered.
        """
        while self._client.flush(1.0):  # a signal is heard in between
            self._check()
        self._check()

    def _wait(self) -> None:
        """Wait until so few messages wait that the queue has room for as many more.

        A full queue would take the later of two and refuse the earlier.
        """
        self._client.poll(0)
        while len(self._client) > MOST_WAITING:
            self._client.poll(0.05)
            self._check()

    def _try(self, produce: Callable[[], object]) -> None:
        try:
            produce()
        except KafkaException as error:
            self._fail(error.args[0])
            self._check()

    def _fail(self, error: KafkaError) -> None:
        self._failed.append(error.str())

    def _check(self) -> None:
        if self._failed:
            raise TopicError(f"topic {self._topic}: a message was not delivered: {self._failed[0]}")


class BatchPublisher(_Publishing):
    """Sends many messages at a time, whose keys and values lie one behind the other."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        failed = list[str]()  # what the sender holds of this, so that it ends with it
        self._sender = kafka.sender(topic, _SETTINGS, lambda error: failed.append(error.str()))
        super().__init__(topic, self._sender, failed)

    def send(self, keys: Joined, values: Joined | None) -> None:
        """Send messages; without values they delete their keys from a compacted topic.

        Raises:
            TopicError: a message, one of before perhaps, cannot be delivered.
        """
        count = len(keys[1]) - 1
        for first in range(0, count, MOST_WAITING):
            self._wait()
            self._try(partial(self._sender.send, keys, values, first, min(first + MOST_WAITING, count)))
            self._check()


class Publisher(_Publishing):
    """Sends messages one by one: with times, with headers, or without a value."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self._producer, self._bytes = kafka.producer(_SETTINGS), 0
        super().__init__(topic, self._producer, [])

    def send(self, keys: Sequence[bytes], values: Sequence[bytes], times: Sequence[int] | None = None) -> None:
        """Send messages, with the times (ms since 1970) that they say they were made at.

        Raises:
            TopicError: a message, one of before perhaps, cannot be delivered.
        """
        for first in range(0, len(values), MOST_WAITING):
            part = slice(first, first + MOST_WAITING)
            self._wait()
            if times is None:
                self._send_many(keys[part], values[part])
            else:
                self._send_timed(keys[part], values[part], times[part])
            self._check()

    def _send_many(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        messages: list[dict[str, object]] = [
            {"key": key, "value": value} for key, value in zip(keys, values, strict=True)
        ]
        self._try(partial(self._producer.produce_batch, self._topic, messages, on_delivery=self._note))
        if refused := [message["_error"] for message in messages if "_error" in message]:
            self._failed.append(str(refused[0]))

    def _send_timed(self, keys: Sequence[bytes], values: Sequence[bytes], times: Sequence[int]) -> None:
        produce, topic, note = self._producer.produce, self._topic, self._note  # batches take no times

        def send() -> None:
            for key, value, time in zip(keys, values, times, strict=True):
                produce(topic, value, key, timestamp=time, on_delivery=note)

        self._try(send)

    def send_one(self, key: bytes, value: bytes | None, headers: dict[str, str | bytes | None] | None = None) -> None:
        """Send one message; a value of None deletes the key from a compacted topic.

        Raises:
            TopicError: a message, one of before perhaps, cannot be delivered.
        """
        self._wait()
        if self._bytes > MOST_BYTES:
            self.flush()
        self._bytes += len(value or b"")
        produce = partial(self._producer.produce, headers=headers or {}, on_delivery=self._note)
        self._try(partial(produce, self._topic, value, key))
        self._check()

    def flush(self) -> None:
        """Return once all was acknowledged.

        Raises:
            TopicError: a message cannot be delivered.
        """
        super().flush()
        self._bytes = 0

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._fail(error)
