"""A consumer that takes messages out of librdkafka's memory by the batch, and makes no Python object of each.

The client for Python makes an object of every message, with its topic, key and value: that took more time than decoding
the message did. librdkafka, which lies in the same package, gives them as structures of its public C interface
(`rdkafka.h`); they are read here by compiled code, and only what is used of them is copied.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator, Mapping
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import KafkaError, KafkaException

from schemas.messages import MessageBatch
from topics import rdkafka_messages

_REASON = 512
"""Bytes that librdkafka gets to say what is wrong with a setting."""


class Failure(NamedTuple):
    """An error that came in a message's place."""

    partition: int
    error: KafkaError


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
        # ctypes forgets a callback that nobody holds.
        self._callbacks = (
            _ON_ERROR(lambda _client, code, why, _opaque: on_error(_error(code, why))),
            _ON_COMMIT(lambda _client, code, _places, _opaque: on_commit(_error(code)) if code else None),
        )
        self._client: int | None = _client(config, *self._callbacks)
        _lib.rd_kafka_poll_set_consumer(self._client)
        self._queue = _lib.rd_kafka_queue_get_consumer(self._client)
        self._found = np.empty(0, np.uint64)

    def close(self) -> None:
        """Let go of the cluster."""
        if self._client:
            _lib.rd_kafka_queue_destroy(self._queue)
            _lib.rd_kafka_consumer_close(self._client)
            _lib.rd_kafka_destroy(self._client)
            self._client = None

    def assign(self, partition: int, offset: int) -> None:
        """Begin to fetch a partition from an offset on.

        Raises:
            KafkaException: it cannot be.
        """
        with self._places(partition, offset) as places:
            problem = _lib.rd_kafka_incremental_assign(self._client, places)
        if problem:
            code, why = _lib.rd_kafka_error_code(problem), _lib.rd_kafka_error_string(problem)
            _lib.rd_kafka_error_destroy(problem)
            raise KafkaException(_error(code, why))

    def edges(self, partition: int, timeout: float) -> tuple[int, int]:
        """The offsets of the first message of a partition and after its last, asked of the broker within `timeout` s.

        Raises:
            KafkaException: they cannot be had.
        """
        low, high = c_int64(), c_int64()
        wait = int(timeout * 1_000)
        _check(_lib.rd_kafka_query_watermark_offsets(self._client, self._name, partition, low, high, wait))
        return low.value, high.value

    def end(self, partition: int) -> int:
        """The offset after the last message of a partition, as of the last answer to a fetch; negative before one."""
        low, high = c_int64(), c_int64()
        code = _lib.rd_kafka_get_watermark_offsets(self._client, self._name, partition, byref(low), byref(high))
        return -1 if code else high.value

    def pause(self, partition: int) -> None:
        """Fetch no more of a partition, and drop what was fetched of it and not taken, until it is resumed."""
        with self._places(partition) as places:
            _check(_lib.rd_kafka_pause_partitions(self._client, places))

    def resume(self, partition: int) -> None:
        """Fetch a partition again, from the message after the last that was taken."""
        with self._places(partition) as places:
            _check(_lib.rd_kafka_resume_partitions(self._client, places))

    def commit(self, partition: int, offset: int) -> None:
        """Note an offset in the consumer group, without waiting for it.

        Raises:
            KafkaException: it cannot even be sent.
        """
        with self._places(partition, offset) as places:
            _check(_lib.rd_kafka_commit(self._client, places, 1))

    def take(self, most: int) -> tuple[list[MessageBatch], list[Failure]]:
        """At most so many messages that are there now, a batch for each partition, and the errors among them.

        A message without a value is one of no bytes here.
        """
        if len(self._found) < most:
            self._found = np.empty(most, np.uint64)
        count = _lib.rd_kafka_consume_batch_queue(self._queue, 0, self._found.ctypes.data, most)
        if count <= 0:
            return [], []
        found = self._found[:count]
        numbers, codes = np.empty(count, np.int64), np.empty(count, np.int64)
        lengths, offsets, times = (np.empty(count, np.int64) for _ in range(3))
        rdkafka_messages.look(found, codes, numbers, lengths, offsets, times)
        failures = [
            Failure(int(numbers[place]), _error(int(codes[place]), _lib.rd_kafka_message_errstr(int(found[place]))))
            for place in np.flatnonzero(codes).tolist()
        ]
        batches = []
        for number in np.unique(numbers).tolist():
            mine = np.flatnonzero((numbers == number) & (codes == 0))
            if not len(mine):
                continue
            bounds = np.zeros(len(mine) + 1, np.int64)
            np.cumsum(lengths[mine], out=bounds[1:])
            data = np.empty(bounds[-1], np.uint8)
            rdkafka_messages.copy(found, mine, bounds, data)
            batches.append(MessageBatch(self._topic, number, offsets[mine], data.tobytes(), bounds, times[mine]))
        rdkafka_messages.destroy(found)
        return batches, failures

    @contextlib.contextmanager
    def _places(self, partition: int, offset: int | None = None) -> Iterator[int]:
        """A list of one partition, as librdkafka has them."""
        places = _lib.rd_kafka_topic_partition_list_new(1)
        try:
            _lib.rd_kafka_topic_partition_list_add(places, self._name, partition)
            if offset is not None:
                _lib.rd_kafka_topic_partition_list_set_offset(places, self._name, partition, offset)
            yield places
        finally:
            _lib.rd_kafka_topic_partition_list_destroy(places)


