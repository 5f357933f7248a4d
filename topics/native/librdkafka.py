"""librdkafka by its public C interface (`rdkafka.h`): what of it is used for many messages at a time.

The client for Python makes an object of every message, with its topic, key and value: that took more time than decoding
the message did. librdkafka itself lies in the same package.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from ctypes import POINTER, c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from topics.native.librdkafka_messages import library

PRODUCER, CONSUMER = 0, 1
_REASON = 512
"""Bytes that librdkafka gets to say what is wrong with a setting."""

ON_ERROR = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_char_p, c_void_p)
ON_COMMIT = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_void_p, c_void_p)
ON_DELIVERY = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_void_p)


def new_client(kind: int, config: Mapping[str, object], callbacks: Mapping[str, Any]) -> int:
    """A client with librdkafka's settings and callbacks, which their names in `rd_kafka_conf_set_*` tell apart.

    ctypes forgets a callback that nobody holds: the caller does.

    Raises:
        KafkaException: a setting is wrong.
    """
    conf, why = lib.rd_kafka_conf_new(), ctypes.create_string_buffer(_REASON)
    refused = any(
        lib.rd_kafka_conf_set(conf, name.encode(), str(value).encode(), why, _REASON) for name, value in config.items()
    )
    for name, callback in callbacks.items():
        getattr(lib, f"rd_kafka_conf_set_{name}")(conf, callback)
    client = None if refused else lib.rd_kafka_new(kind, conf, why, _REASON)
    if not client:
        lib.rd_kafka_conf_destroy(conf)
        raise KafkaException(error_of(KafkaError._INVALID_ARG, why.value))
    return int(client)


def on_error(told: Callable[[KafkaError], None]) -> Any:
    """The callback for what a client complains about."""
    return ON_ERROR(lambda _client, code, why, _opaque: told(error_of(code, why)))


def error_of(code: int, why: bytes | None = None) -> KafkaError:
    """An error as the client for Python has it."""
    return KafkaError(code, (why or lib.rd_kafka_err2str(code)).decode(errors="replace"))


def check(code: int) -> None:
    """Raise a `KafkaException` for a code that is one of an error."""
    if code:
        raise KafkaException(error_of(code))


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """The same, knowing what its functions take and give (`rdkafka.h`)."""
    place, offsets = (c_void_p, c_char_p, c_int32), (POINTER(c_int64), POINTER(c_int64))
    text = (c_char_p, c_size_t)
    for name, gives, takes in (
        ("conf_new", c_void_p, ()),
        ("conf_set", c_int, (c_void_p, c_char_p, c_char_p, *text)),
        ("conf_set_error_cb", None, (c_void_p, ON_ERROR)),
        ("conf_set_offset_commit_cb", None, (c_void_p, ON_COMMIT)),
        ("conf_set_dr_msg_cb", None, (c_void_p, ON_DELIVERY)),
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
        ("topic_new", c_void_p, (c_void_p, c_char_p, c_void_p)),
        ("topic_destroy", None, (c_void_p,)),
        ("produce_batch", c_int, (c_void_p, c_int32, c_int, c_void_p, c_int)),
        ("poll", c_int, (c_void_p, c_int)),
        ("flush", c_int, (c_void_p, c_int)),
        ("outq_len", c_int, (c_void_p,)),
        ("message_errstr", c_char_p, (c_void_p,)),
        ("message_timestamp", c_int64, (c_void_p, POINTER(c_int))),
        ("message_destroy", None, (c_void_p,)),
        ("message_headers", c_int, (c_void_p, POINTER(c_void_p))),
        ("header_get_last", c_int, (c_void_p, c_char_p, POINTER(c_void_p), POINTER(c_size_t))),
        ("err2str", c_char_p, (c_int,)),
        ("error_code", c_int, (c_void_p,)),
        ("error_string", c_char_p, (c_void_p,)),
        ("error_destroy", None, (c_void_p,)),
    ):
        function = getattr(library, f"rd_kafka_{name}")
        function.restype, function.argtypes = gives, takes
    return library


lib = _declared(library)
