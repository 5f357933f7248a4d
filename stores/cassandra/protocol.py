"""Batches whose statements are encoded before the driver gets them.

The driver encodes one Python value at a time, twice; for rows that are arrays of numbers and UTF-8 already, that costs
more than all the rest of a write. Here a batch carries its statements as the bytes of the native protocol
(versions 4 and 5, "BATCH"), and the session's protocol handler puts the frame around them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cassandra.protocol import BatchMessage, ProtocolHandler
from cassandra.query import BatchStatement, BatchType, PreparedStatement

_FRAME = struct.Struct(">BBhBi")
_UNLOGGED = struct.Struct(">BH")
_NOW_IN_SECONDS = 0x0100
_INT = struct.Struct(">i")


def head_of(statement: PreparedStatement) -> bytes:
    """The bytes before the values of a prepared statement in a batch."""
    values = len(statement.column_metadata or ())
    query_id: bytes = statement.query_id
    return struct.pack(">BH", 1, len(query_id)) + query_id + struct.pack(">H", values)


def encoded(head: bytes, values: Sequence[bytes]) -> bytes:
    """A statement of a batch."""
    return head + b"".join(_INT.pack(len(value)) + value for value in values)


@dataclass(frozen=True, slots=True)
class _Statements:
    """Statements as bytes, in place of the list that the driver would encode."""

    pieces: Sequence[bytes | memoryview]
    count: int
    now: int | None

    def __len__(self) -> int:
        return self.count

    def body(self, consistency: int, version: int) -> bytes:
        """The body of the message."""
        if version < 5:
            tail = struct.pack(">HB", consistency, 0)
        elif self.now is None:
            tail = struct.pack(">HI", consistency, 0)
        else:
            tail = struct.pack(">HIi", consistency, _NOW_IN_SECONDS, self.now)
        return b"".join((_UNLOGGED.pack(1, self.count), *self.pieces, tail))


class EncodedBatch(BatchStatement):  # type: ignore[misc]
    """An unlogged batch of prepared statements that may be sent any number of times.

    Args:
        keyspace: where the tables are, for routing.
        routing_key: one of the batch's partition keys; it goes to a replica of that.
        pieces: the statements, as `encoded` gives them.
        count: how many statements they are.
        now: the time, in s since 1970, from which times to live count in place of the server's clock; version 4 of the
            protocol has only that.

    >>> batch = EncodedBatch("adstreams", b"ann", [encoded(b"<statement>", [b"ann"])], 1, None)
    >>> batch.size, batch.is_idempotent
    (18, True)
    """

    def __init__(
        self, keyspace: str, routing_key: bytes, pieces: Sequence[bytes | memoryview], count: int, now: int | None
    ) -> None:
        super().__init__(BatchType.UNLOGGED)
        self.keyspace, self.routing_key, self.is_idempotent = keyspace, routing_key, True
        self.size = sum(map(len, pieces))
        self._statements_and_parameters = _Statements(pieces, count, now)


class Handler(ProtocolHandler):  # type: ignore[misc]
    r"""Encodes messages as the driver does, except `EncodedBatch`es, whose bytes it passes on.

    >>> batch = EncodedBatch("adstreams", b"ann", [encoded(b"<statement>", [b"ann"])], 1, None)
    >>> message = BatchMessage(batch.batch_type, batch._statements_and_parameters, consistency_level=1)
    >>> frame = Handler.encode_message(message, 1, 4, None, False)
    >>> frame[12:30]
    b'<statement>\x00\x00\x00\x03ann'
    """

    @classmethod
    def encode_message(
        cls, msg: Any, stream_id: int, protocol_version: int, compressor: Any, allow_beta_protocol_version: bool
    ) -> bytes:
        """The frame of a message."""
        if isinstance(msg, BatchMessage) and isinstance(msg.queries, _Statements):
            body = msg.queries.body(msg.consistency_level, protocol_version)
            return _FRAME.pack(protocol_version, 0, stream_id, msg.opcode, len(body)) + body
        whole: bytes = super().encode_message(msg, stream_id, protocol_version, compressor, allow_beta_protocol_version)
        return whole
