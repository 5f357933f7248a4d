"""A consumer that takes messages out of librdkafka's memory by the batch, and makes no Python object of each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from ctypes import byref, c_char_p, c_int64, c_size_t, c_void_p, cast, create_string_buffer, string_at
from typing import NamedTuple

import numpy as np
from confluent_kafka import KafkaError, KafkaException

from schemas.messages import MessageBatch
from topics.headers import KEY_HEADERS, VALUE_HEADERS, prefix_of
from topics.native import librdkafka_messages
from topics.native.librdkafka import CONSUMER, ON_COMMIT, check, error_of, lib, new_client
from topics.native.librdkafka import on_error as error_callback


class Failure(NamedTuple):
    """An error that came in a message's place."""

    partition: int
    error: KafkaError


_NAMES = [create_string_buffer(name.encode()) for name in VALUE_HEADERS]
_ADDRESSES = np.array([cast(name, c_void_p).value for name in _NAMES], np.uint64)


class Fetcher:
    """A consumer of partitions of one topic that are assigned by hand.

    Args:
        config: librdkafka's settings.
        topic: the topic.
        on_error: told what the client complains about, where that concerns no partition.
        on_commit: told of each commit that failed.

    Raises:
        KafkaException: a setting is wrong.
    """

    def __init__(
        self,
        config: Mapping[str, object],
        topic: str,
        on_error: Callable[[KafkaError], None],
        on_commit: Callable[[KafkaError], None],
    ) -> None:
        self._topic, self._name = topic, topic.encode()
        self._callbacks = {
            "error_cb": error_callback(on_error),
            "offset_commit_cb": ON_COMMIT(
                lambda _client, code, _places, _opaque: on_commit(error_of(code)) if code else None
            ),
        }
        self._client: int | None = new_client(CONSUMER, config, self._callbacks)
        lib.rd_kafka_poll_set_consumer(self._client)
        self._queue = lib.rd_kafka_queue_get_consumer(self._client)
        self._found = np.empty(0, np.uint64)

    def close(self) -> None:
        """Let go of the cluster."""
        if self._client:
            lib.rd_kafka_queue_destroy(self._queue)
            lib.rd_kafka_consumer_close(self._client)
            lib.rd_kafka_destroy(self._client)
            self._client = None

    def assign(self, partition: int, offset: int) -> None:
        """Begin to fetch a partition from an offset on.

        Raises:
            KafkaException: it cannot be.
        """
        with self._places(partition, offset) as places:
            problem = lib.rd_kafka_incremental_assign(self._client, places)
        if problem:
            code, why = lib.rd_kafka_error_code(problem), lib.rd_kafka_error_string(problem)
            lib.rd_kafka_error_destroy(problem)
            raise KafkaException(error_of(code, why))

    def edges(self, partition: int, timeout: float) -> tuple[int, int]:
        """The offsets of the first message of a partition and after its last, asked of the broker within `timeout` s.

        Raises:
            KafkaException: they cannot be had.
        """
        low, high = c_int64(), c_int64()
        wait = int(timeout * 1_000)
        check(lib.rd_kafka_query_watermark_offsets(self._client, self._name, partition, low, high, wait))
        return low.value, high.value

    def end(self, partition: int) -> int:
        """The offset after the last message of a partition, as of the last answer to a fetch; negative before one."""
        low, high = c_int64(), c_int64()
        code = lib.rd_kafka_get_watermark_offsets(self._client, self._name, partition, byref(low), byref(high))
        return -1 if code else high.value

    def pause(self, partition: int) -> None:
        """Fetch no more of a partition, and drop what was fetched of it and not taken, until it is resumed."""
        with self._places(partition) as places:
            check(lib.rd_kafka_pause_partitions(self._client, places))

    def resume(self, partition: int) -> None:
        """Fetch a partition again, from the message after the last that was taken."""
        with self._places(partition) as places:
            check(lib.rd_kafka_resume_partitions(self._client, places))

    def commit(self, partition: int, offset: int) -> None:
        """Note an offset in the consumer group, without waiting for it.

        Raises:
            KafkaException: it cannot even be sent.
        """
        with self._places(partition, offset) as places:
            check(lib.rd_kafka_commit(self._client, places, 1))

    def take(self, most: int) -> tuple[list[MessageBatch], list[Failure], dict[int, int]]:
        """At most so many messages that are there now, a batch for each partition, the errors among them, and ends.

        A message without a value is one of no bytes here; the batch has its key. What headers say of a value's or a
        key's schema stands in front of it (`topics.headers`). The ends are of the partitions that were read to their
        end: the offset there, which is behind markers of transactions and whatever else is no message.
        """
        if len(self._found) < most:
            self._found = np.empty(most, np.uint64)
        count = lib.rd_kafka_consume_batch_queue(self._queue, 0, self._found.ctypes.data, most)
        if count <= 0:
            return [], [], {}
        found = self._found[:count]
        numbers, codes = np.empty(count, np.int64), np.empty(count, np.int64)
        lengths, offsets, times = (np.empty(count, np.int64) for _ in range(3))
        nulls, heads = np.empty(count, np.bool_), np.empty((count, 3), np.uint64)
        librdkafka_messages.look(found, _ADDRESSES, codes, numbers, lengths, offsets, times, nulls, heads)
        ended = codes == KafkaError._PARTITION_EOF
        ends = dict(zip(numbers[ended].tolist(), offsets[ended].tolist(), strict=True))
        failures = [
            Failure(int(numbers[place]), error_of(int(codes[place]), lib.rd_kafka_message_errstr(int(found[place]))))
            for place in np.flatnonzero((codes != 0) & ~ended).tolist()
        ]
        batches = []
        for number in np.unique(numbers).tolist():
            mine = np.flatnonzero((numbers == number) & (codes == 0))
            if not len(mine):
                continue
            bounds = np.zeros(len(mine) + 1, np.int64)
            before, prefixes = np.zeros(len(mine), np.int64), dict[int, bytes]()
            for place in np.flatnonzero(heads[mine, 2] < len(_ADDRESSES)).tolist():
                address, size, name = heads[mine[place]].tolist()
                prefixes[place] = prefix_of(VALUE_HEADERS[name], string_at(address, size) if address else b"")
                before[place] = len(prefixes[place])
            np.cumsum(lengths[mine] + before, out=bounds[1:])
            data = np.empty(bounds[-1], np.uint8)
            librdkafka_messages.copy(found, mine, before, bounds, data)
            for place, prefix in prefixes.items():
                data[bounds[place] : bounds[place] + len(prefix)] = np.frombuffer(prefix, np.uint8)
            erasing = tuple((place, _key_of(int(found[mine[place]]))) for place in np.flatnonzero(nulls[mine]).tolist())
            taken = offsets[mine], data.tobytes(), bounds, times[mine]
            batches.append(MessageBatch(self._topic, number, *taken, erasing=erasing))
        librdkafka_messages.destroy(found)
        return batches, failures, ends

    @contextlib.contextmanager
    def _places(self, partition: int, offset: int | None = None) -> Iterator[int]:
        """A list of one partition, as librdkafka has them."""
        places = lib.rd_kafka_topic_partition_list_new(1)
        try:
            lib.rd_kafka_topic_partition_list_add(places, self._name, partition)
            if offset is not None:
                lib.rd_kafka_topic_partition_list_set_offset(places, self._name, partition, offset)
            yield places
        finally:
            lib.rd_kafka_topic_partition_list_destroy(places)


def _key_of(message: int) -> bytes:
    """The key of a message, behind what its headers say of its schema."""
    key, headers = librdkafka_messages.key_of(message), c_void_p()
    if lib.rd_kafka_message_headers(message, byref(headers)) == 0:
        held, size = c_void_p(), c_size_t()
        for name in KEY_HEADERS:
            if lib.rd_kafka_header_get_last(headers, c_char_p(name.encode()), byref(held), byref(size)) == 0:
                return prefix_of(name, string_at(held, size.value) if held else b"") + key
    return key
