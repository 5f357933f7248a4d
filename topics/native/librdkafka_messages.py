"""Messages as structures of librdkafka's public C interface (`rdkafka.h`), read by compiled code."""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding
import numpy as np
from confluent_kafka import cimpl
from numba import carray, types  # type: ignore[attr-defined]
from numba.core import cgutils
from numba.extending import intrinsic

from schemas.compiled.compiling import compiled

library = ctypes.CDLL(cimpl.__file__)
"""librdkafka: the client's own module is linked with it."""

for _used in (
    "rd_kafka_message_timestamp", "rd_kafka_message_destroy", "rd_kafka_message_headers", "rd_kafka_header_get_last",
):  # fmt: skip
    llvmlite.binding.add_symbol(_used, ctypes.cast(getattr(library, _used), ctypes.c_void_p).value)
_message_timestamp: Any = types.ExternalFunction("rd_kafka_message_timestamp", types.int64(types.uint64, types.uint64))
_message_headers: Any = types.ExternalFunction("rd_kafka_message_headers", types.int32(types.uint64, types.uint64))
_header_get_last: Any = types.ExternalFunction(
    "rd_kafka_header_get_last", types.int32(types.uint64, types.uint64, types.uint64, types.uint64)
)
_message_destroy: Any = types.ExternalFunction("rd_kafka_message_destroy", types.void(types.uint64))

MESSAGE = np.dtype(
    [
        ("err", np.int32),
        ("rkt", np.uintp),
        ("partition", np.int32),
        ("payload", np.uintp),
        ("len", np.uintp),
        ("key", np.uintp),
        ("key_len", np.uintp),
        ("offset", np.int64),
        ("_private", np.uintp),
    ],
    align=True,
)
"""`rd_kafka_message_t` of `rdkafka.h`."""


def _to_pointer(_context, _address):
    def build(_context, builder, _signature, arguments):
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.uint64), build


_pointer: Any = intrinsic(_to_pointer)
"""An address as a pointer."""


@compiled
def look(found, names, codes, numbers, lengths, offsets, times, nulls, heads):
    """What each message says of itself; `nulls`: it has a key, and no value. An error's payload is its text.

    `heads` (n, 3) gets the first of the headers of these `names` (addresses of C strings) that a message has: its
    address, its length and the number of the name, which is that of names where it has none.
    """
    kind, header = np.empty(1, np.int32), np.empty(3, np.uint64)
    at = header.ctypes.data
    for place in range(len(found)):
        message = carray(_pointer(found[place]), 1, MESSAGE)[0]
        codes[place], numbers[place], offsets[place] = message.err, message.partition, message.offset
        lengths[place] = message.len if message.payload else 0
        nulls[place] = message.err == 0 and message.payload == 0 and message.key != 0
        times[place] = _message_timestamp(found[place], np.uint64(kind.ctypes.data))
        heads[place, 2] = len(names)
        if message.err != 0 or message.payload == 0 or _message_headers(found[place], np.uint64(at)) != 0:
            continue
        for name in range(len(names)):
            if _header_get_last(header[0], names[name], np.uint64(at + 8), np.uint64(at + 16)) == 0:
                heads[place, 0], heads[place, 1], heads[place, 2] = header[1], header[2], name
                break


@compiled
def copy(found, places, before, bounds, data):
    """The values of some of the messages, one behind the other; room for `before` bytes is left in front of each."""
    for number in range(len(places)):
        first = bounds[number] + before[number]
        length = bounds[number + 1] - first
        if length:
            message = carray(_pointer(found[places[number]]), 1, MESSAGE)[0]
            data[first : bounds[number + 1]] = carray(_pointer(message.payload), length, np.uint8)


def key_of(address: int) -> bytes:
    """The key of a message."""
    (message,) = np.frombuffer(ctypes.string_at(address, MESSAGE.itemsize), MESSAGE)
    return ctypes.string_at(int(message["key"]), int(message["key_len"]))


@compiled
def destroy(found):
    """Give the messages back to librdkafka."""
    for place in range(len(found)):
        _message_destroy(found[place])


@compiled
def fill(messages, keys, key_bounds, values, value_bounds):
    """Point at the keys and values of messages to send, which stay where they are; no bounds, no values."""
    for number in range(len(messages)):
        messages[number].key = keys.ctypes.data + key_bounds[number]
        messages[number].key_len = key_bounds[number + 1] - key_bounds[number]
        if len(value_bounds) == 0:
            continue
        messages[number].payload = values.ctypes.data + value_bounds[number]
        messages[number].len = value_bounds[number + 1] - value_bounds[number]
