"""A producer of many messages at a time, of which it makes no Python objects."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Mapping

import numpy as np
from confluent_kafka import KafkaError
from numpy.typing import NDArray

from topics.native.librdkafka import ON_DELIVERY, PRODUCER, check, error_of, lib, new_client, on_error
from topics.native.librdkafka_messages import MESSAGE, fill

Joined = tuple[bytes, NDArray[np.int64]]
"""Keys or values one behind the other, and their edges (n + 1)."""

_ANY_PARTITION, _COPY = -1, 2


class Sender:
    """A producer into one topic.

    Args:
        config: librdkafka's settings.
        topic: the topic.
        complain: told what the client complains about.
        on_failed: told of each message that was given up.

    Raises:
        KafkaException: a setting is wrong.
    """

    def __init__(
        self,
        config: Mapping[str, object],
        topic: str,
        complain: Callable[[KafkaError], None],
        on_failed: Callable[[KafkaError], None],
    ) -> None:
        def told(_client: int, message: int, _opaque: int) -> None:
            if code := ctypes.c_int.from_address(message).value:
                on_failed(error_of(code))

        callbacks = {"error_cb": on_error(complain), "dr_msg_cb": ON_DELIVERY(told)}
        self._client = new_client(PRODUCER, config, callbacks)
        self._topic = lib.rd_kafka_topic_new(self._client, topic.encode(), None)
        weakref.finalize(self, _close, self._client, self._topic, callbacks).atexit = False

    def send(self, keys: Joined, values: Joined | None, first: int, stop: int) -> None:
        """Send the messages from `first` to `stop`; the key decides on a message's partition. No values: none has one.

        Raises:
            KafkaException: one cannot even be taken; the others are on their way.
        """
        messages = np.zeros(stop - first, MESSAGE)
        data, bounds = values or (b"", np.empty(0, np.int64))
        fill(messages, np.frombuffer(keys[0], np.uint8), keys[1][first:], np.frombuffer(data, np.uint8), bounds[first:])
        taken = lib.rd_kafka_produce_batch(self._topic, _ANY_PARTITION, _COPY, messages.ctypes.data, len(messages))
        if taken < len(messages):
            check(int(messages["err"][np.flatnonzero(messages["err"])[0]]))

    def __len__(self) -> int:
        """How many messages wait for their acknowledgement."""
        return int(lib.rd_kafka_outq_len(self._client))

    def poll(self, timeout: float) -> None:
        """Hear what became of messages, for at most `timeout` s."""
        lib.rd_kafka_poll(self._client, int(timeout * 1_000))

    def flush(self, timeout: float) -> int:
        """Wait at most `timeout` s for all acknowledgements; returns how many are still missing."""
        lib.rd_kafka_flush(self._client, int(timeout * 1_000))
        return len(self)


def _close(client: int, topic: int, callbacks: object) -> None:
    lib.rd_kafka_topic_destroy(topic)
    lib.rd_kafka_destroy(client)