def _client(config: Mapping[str, object], on_error: Any, on_commit: Any) -> int:
    conf, why = _lib.rd_kafka_conf_new(), ctypes.create_string_buffer(_REASON)
    refused = any(
        _lib.rd_kafka_conf_set(conf, name.encode(), str(value).encode(), why, _REASON) for name, value in config.items()
    )
    _lib.rd_kafka_conf_set_error_cb(conf, on_error)
    _lib.rd_kafka_conf_set_offset_commit_cb(conf, on_commit)
    client = None if refused else _lib.rd_kafka_new(_CONSUMER, conf, why, _REASON)
    if not client:
        _lib.rd_kafka_conf_destroy(conf)
        raise KafkaException(_error(KafkaError._INVALID_ARG, why.value))
    return int(client)


def _error(code: int, why: bytes | None = None) -> KafkaError:
    return KafkaError(code, (why or _lib.rd_kafka_err2str(code)).decode(errors="replace"))


def _check(code: int) -> None:
    if code:
        raise KafkaException(_error(code))


_CONSUMER = 1
_ON_ERROR = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_char_p, c_void_p)
_ON_COMMIT = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_void_p, c_void_p)


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """The same, knowing what its functions take and give (`rdkafka.h`)."""
    place, offsets = (c_void_p, c_char_p, c_int32), (POINTER(c_int64), POINTER(c_int64))
    text = (c_char_p, c_size_t)
    for name, gives, takes in (
        ("conf_new", c_void_p, ()),
        ("conf_set", c_int, (c_void_p, c_char_p, c_char_p, *text)),
        ("conf_set_error_cb", None, (c_void_p, _ON_ERROR)),
        ("conf_set_offset_commit_cb", None, (c_void_p, _ON_COMMIT)),
        ("conf_destroy", None, (c_void_p,)),
        ("new", c_void_p, (c_int, c_void_p, *text)),
        ("destroy", None, (c_void_p,)),
        ("poll_set_consumer", c_int, (c_void_p,)),
        ("queue_get_consumer", c_void_p, (c_void_p,)),
        ("queue_destroy", None, (c_void_p,)),
        ("consumer_close", c_int, (c_void_p,)),
        ("topic_partition_list_new", c_void_p, (c_int,)),
        ("topic_partition_list_add", c_void_p, place),
        ("topic_partition_list_set_offset", c_int, (*place, c_int64)),
        ("topic_partition_list_destroy", None, (c_void_p,)),
        ("incremental_assign", c_void_p, (c_void_p, c_void_p)),
        ("pause_partitions", c_int, (c_void_p, c_void_p)),
        ("resume_partitions", c_int, (c_void_p, c_void_p)),
        ("commit", c_int, (c_void_p, c_void_p, c_int)),
        ("query_watermark_offsets", c_int, (*place, *offsets, c_int)),
        ("get_watermark_offsets", c_int, (*place, *offsets)),
        ("consume_batch_queue", ctypes.c_ssize_t, (c_void_p, c_int, c_void_p, c_size_t)),
        ("message_errstr", c_char_p, (c_void_p,)),
        ("message_timestamp", c_int64, (c_void_p, POINTER(c_int))),
        ("message_destroy", None, (c_void_p,)),
        ("err2str", c_char_p, (c_int,)),
        ("error_code", c_int, (c_void_p,)),
        ("error_string", c_char_p, (c_void_p,)),
        ("error_destroy", None, (c_void_p,)),
    ):
        function = getattr(library, f"rd_kafka_{name}")
        function.restype, function.argtypes = gives, takes
    return library


_lib = _declared(rdkafka_messages.library)
